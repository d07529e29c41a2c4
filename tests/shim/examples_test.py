#!/usr/bin/env python3
"""The textbook's two programs show under each model what the textbook says.

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
    failures.end()


main()
