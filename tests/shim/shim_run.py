"""For the shim's tests: runs a program natively and under `treadle run`, and compares."""

import os
import pathlib
import signal
import subprocess
import sys

COMMAND = os.environ["TREADLE_COMMAND"]
PROGRAMS = pathlib.Path(os.environ["TREADLE_SHIM_PROGRAMS_DIR"])
# A test never waits for long natively; under load a model may take a while.
SECONDS = 100
MODELS = (("m:n", 1), ("m:n", 2), ("m:1", 1), ("1:1", 1))


def skip(why):
    print(f"skipped: {why}")
    sys.exit(77)


def need_shim():
    """Ends the test where this build or this machine has no shim."""
    if os.environ.get("TREADLE_INSTRUMENTED"):
        skip("instrumented builds have no shim")
    if os.uname().machine != "x86_64":
        skip("the shim is for x86-64")
    found = under("m:n", 1, "/bin/true")
    if found.returncode == 2:
        skip(found.stderr.strip())


def clean_environment():
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TREADLE_")}
    kept.pop("LD_PRELOAD", None)
    return kept


def run(words, **options):
    options.setdefault("timeout", SECONDS)
    options.setdefault("env", clean_environment())
    try:
        return subprocess.run([str(word) for word in words], capture_output=True, text=True,
                              errors="replace", check=False, **options)
    except subprocess.TimeoutExpired as error:
        print(f"no end after {options['timeout']} s: {words}\nstdout: {error.stdout}\n"
              f"stderr: {error.stderr}")
        sys.exit(1)


def under(model, workers, *words, options=(), **more):
    return run([COMMAND, "run", "--model", model, "--workers", workers, *options, "--", *words],
               **more)


def describe(result):
    code = result.returncode
    # Real-time signals but the first and the last have no name.
    names = {one.value: one.name for one in signal.Signals}
    how = f"signal {names.get(-code, -code)}" if code < 0 else f"status {code}"
    return f"{how}\n--- stdout\n{result.stdout}--- stderr\n{result.stderr}"


class Failures:
    def __init__(self):
        self.count = 0

    def check(self, good, what):
        if not good:
            self.count += 1
            print(f"FAILED: {what}")

    def same(self, what, expected, found):
        good = (expected.returncode, expected.stdout) == (found.returncode, found.stdout)
        self.check(good, f"{what}\nnative: {describe(expected)}\nfound: {describe(found)}")

    def end(self):
        print("all good" if not self.count else f"{self.count} failed")
        sys.exit(1 if self.count else 0)
