//! Tasks that yield, are spawned, hand over, and lock. Each in the way of Tokio's documentation:
//! Semaphore, Notify where others have a condition variable, mpsc for channels, and for locks that
//! are not held over an await, as its documentation recommends, the standard library's Mutex.
//! It has no channel without a buffer; mpsc::channel(1) is its smallest.

use crate::measure::{spend, Repetition, Stopwatch};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, Notify, Semaphore};
use tokio::task::{yield_now, JoinHandle};

async fn join(task: JoinHandle<()>) {
    task.await.expect("a task panicked");
}

pub async fn yield_between_two(yields: usize) -> Repetition {
    let body = move || async move {
        for _ in 0..yields {
            yield_now().await;
        }
    };
    let watch = Stopwatch::start();
    let (one, two) = (tokio::spawn(body()), tokio::spawn(body()));
    join(one).await;
    join(two).await;
    watch.stop(2 * yields)
}

pub async fn spawn_and_join(tasks: usize) -> Repetition {
    let watch = Stopwatch::start();
    for _ in 0..tasks {
        join(tokio::spawn(async {})).await;
    }
    watch.stop(tasks)
}

pub async fn spawn_all_then_join(tasks: usize) -> Repetition {
    let mut children = Vec::with_capacity(tasks);
    let watch = Stopwatch::start();
    for _ in 0..tasks {
        children.push(tokio::spawn(async {}));
    }
    for child in children {
        join(child).await;
    }
    watch.stop(tasks)
}

async fn take(from: &Semaphore) {
    from.acquire().await.expect("nobody closes it").forget();
}

pub async fn hand_over(rounds: usize) -> Repetition {
    let both = Arc::new((Semaphore::new(0), Semaphore::new(0)));
    let others = both.clone();
    let watch = Stopwatch::start();
    let one = tokio::spawn(async move {
        for _ in 0..rounds {
            both.0.add_permits(1);
            take(&both.1).await;
        }
    });
    let two = tokio::spawn(async move {
        for _ in 0..rounds {
            take(&others.0).await;
            others.1.add_permits(1);
        }
    });
    join(one).await;
    join(two).await;
    watch.stop(2 * rounds)
}

pub async fn hand_over_by_notify(rounds: usize) -> Repetition {
    let both = Arc::new((Notify::new(), Notify::new()));
    let others = both.clone();
    let watch = Stopwatch::start();
    let one = tokio::spawn(async move {
        for _ in 0..rounds {
            both.0.notify_one();
            both.1.notified().await;
        }
    });
    let two = tokio::spawn(async move {
        for _ in 0..rounds {
            others.0.notified().await;
            others.1.notify_one();
        }
    });
    join(one).await;
    join(two).await;
    watch.stop(2 * rounds)
}

pub async fn through_a_channel(capacity: usize, values: usize) -> Repetition {
    let (to, mut from) = mpsc::channel::<usize>(capacity);
    let watch = Stopwatch::start();
    let sender = tokio::spawn(async move {
        for value in 1..=values {
            to.send(value).await.expect("the receiver is there");
        }
    });
    let receiver = tokio::spawn(async move {
        let mut sum = 0;
        while let Some(value) = from.recv().await {
            sum += value;
        }
        sum
    });
    join(sender).await;
    let sum = receiver.await.expect("a task panicked");
    let result = watch.stop(values);
    assert_eq!(sum, values * (values + 1) / 2, "a value was lost");
    result
}

struct Counted {
    times: usize,
    spent: u64,
    longest: Duration,
}

async fn lock_by_64_in(each: usize, turns: u64, timed: bool) -> (Repetition, Duration) {
    const TASKS: usize = 64;
    let shared = Arc::new(Mutex::new(Counted { times: 0, spent: 1, longest: Duration::ZERO }));
    let mut children = Vec::with_capacity(TASKS);
    let watch = Stopwatch::start();
    for _ in 0..TASKS {
        let shared = shared.clone();
        children.push(tokio::spawn(async move {
            for _ in 0..each {
                let before = timed.then(Instant::now);
                let mut held = shared.lock().expect("nobody panicked");
                if let Some(before) = before {
                    held.longest = held.longest.max(before.elapsed());
                }
                held.times += 1;
                if turns != 0 {
                    held.spent = spend(turns, held.spent);
                }
            }
        }));
    }
    for child in children {
        join(child).await;
    }
    let result = watch.stop(TASKS * each);
    let held = shared.lock().expect("nobody panicked");
    assert_eq!(held.times, TASKS * each, "the mutex did not exclude: the count is wrong");
    (result, held.longest)
}

/// And once more with a look at the clock round each lock, which is not timed.
pub async fn lock_by_64(each: usize, turns: u64) -> Repetition {
    let (mut result, _) = lock_by_64_in(each, turns, false).await;
    let (_, longest) = lock_by_64_in(each, turns, true).await;
    result.extra.push(("longest_wait_s", longest.as_secs_f64()));
    result
}
