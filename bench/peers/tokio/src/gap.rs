//! What bench/peers/cpp/gap_workloads.hpp has: a ticking task beside one that blocks in place.

use crate::measure::{spend, Repetition, Stopwatch};
use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};

const CHUNK: usize = 65536;

pub fn scratch_file(bytes: usize) -> File {
    let mut options = File::options();
    options.read(true).write(true).custom_flags(libc::O_TMPFILE);
    let file = options.open(".").expect("open with O_TMPFILE");
    file.write_all_at(&vec![0; bytes], 0).expect("write");
    file
}

fn touch_cold_pages(file: &File, bytes: usize) {
    file.sync_all().expect("fsync");
    // SAFETY: the descriptor is open, and the mapping is used between mmap and munmap only.
    unsafe {
        libc::posix_fadvise(file.as_raw_fd(), 0, 0, libc::POSIX_FADV_DONTNEED);
        let none = std::ptr::null_mut();
        let (read, shared) = (libc::PROT_READ, libc::MAP_SHARED);
        let mapped = libc::mmap(none, bytes, read, shared, file.as_raw_fd(), 0);
        assert_ne!(mapped, libc::MAP_FAILED, "mmap");
        libc::madvise(mapped, bytes, libc::MADV_RANDOM);
        for at in (0..bytes).step_by(4096) {
            mapped.cast::<u8>().add(at).read_volatile();
        }
        libc::munmap(mapped, bytes);
    }
}

fn find_disturbance(name: &str, more: u64) -> Box<dyn Fn() + Send> {
    let span = Duration::from_millis(more);
    match name {
        "gap_block" => Box::new(move || std::thread::sleep(span)),
        "gap_hog" => Box::new(move || {
            let begin = Instant::now();
            while begin.elapsed() < span {
                spend(1000, 1);
            }
        }),
        "gap_fsync" => {
            let file = scratch_file(CHUNK);
            Box::new(move || {
                file.write_all_at(&[0; CHUNK], 0).expect("write");
                file.sync_all().expect("fsync");
            })
        }
        _ => {
            let file = scratch_file(more as usize);
            Box::new(move || touch_cold_pages(&file, more as usize))
        }
    }
}

pub async fn longest_gap(name: &str, times: usize, more: u64) -> Repetition {
    const TICK: Duration = Duration::from_millis(1);
    let disturb = find_disturbance(name, more);
    let done = Arc::new(AtomicBool::new(false));
    let seen = done.clone();
    let watch = Stopwatch::start();
    let ticking = tokio::spawn(async move {
        let (mut longest, mut last) = (Duration::ZERO, Instant::now());
        while !seen.load(Ordering::Acquire) {
            tokio::time::sleep(TICK).await;
            let now = Instant::now();
            longest = longest.max((now - last).saturating_sub(TICK));
            last = now;
        }
        longest
    });
    let disturbing = tokio::spawn(async move {
        for _ in 0..times {
            tokio::time::sleep(5 * TICK).await;
            disturb();
        }
        done.store(true, Ordering::Release);
    });
    let longest = ticking.await.expect("a task panicked");
    disturbing.await.expect("a task panicked");
    let mut result = watch.stop(times);
    result.extra.push(("longest_wait_s", longest.as_secs_f64()));
    result
}
