#!/usr/bin/env python3
"""Pthread programs of our own print and return under every model what they do natively.

TREADLE_REPEAT=N runs each N times.
"""

import os
import pathlib
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).parent))

from shim_run import Failures, MODELS, PROGRAMS, need_shim, run, under  # noqa: E402

WAYS = ("return", "exit", "_exit", "abort", "segv", "fpe", "term", "kill", "pipe", "exec",
        "last", "last_raw", "last_raw_thread")


def main():
    need_shim()
    failures = Failures()
    cases = [(name,) for name in ("at_once", "basics", "both_sides", "crowds", "execs",
                                  "finer_waits", "full_sinks", "keys", "locks", "many_futexes",
                                  "nowhere", "own_signals", "processes", "queued", "rings",
                                  "shared_locks", "shared_signals", "signal_descriptors",
                                  "signals", "storms", "traits", "untouched",
                                  "wakes_of_all")]
    cases += [("privileges", what) for what in ("drop", "twice")]
    cases += [("ends", way) for way in WAYS] + [("ends", way, "thread") for way in WAYS]
    for case in cases:
        words = [PROGRAMS / case[0], *case[1:]]
        native = run(words)
        for model, workers in MODELS:
            for _ in range(int(os.environ.get("TREADLE_REPEAT", "1"))):
                found = under(model, workers, *words)
                failures.same(f"{' '.join(case)} under {model}, {workers} workers", native, found)
        found = under("m:1", 1, *words, options=("--slice", "1ms"))
        failures.same(f"{' '.join(case)} under m:1 with a slice", native, found)
    # Its threads spin, which under m:1 without a slice would be for ever.
    native = run([PROGRAMS / "noticed"])
    for model, workers in MODELS:
        options = ("--slice", "1ms") if model == "m:1" else ()
        failures.same(f"noticed under {model}, {workers} workers", native,
                      under(model, workers, PROGRAMS / "noticed", options=options))
    failures.end()


main()
