#!/usr/bin/env python3
"""Pthread programs natively and under `treadle run`, in turns, against the bars of docs/shim.md.

What hands over on one worker is compared with the same program on one CPU: there the kernel needs
no second CPU to be woken, which would flatter us. Such rows, and those of one thread, are CPU time
of the whole process, so that neighbours do not count and no kernel thread's work is hidden; the
others are time on the wall. Each round gives one ratio (or difference); "got" is their median.

    ./do programs [--rounds 5] [--only NAME,...] [--scale 1.0] [--json FILE] [--into DOC.md]
"""

import argparse
import datetime
import json
import os
import pathlib
import platform
import random
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
BEGIN = "<!-- programs -->"
END = "<!-- end of programs -->"
LIVE_THREADS = 10_000
START_UPS = 20  # of each kind in one round, of which the median counts
ALWAYS_TAKES = 600

# What a figure of two is: name, how it is made of native's and ours, whether more is better.
FASTER = ("x faster", lambda native, ours: native / ours, True)
COST = ("x native", lambda native, ours: ours / native, False)
ADDED = ("over native", lambda native, ours: ours - native, False)

# Name, operations, clock, CPUs (1: both on one, 0: all), unit, kind of figure, bar.
WORKLOADS = [
    ("condition", 100_000, "cpu_s", 1, "ns", FASTER, 20),
    ("semaphore", 200_000, "cpu_s", 1, "ns", FASTER, 10),
    ("yield", 400_000, "cpu_s", 1, "ns", FASTER, 15),
    ("create-join", 20_000, "cpu_s", 1, "ns", FASTER, 1.5),
    ("create-join", 20_000, "wall_s", 0, "ns", FASTER, 1.5),
    ("mutex", 5_000_000, "cpu_s", 1, "ns", COST, 1.1),
    ("libc-call", 1_000_000, "cpu_s", 1, "ns", ADDED, 150),
    ("raw-call", 1_000_000, "cpu_s", 1, "ns", ADDED, 150),
    ("producers-consumers", 200_000, "wall_s", 0, "ns", FASTER, 3),
]
COMPRESSORS = {
    "pigz": ["pigz", "-p{cpus}", "-c"],
    "xz": ["xz", "-T{cpus}", "-1", "--block-size=1MiB", "-c"],
    "zstd": ["zstd", "-q", "-T{cpus}", "-9", "-c"],
}
COMPRESSOR_BAR = 1.05
START_UP_BAR = 3.0
BYTES_BAR = 12 * 1024
KERNEL_THREADS_BAR = 8


