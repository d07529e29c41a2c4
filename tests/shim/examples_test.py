#!/usr/bin/env python3
"""The textbook's two programs show under each model what the textbook says, and under --pure what
it says of a library that knows nothing of system calls.

TREADLE_REPEAT=N runs each N times.
"""

import os
import pathlib
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).parent))

from shim_run import Failures, describe, need_shim, run, under  # noqa: E402

EXAMPLES = pathlib.Path(os.environ["TREADLE_BUILD_DIR"]) / "examples" / "pthreads"
SERIAL = "they ran one after another\n"
PARALLEL = "they ran at the same time\n"
READER = ("other thread: computed 200000010000000\nthe reader did not stop the other\n"
          "reader: got 'wake up'\n")


def main():
    need_shim()
    failures = Failures()

    def check(what, found, good):
        failures.check(found.returncode == 0 and good(found.stdout), f"{what}: {describe(found)}")

    counters = EXAMPLES / "two_counters"
    reader = EXAMPLES / "blocked_reader"
    check("counters", run([counters]), lambda text: text.endswith(PARALLEL))
    check("reader", run([reader]), lambda text: text == READER)
    for _ in range(int(os.environ.get("TREADLE_REPEAT", "1"))):
        for model, last in (("m:1", SERIAL), ("1:1", PARALLEL), ("m:n", PARALLEL)):
            check(f"counters under {model}", under(model, 2, counters),
                  lambda text, last=last: text.endswith(last))
            for workers in (1, 2):
                check(f"reader under {model}, {workers} workers", under(model, workers, reader),
                      lambda text: text == READER)
        check("counters under --pure", under("m:1", 1, counters, options=["--pure"]),
              lambda text: text.endswith(SERIAL))
        stopped = under("m:1", 1, reader, options=["--pure", "--watchdog", "0.2"])
        failures.check(stopped.returncode == 3 and stopped.stdout == ""
                       and stopped.stderr.count("\n") == 1
                       and all(part in stopped.stderr for part in ("watchdog", "in read()",
                                                                  "1 other that could run")),
                       f"reader under --pure: {describe(stopped)}")
    failures.end()


main()
