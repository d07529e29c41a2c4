//! Clocks, memory, and the length of a critical section: what bench/measure.hpp has.

use std::arch::asm;
use std::time::{Duration, Instant};

#[derive(Default)]
pub struct Repetition {
    pub operations: f64,
    pub wall_s: f64,
    pub cpu_s: f64,
    pub extra: Vec<(&'static str, f64)>,
}

impl Repetition {
    pub fn json(&self) -> String {
        let mut text = format!(
            "{{\"operations\": {}, \"wall_s\": {:.9}, \"cpu_s\": {:.9}",
            self.operations, self.wall_s, self.cpu_s
        );
        for (name, value) in &self.extra {
            text += &format!(", \"{name}\": {value:.9}");
        }
        text + "}"
    }
}

/// All kernel threads of the process.
fn cpu_seconds() -> f64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` is a valid timespec that outlives the call.
    let failed = unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut now) };
    assert_eq!(failed, 0, "clock_gettime");
    now.tv_sec as f64 + now.tv_nsec as f64 * 1e-9
}

pub struct Stopwatch {
    wall: Instant,
    cpu: f64,
}

impl Stopwatch {
    pub fn start() -> Self {
        Stopwatch { wall: Instant::now(), cpu: cpu_seconds() }
    }

    pub fn stop(&self, operations: usize) -> Repetition {
        let cpu_s = cpu_seconds() - self.cpu;
        let wall_s = self.wall.elapsed().as_secs_f64();
        Repetition { operations: operations as f64, wall_s, cpu_s, extra: Vec::new() }
    }
}

/// The chain of dependent multiplications of bench/measure.hpp; gives what becomes of `value`.
#[inline(always)]
pub fn spend(turns: u64, mut value: u64) -> u64 {
    if turns == 0 {
        return value;
    }
    // SAFETY: arithmetic on two registers.
    unsafe {
        asm!(".p2align 6", "2: imul {0}, {0}, 3", "sub {1}, 1", "jnz 2b",
             inout(reg) value, inout(reg) turns => _, options(nomem, nostack));
    }
    value
}

/// How many turns of spend() last that many nanoseconds: the best of 20 bursts.
pub fn turns_lasting(nanoseconds: u64) -> u64 {
    const TURNS: u64 = 200_000;
    if nanoseconds == 0 {
        return 0;
    }
    let mut best = Duration::MAX;
    for _ in 0..20 {
        let begin = Instant::now();
        spend(TURNS, 1);
        best = best.min(begin.elapsed());
    }
    (nanoseconds as f64 * TURNS as f64 / best.as_nanos() as f64 + 0.5) as u64
}

/// VmRSS + VmPTE of this process.
pub fn resident_bytes() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("/proc/self/status");
    let kibibytes = |line: &str| line.split_whitespace().nth(1)?.parse::<f64>().ok();
    let of_threads = |line: &&str| line.starts_with("VmRSS:") || line.starts_with("VmPTE:");
    status.lines().filter(of_threads).filter_map(kibibytes).sum::<f64>() * 1024.0
}
