//! Fork-join: a child is spawned and awaited. A recursive async function has to be boxed.

use crate::measure::{Repetition, Stopwatch};
use std::future::Future;
use std::pin::Pin;

type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;

fn fib(n: usize) -> Boxed<usize> {
    Box::pin(async move {
        if n < 2 {
            return n;
        }
        let one = tokio::spawn(fib(n - 1));
        let two = fib(n - 2).await;
        one.await.expect("a task panicked") + two
    })
}

/// fib(n) forks fib(n + 1) - 1 times.
pub async fn fibonacci_tree(n: usize) -> Repetition {
    let (mut forks, mut before) = (1, 0);
    for _ in 0..n {
        (forks, before) = (forks + before, forks);
    }
    let watch = Stopwatch::start();
    let value = fib(n).await;
    let result = watch.stop(forks - 1);
    assert!(value + 1 >= n, "fib gave a wrong number");
    result
}

fn skynet(number: usize, leaves: usize) -> Boxed<usize> {
    Box::pin(async move {
        if leaves == 1 {
            return number;
        }
        let share = leaves / 10;
        let children: Vec<_> =
            (0..10).map(|child| tokio::spawn(skynet(number + child * share, share))).collect();
        let mut total = 0;
        for child in children {
            total += child.await.expect("a task panicked");
        }
        total
    })
}

pub async fn skynet_tree(leaves: usize) -> Repetition {
    let (mut spawned, mut row) = (0, leaves);
    while row > 1 {
        spawned += row;
        row /= 10;
    }
    let watch = Stopwatch::start();
    let value = skynet(0, leaves).await;
    let result = watch.stop(spawned);
    assert_eq!(value, leaves * (leaves - 1) / 2, "skynet gave a wrong sum");
    result
}
