//! Very many tasks that sleep or are parked.

use crate::measure::{resident_bytes, Repetition, Stopwatch};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;

pub async fn sleep_in_a_crowd(tasks: usize) -> Repetition {
    let mut children = Vec::with_capacity(tasks);
    let mut random: u32 = 1;
    let watch = Stopwatch::start();
    for _ in 0..tasks {
        random = random.wrapping_mul(1664525).wrapping_add(1013904223); // as in bench/workloads.hpp
        let span = Duration::from_millis(u64::from((random >> 16) % 1001));
        children.push(tokio::spawn(async move {
            let begin = Instant::now();
            tokio::time::sleep(span).await;
            begin.elapsed().checked_sub(span).expect("a sleeper woke early")
        }));
    }
    let mut late = Vec::with_capacity(tasks);
    for child in children {
        late.push(child.await.expect("a task panicked").as_secs_f64());
    }
    let mut result = watch.stop(tasks);
    late.sort_by(f64::total_cmp);
    result.extra.push(("late_median_s", late[late.len() / 2]));
    result.extra.push(("late_worst_s", late[late.len() - 1]));
    result
}

struct Park {
    gate: Semaphore,
    arrived: AtomicUsize,
    left: AtomicUsize,
}

/// All wait for one semaphore; they are then woken and counted.
pub async fn park_many(tasks: usize) -> Repetition {
    let park = Arc::new(Park {
        gate: Semaphore::new(0),
        arrived: AtomicUsize::new(0),
        left: AtomicUsize::new(0),
    });
    let before = resident_bytes();
    let watch = Stopwatch::start();
    for _ in 0..tasks {
        let park = park.clone();
        tokio::spawn(async move {
            park.arrived.fetch_add(1, Ordering::Relaxed); // a count, no data
            park.gate.acquire().await.expect("nobody closes it").forget();
            park.left.fetch_add(1, Ordering::Relaxed); // a count, no data
        });
    }
    while park.arrived.load(Ordering::Relaxed) < tasks {
        tokio::task::yield_now().await;
    }
    tokio::task::yield_now().await; // the last one may have counted and not yet parked
    let mut result = watch.stop(tasks);
    result.extra.push(("bytes", resident_bytes() - before));
    park.gate.add_permits(tasks);
    while park.left.load(Ordering::Relaxed) < tasks {
        tokio::task::yield_now().await;
    }
    result
}
