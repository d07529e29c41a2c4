//! The peer "tokio": tasks on its multi-thread or, with --current-thread, its current-thread
//! scheduler. The arguments and the output are those of bench/peers/cpp/program.hpp:
//!
//!     PROGRAM [--current-thread] WORKLOAD WORKERS REPETITIONS COUNT [MORE]

mod crowds;
mod echo;
mod gap;
mod http;
mod kernels;
mod measure;
mod mixed;
mod threads;
mod trees;

use measure::Repetition;
use std::process::exit;
use tokio::runtime::{Builder, Runtime};

const STATUS_USAGE: i32 = 2;
const STATUS_NO_SUCH_WORKLOAD: i32 = 3;

/// From Cargo.lock, which is what was built.
const LOCKED: &str = include_str!("../Cargo.lock");

struct Order {
    workload: String,
    workers: usize,
    repetitions: usize,
    count: usize,
    more: u64,
}

fn end(status: i32, what: &str) -> ! {
    eprintln!("{what}");
    exit(status)
}

fn number(name: &str, text: &str, least: u64) -> u64 {
    match text.parse() {
        Ok(value) if value >= least => value,
        _ => end(STATUS_USAGE, &format!("{name} is '{text}'; allowed: a number from {least}")),
    }
}

fn locked(name: &str) -> &'static str {
    let after = LOCKED.split(&format!("name = \"{name}\"\nversion = \"")).nth(1);
    after.and_then(|text| text.split('"').next()).unwrap_or("unknown")
}

fn version() -> String {
    format!("Tokio {}, hyper {}", locked("tokio"), locked("hyper"))
}

async fn once(order: &Order, turns: u64) -> Repetition {
    let count = order.count;
    match order.workload.as_str() {
        "yield" => threads::yield_between_two(count).await,
        "spawn_join" => threads::spawn_and_join(count).await,
        "bulk_spawn" => threads::spawn_all_then_join(count).await,
        "handoff_semaphore" => threads::hand_over(count).await,
        "handoff_condition" => threads::hand_over_by_notify(count).await,
        "channel_unbuffered" => threads::through_a_channel(1, count).await,
        "channel_buffered" => threads::through_a_channel(1024, count).await,
        "fib" => trees::fibonacci_tree(count).await,
        "skynet" => trees::skynet_tree(count).await,
        "queens" => kernels::place_queens(count).await,
        "matrix" => kernels::multiply_matrices(count).await,
        "mixed" => mixed::mixed(count).await,
        "sleepers" => crowds::sleep_in_a_crowd(count).await,
        name if name.starts_with("parked_") => crowds::park_many(count).await,
        name if name.starts_with("gap_") => gap::longest_gap(name, count, order.more).await,
        name if name.starts_with("mutex_64_") => threads::lock_by_64(count, turns).await,
        name => end(STATUS_NO_SUCH_WORKLOAD, &format!("has no workload {name}")),
    }
}

async fn measure(order: Order) {
    if order.workload == "echo" {
        echo::serve().await;
    }
    if order.workload == "http" {
        http::serve().await;
    }
    let turns = measure::turns_lasting(order.more);
    if !order.workload.starts_with("parked_") {
        once(&order, turns).await; // the warm-up
    }
    for _ in 0..order.repetitions {
        println!("{}", once(&order, turns).await.json());
    }
    exit(0) // what the runtime left running dies with the process
}

fn runtime(current_thread: bool, workers: usize) -> Runtime {
    let built = if current_thread {
        Builder::new_current_thread().enable_all().build()
    } else {
        Builder::new_multi_thread().worker_threads(workers).enable_all().build()
    };
    built.unwrap_or_else(|error| end(1, &error.to_string()))
}

fn main() {
    let mut words: Vec<String> = std::env::args().skip(1).collect();
    if words.last().is_some_and(|word| word == "--version") {
        println!("{}", version());
        return;
    }
    let current_thread = words.first().is_some_and(|word| word == "--current-thread");
    if current_thread {
        words.remove(0);
    }
    if words.len() != 4 && words.len() != 5 {
        end(STATUS_USAGE, "[--current-thread] WORKLOAD WORKERS REPETITIONS COUNT [MORE]");
    }
    let order = Order {
        workload: words[0].clone(),
        workers: number("WORKERS", &words[1], 1) as usize,
        repetitions: number("REPETITIONS", &words[2], 1) as usize,
        count: number("COUNT", &words[3], 1) as usize,
        more: words.get(4).map_or(0, |word| number("MORE", word, 0)),
    };
    if current_thread && order.workers != 1 {
        end(1, "the current-thread scheduler has one worker only");
    }
    let runtime = runtime(current_thread, order.workers);
    // As a task of the scheduler: block_on() alone would run it outside of its workers.
    runtime
        .block_on(async { tokio::spawn(measure(order)).await })
        .expect("the task ends by exit()");
}
