#!/usr/bin/env python3
"""tools/gdb/treadle.py finds Treadle's threads and their frames, also of parked ones: in a program
that uses the library, in a core file of it, and in a program of pthreads under the shim.

Exit status 77: there is no gdb here, or it may not trace.
"""

import os
import pathlib
import re
import resource
import shutil
import subprocess
import sys
import tempfile

SKIP = 77
SCRIPT = pathlib.Path(os.environ["TREADLE_SOURCE_DIR"]) / "tools" / "gdb" / "treadle.py"
LIBRARY_PROGRAM = pathlib.Path(os.environ["TREADLE_PROGRAMS_DIR"]) / "parked"
SHIM_PROGRAM = pathlib.Path(os.environ["TREADLE_SHIM_PROGRAMS_DIR"]) / "parked"
SHIM = pathlib.Path(os.environ["TREADLE_BUILD_DIR"]) / "lib" / "libtreadle-shim.so"
GARBAGE = ["corrupt stack", "Backtrace stopped", "Cannot access memory", "Python Exception"]
FAILED = []


def check(good, what, text):
    if not good:
        FAILED.append(what)
        print(f"FAILED: {what}\n{text}")


def gdb(*commands, program=(), core=None):
    words = ["gdb", "-batch", "-nx", "-ex", "set pagination off", "-ex",
             "set debuginfod enabled off", "-ex", "set width 0", "-ex", f"source {SCRIPT}"]
    for command in commands:
        words += ["-ex", command]
    words += [program[0], core] if core else ["--args", *program]
    text = subprocess.run([str(word) for word in words], text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=240, check=False).stdout
    if "ptrace: Operation not permitted" in text:
        print("skipped: gdb may not trace here")
        sys.exit(SKIP)
    return text


# The line of each thread after an "@ ", and its backtrace; between the lines gdb may warn.
EACH = ('python for line in gdb.execute("treadle threads", to_string=True).splitlines(): '
        'line[:7].strip().isdigit() and (print("@", line), '
        'gdb.execute("treadle backtrace " + line.split()[0]))')


def listed(text):
    """(line, backtrace) of each thread."""
    parts = re.split(r"^@ ", text, flags=re.MULTILINE)[1:]
    return [part.split("\n", 1) for part in parts]


def frames(text):
    text = text.replace("(anonymous namespace)::", "")
    names = re.findall(r"^#\d+ +(?:0x[0-9a-f]+ in )?([^(]+?) \(", text, re.MULTILINE)
    return [re.sub(r"<.*>", "", name).split("::")[-1] for name in names]


def at_stop(*more):
    return [*more, "handle SIGSYS SIGPWR nostop noprint pass", "set startup-with-shell off",
            "break stop_here", "run"]


def check_waiting(what, before, program, expected, core=None):
    """`expected`: for each function, words of the line of the thread that is in it."""
    text = gdb(*before, EACH, program=program, core=core)
    threads = listed(text)
    for garbage in GARBAGE:
        check(garbage not in text, f"{what}: {garbage}", text)
    for function, words in expected.items():
        traces = [trace for line, trace in threads if all(word in line for word in words)]
        check(len(traces) >= 1, f"{what}: no thread like {words}", text)
        good = [trace for trace in traces if function in frames(trace)]
        check(len(good) == 1, f"{what}: {function} not in one of {words}", text)
        for trace in good:
            check("stop_here" not in frames(trace), f"{what}: {function}: another's frame", text)


def library():
    for model in ("m:1", "1:1", "m:n"):
        program = (LIBRARY_PROGRAM, model)
        before = at_stop()
        waits = {"wait_for_lock": ['"on_lock"', "parked", "mutex"],
                 "wait_for_semaphore": ['"on_semaphore"', "parked", "semaphore"],
                 "wait_for_pipe": ['"on_pipe"']}
        check_waiting(model, before, program, waits)
        text = gdb(*before, "treadle backtrace 99999", "treadle backtrace x", "continue",
                   program=program)
        check("there is no thread 99999" in text, f"{model}: a number of nobody", text)
        check('the thread is "x", allowed are' in text, f"{model}: no number", text)
        check("done" in text and "exited normally" in text, f"{model}: it goes on", text)


def core_file():
    """The kernel's: gdb's own, of generate-core-file, have no pages beside a guard."""
    program = (LIBRARY_PROGRAM, "m:n")
    hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
    with tempfile.TemporaryDirectory() as folder:
        gdb(f"cd {folder}", *at_stop(), "signal SIGABRT", program=program)
        cores = list(pathlib.Path(folder).glob("core*"))
        if not cores:
            print("the kernel writes no core file here: that part is left out")
            return
        check_waiting("core", [], program,
                      {"wait_for_lock": ['"on_lock"', "parked", "mutex"],
                       "wait_for_pipe": ['"on_pipe"', "parked", "io"]}, core=cores[0])


def shim():
    if not SHIM.exists():
        print("there is no shim in this build: its part is left out")
        return
    for model in ("m:1", "m:n"):
        program = (SHIM_PROGRAM,)
        before = at_stop(f"set environment LD_PRELOAD {SHIM}",
                         f"set environment TREADLE_MODEL {model}",
                         "set environment TREADLE_WIDTH 1")
        check_waiting(f"shim {model}", before, program,
                      {"wait_for_lock": ["pthread", "parked", "futex"],
                       "wait_for_semaphore": ["pthread", "parked", "futex"],
                       "wait_for_pipe": ["pthread", "parked", "read"]})


def no_treadle():
    text = gdb("break main", "run", "treadle threads", program=("/bin/true",))
    check("no Treadle here" in text, "a program without Treadle", text)


def main():
    if shutil.which("gdb") is None:
        print("skipped: no gdb")
        return SKIP
    if os.environ.get("TREADLE_INSTRUMENTED"):
        print("skipped: gdb and instrumented programs disagree about memory")
        return SKIP
    for part in (no_treadle, library, core_file, shim):
        part()
    print("all good" if not FAILED else f"{len(FAILED)} failed")
    return 1 if FAILED else 0


if __name__ == "__main__":
    sys.exit(main())
