#!/usr/bin/env python3
"""Programs that are built with AddressSanitizer and ThreadSanitizer do under every model what they
do natively, and their faults are found."""

import os
import pathlib
import re
import shutil
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).parent))

from shim_run import Failures, describe, need_shim, run, skip, under  # noqa: E402

SOURCE = pathlib.Path(__file__).resolve().parents[2]
MODELS = (("m:n", 2), ("m:n", 1), ("m:1", 1))
FAULTS = """
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
static int shared;
static char* volatile memory;
static void* race(void* unused) { for (int i = 0; i < 1000; ++i) ++shared; return unused; }
static void* overrun(void* unused) { memory[10] = 1; return unused; }
int main(int argc, char** argv) {
  pthread_t one, other;
  void* (*body)(void*) = argc > 1 && !strcmp(argv[1], "race") ? race : overrun;
  memory = static_cast<char*>(malloc(10));
  pthread_create(&one, NULL, body, NULL);
  pthread_create(&other, NULL, body, NULL);
  pthread_join(one, NULL);
  pthread_join(other, NULL);
  free(memory);
  return 0;
}
"""


def build(compiler, folder, source, sanitizer):
    program = folder / f"{source.stem}-{sanitizer}"
    built = run([compiler, "-std=c++20", "-O1", "-g", "-pthread", f"-fsanitize={sanitizer}",
                 f"-I{SOURCE}", source, "-o", program])
    return program if built.returncode == 0 else None


def summary(result):
    """What the sanitizer says in a line, without numbers of this run."""
    found = re.search(r"SUMMARY: (\w+: [\w-]+(?: [\w-]+)?)", result.stderr)
    return found.group(1) if found else None


def main():
    need_shim()
    compiler = shutil.which("g++")
    if not compiler:
        skip("there is no g++")
    failures = Failures()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        faults = folder / "faults.cpp"
        faults.write_text(FAULTS)
        programs = SOURCE / "tests" / "shim" / "programs"
        cases = [(source, sanitizer, ())
                 for source in (programs / "basics.cpp", programs / "both_sides.cpp")
                 for sanitizer in ("address", "thread")]
        cases += [(faults, "address", ("overrun",)), (faults, "thread", ("race",))]
        for source, sanitizer, words in cases:
            program = build(compiler, folder, source, sanitizer)
            native = run([program, *words]) if program else None
            if native is None or "FATAL" in native.stderr:
                print(f"{sanitizer}: does not work natively here, left out")
                continue
            if words:
                failures.check(summary(native) is not None, f"native: {describe(native)}")
            for model, workers in MODELS:
                for _ in range(int(os.environ.get("TREADLE_REPEAT", "1"))):
                    found = under(model, workers, program, *words)
                    what = f"{program.name} {' '.join(words)} under {model}, {workers} workers"
                    failures.same(what, native, found)
                    failures.check(summary(native) == summary(found),
                                   f"{what}: {describe(native)}\n{describe(found)}")
    failures.end()


main()