class Bench:
    def __init__(self, wanted):
        self.treadle = wanted.build / "bin" / "treadle"
        self.program = wanted.build / "bin" / "bench-shim"
        self.rounds = wanted.rounds
        self.scale = wanted.scale
        self.only = wanted.only.split(",") if wanted.only else None
        self.cpus = sorted(os.sched_getaffinity(0))
        self.environment = {name: value for name, value in os.environ.items()
                            if not name.startswith("TREADLE_") and name != "LD_PRELOAD"}
        self.rows = []

    def wants(self, name):
        return self.only is None or name in self.only

    def scaled(self, count):
        return max(10, int(count * self.scale))

    def line(self, ours, workers, words):
        if not ours:
            return [str(word) for word in words]
        return [str(self.treadle), "run", "--model", "m:n", "--workers", str(workers), "--",
                *map(str, words)]

    def run(self, words, cpus, **more):
        own = set(cpus)
        return subprocess.run(words, check=True, timeout=ALWAYS_TAKES, env=self.environment,
                              preexec_fn=lambda: os.sched_setaffinity(0, own), **more)

    def milliseconds(self, words):
        """From exec to the end. To fork this interpreter would take longer than that."""
        quiet = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
        begin = time.monotonic_ns()
        process = os.posix_spawn(words[0], words, self.environment, file_actions=quiet)
        _, status = os.waitpid(process, 0)
        spent = (time.monotonic_ns() - begin) / 1e6
        if status != 0:
            sys.exit(f"programs: {' '.join(words)} ended with {os.waitstatus_to_exitcode(status)}")
        return spent

    def said(self, ours, workers, cpus, *words):
        line = self.line(ours, workers, [self.program, *words])
        return json.loads(self.run(line, cpus, capture_output=True, text=True).stdout)

    def in_turns(self, measure):
        """Each round natively and ours, who begins in turns. A list of (native, ours)."""
        found = []
        for turn in range(self.rounds):
            pair = {}
            for ours in ((False, True) if turn % 2 == 0 else (True, False)):
                pair[ours] = measure(ours)
            found.append((pair[False], pair[True]))
        return found

    def add(self, workload, workers, clock, unit, kind, bar, pairs, **more):
        word, of, more_is_better = kind
        got = [of(native, ours) for native, ours in pairs]
        middle = statistics.median(got)
        self.rows.append({
            "workload": workload, "workers": workers, "clock": clock, "unit": unit,
            "native": statistics.median(pair[0] for pair in pairs),
            "treadle": statistics.median(pair[1] for pair in pairs),
            "figure": word, "to_reach": bar, "got": middle,
            "spread": (max(got) - min(got)) / abs(middle) if middle else 0.0,
            "reached": middle >= bar if more_is_better else middle <= bar,
            "rounds": [{"native": pair[0], "treadle": pair[1]} for pair in pairs], **more})
        print(text_of(self.rows[-1]), flush=True)

    def leave_out(self, workload, why):
        self.rows.append({"workload": workload, "why": why})
        print(f"{workload}: not run: {why}", flush=True)

    def workloads(self):
        for name, count, clock, cpus, unit, kind, bar in WORKLOADS:
            if not self.wants(name):
                continue
            operations = self.scaled(count)
            if name == "producers-consumers":
                operations = max(500, operations - operations % 500)
            these = self.cpus[-1:] if cpus == 1 else self.cpus
            workers = len(these)

            def measure(ours):
                result = self.said(ours, workers, these, name, operations)
                return result[clock] / result["operations"] * 1e9
            self.add(name, workers, clock[:-2], unit, kind, bar, self.in_turns(measure))

    def live_threads(self):
        if not self.wants("live-threads"):
            return
        count = self.scaled(LIVE_THREADS)
        pairs = self.in_turns(
            lambda ours: self.said(ours, len(self.cpus), self.cpus, "live-threads", count))
        for field, bar, unit in (("bytes_each", BYTES_BAR, "B"),
                                 ("kernel_threads", KERNEL_THREADS_BAR, "")):
            values = [(native[field], ours[field]) for native, ours in pairs]
            self.add("live-threads", len(self.cpus), field, unit,
                     ("ours", lambda native, ours: ours, False), bar, values, threads=count)

    def start_ups(self):
        for name in ("nothing", "one-thread"):
            if not self.wants(name):
                continue
            times = max(3, self.scaled(START_UPS) if self.scale < 1 else START_UPS)

            def measure(ours, name=name, times=times):
                line = self.line(ours, 1, [self.program, name])
                return statistics.median(self.milliseconds(line) for _ in range(times))
            self.add(name, 1, "wall", "ms", ADDED, START_UP_BAR, self.in_turns(measure))

    def compressors(self, folder):
        names = [name for name in COMPRESSORS if self.wants(name)]
        if not names:
            return
        source = folder / "text"
        source.write_bytes(text(int(max(1.0, 32 * self.scale) * 2**20)))
        cpus = len(self.cpus)
        for name in names:
            if not shutil.which(name):
                self.leave_out(name, "not installed")
                continue
            words = [word.format(cpus=cpus) for word in COMPRESSORS[name]] + [source]

            def measure(ours, words=words):
                before = resource.getrusage(resource.RUSAGE_CHILDREN)
                self.run(self.line(ours, cpus, words), self.cpus, stdout=subprocess.DEVNULL)
                after = resource.getrusage(resource.RUSAGE_CHILDREN)
                return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
            self.add(name, cpus, "user + system", "s", COST, COMPRESSOR_BAR,
                     self.in_turns(measure))


