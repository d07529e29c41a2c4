//! The requests of bench/peers/cpp/mixed.hpp. The lock is the standard library's, as Tokio's
//! documentation recommends where it is not held over an await. The file is read in place, as its
//! blocks are known to be cached: by spawn_blocking() or tokio::fs, where the documentation sends
//! files in general, a request takes ten times as long.

use crate::gap::scratch_file;
use crate::measure::{Repetition, Stopwatch};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const FAN_OUT: usize = 32;
const IN_FLIGHT_MOST: usize = 128;
const BLOCK_BYTES: usize = 4096;
const BLOCKS: usize = 64;
const ENTRIES: usize = 256;
const STEPS: usize = 128;

/// Of one child: where it looks, how long it waits, what it reads.
#[derive(Clone, Copy)]
struct Key(u32);

impl Key {
    fn of(request: usize, child: usize) -> Key {
        let bits = ((request * FAN_OUT + child) as u32).wrapping_mul(2654435761);
        Key(bits ^ bits >> 16)
    }

    fn entry(self) -> usize {
        self.0 as usize % ENTRIES
    }

    fn block(self) -> usize {
        (self.0 >> 8) as usize % BLOCKS
    }

    fn timer(self) -> Duration {
        Duration::from_micros(100 + u64::from(self.0 >> 8) % 1901)
    }
}

struct Table {
    next: [u32; ENTRIES],
    seen: [u64; ENTRIES],
}

impl Table {
    fn new() -> Table {
        let next = std::array::from_fn(|i| ((5 * i + 1) % ENTRIES) as u32);
        Table { next, seen: [0; ENTRIES] }
    }

    fn end_of(&self, from: usize) -> usize {
        (0..STEPS).fold(from, |at, _| self.next[at] as usize)
    }

    fn look(&mut self, from: Key) -> usize {
        let at = self.end_of(from.entry());
        self.seen[at] += 1;
        at
    }
}

struct Run {
    table: Mutex<Table>,
    file: File,
    ends: [usize; ENTRIES],
}

/// A block is its number, again and again.
fn block_file() -> File {
    let file = scratch_file(BLOCKS * BLOCK_BYTES);
    for block in 0..BLOCKS {
        let bytes = (block as u64).to_le_bytes().repeat(BLOCK_BYTES / 8);
        file.write_all_at(&bytes, (block * BLOCK_BYTES) as u64).expect("write");
    }
    file
}

fn read(file: &File, which: Key) -> usize {
    let mut block = [0; BLOCK_BYTES];
    file.read_exact_at(&mut block, (which.block() * BLOCK_BYTES) as u64).expect("read");
    let word = |at: usize| u64::from_le_bytes(block[at..at + 8].try_into().expect("eight bytes"));
    (word(0) + word(BLOCK_BYTES - 8)) as usize
}

async fn answer(run: Arc<Run>, which: Key) -> usize {
    let at = run.table.lock().expect("nobody panicked").look(which);
    tokio::time::sleep(which.timer()).await;
    at + read(&run.file, which)
}

/// How long the request took beyond its longest timer.
async fn serve(run: &Arc<Run>, request: usize) -> Duration {
    let begin = Instant::now();
    let children: Vec<_> = (0..FAN_OUT)
        .map(|child| tokio::spawn(answer(run.clone(), Key::of(request, child))))
        .collect();
    let mut sum = 0;
    for child in children {
        sum += child.await.expect("a task panicked");
    }
    let took = begin.elapsed();
    let keys = || (0..FAN_OUT).map(|child| Key::of(request, child));
    let expected: usize = keys().map(|key| run.ends[key.entry()] + 2 * key.block()).sum();
    assert_eq!(sum, expected, "a request has a wrong sum");
    let longest = keys().map(Key::timer).max().expect("there are children");
    took.checked_sub(longest).expect("a timer ended early")
}

pub async fn mixed(requests: usize) -> Repetition {
    let in_flight = requests.min(IN_FLIGHT_MOST);
    let each = requests / in_flight;
    let table = Table::new();
    let ends = std::array::from_fn(|entry| table.end_of(entry));
    let run = Arc::new(Run { table: Mutex::new(table), file: block_file(), ends });
    let watch = Stopwatch::start();
    let clients: Vec<_> = (0..in_flight)
        .map(|client| {
            let run = run.clone();
            tokio::spawn(async move {
                let mut beyond = Vec::with_capacity(each);
                for request in client * each..(client + 1) * each {
                    beyond.push(serve(&run, request).await);
                }
                beyond
            })
        })
        .collect();
    let mut beyond = Vec::with_capacity(in_flight * each);
    for client in clients {
        beyond.append(&mut client.await.expect("a task panicked"));
    }
    let mut result = watch.stop(beyond.len());
    let seen: u64 = run.table.lock().expect("nobody panicked").seen.iter().sum();
    assert_eq!(seen as usize, beyond.len() * FAN_OUT, "the table is wrong");
    beyond.sort();
    result.extra.push(("beyond_median_s", beyond[beyond.len() / 2].as_secs_f64()));
    result.extra.push(("beyond_p99_s", beyond[beyond.len() * 99 / 100].as_secs_f64()));
    result
}