def text(size):
    """Words at random: the same each time, and neither trivial nor hopeless to compress."""
    chosen = random.Random(7)
    words = ["".join(chosen.choices("abcdefghijklmnopqrstuvwxyz", k=chosen.randint(2, 9)))
             for _ in range(5000)]
    return " ".join(chosen.choices(words, k=size // 5)).encode()[:size]  # words of 6.5 with a space


def number(value, unit=""):
    if unit == "B":
        return f"{value:.0f} B"
    return f"{value:.3g} {unit}".strip() if abs(value) < 1000 else f"{value:.0f} {unit}".strip()


def bar_of(row):
    if row["figure"] == "x faster":
        return f">= {row['to_reach']:g} x", f"{row['got']:.1f} x"
    if row["figure"] == "x native":
        return f"<= {row['to_reach']:g} x", f"{row['got']:.3f} x"
    if row["figure"] == "over native":
        return f"<= {row['to_reach']:g} {row['unit']} more", number(row["got"], row["unit"])
    return f"<= {number(row['to_reach'], row['unit'])}", number(row["got"], row["unit"])


def text_of(row):
    bar, got = bar_of(row)
    verdict = "reached" if row["reached"] else "SHORT"
    return (f"{row['workload']:20} {row['workers']} worker{'s' if row['workers'] > 1 else ' '} "
            f"{row['clock']:14} native {number(row['native'], row['unit']):>10}  "
            f"treadle {number(row['treadle'], row['unit']):>10}  {bar:>14}  {got:>9}  "
            f"spread {row['spread']:4.0%}  {verdict}")


def processor():
    for line in pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def table(rows, cpus):
    lines = [f"Machine: {processor()}, {cpus} CPUs, Linux {platform.release()}, "
             f"{platform.libc_ver()[0]} {platform.libc_ver()[1]}. "
             f"Date: {datetime.date.today().isoformat()}.", "",
             "| workload | workers | clock | native | treadle run | to reach | got | spread | |",
             "|---|---|---|---|---|---|---|---|---|"]
    for row in rows:
        if "why" in row:
            lines.append(f"| `{row['workload']}` | - | - | - | - | - | - | - | not run: "
                         f"{row['why']} |")
            continue
        bar, got = bar_of(row)
        lines.append(
            f"| `{row['workload']}` | {row['workers']} | {row['clock'].replace('_', ' ')} | "
            f"{number(row['native'], row['unit'])} | {number(row['treadle'], row['unit'])} | "
            f"{bar} | {got} | {row['spread']:.0%} | "
            f"{'reached' if row['reached'] else '**short**'} |")
    return "\n".join(lines)


def refresh(document, made):
    old = document.read_text(encoding="utf-8")
    between = re.compile(re.escape(BEGIN) + ".*?" + re.escape(END), re.DOTALL)
    if not between.search(old):
        sys.exit(f"programs: {document} has no {BEGIN} ... {END}")
    document.write_text(between.sub(lambda _: f"{BEGIN}\n{made}\n{END}", old, count=1),
                        encoding="utf-8")


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--build", type=pathlib.Path,
                         default=HERE.parent.parent / "build" / "release")
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--scale", type=float, default=1.0, help="of all counts")
    options.add_argument("--only", help="workloads, with commas between")
    options.add_argument("--json", type=pathlib.Path)
    options.add_argument("--into", type=pathlib.Path, metavar="DOC.md")
    wanted = options.parse_args()
    bench = Bench(wanted)
    for needed in (bench.treadle, bench.program):
        if not needed.is_file():
            sys.exit(f"programs: {needed} is not there; ./do programs builds it")
    bench.workloads()
    bench.live_threads()
    bench.start_ups()
    with tempfile.TemporaryDirectory() as folder:
        bench.compressors(pathlib.Path(folder))
    if not bench.rows:
        sys.exit(f"programs: no workload is called '{wanted.only}'")
    if wanted.json:
        wanted.json.write_text(json.dumps(bench.rows, indent=1) + "\n", encoding="utf-8")
    if wanted.into:
        refresh(wanted.into, table(bench.rows, len(bench.cpus)))


if __name__ == "__main__":
    main()
