#!/usr/bin/env python3
"""Each system call that the shim makes at its start fails once, and each kind of call for good.

Then the program runs as ever; or it is refused, with status 2 and one line that says why; or, with
--fallback, it runs natively after one warning. Once libc's text has been made unexecutable, or the
program's threads wait for the runtime, --fallback is too late, and there is the refusal. Never a
hang, a crash or another result. Three exceptions: a pthread_create() of the program's own may fail;
a membarrier that works no more after it was registered is a broken kernel, and ends the process
with a line; and a call that the program needs itself does to it what it does natively.
"""

import concurrent.futures
import errno
import os
import pathlib
import re
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).parent))

from shim_run import COMMAND, Failures, PROGRAMS, describe, need_shim, run  # noqa: E402

ERRORS = (errno.EPERM, errno.ENOMEM, errno.ENOSYS, errno.EMFILE)
MMAP, MPROTECT, MEMBARRIER, CLONE, CLONE3 = 9, 10, 324, 56, 435
FAILS_FOR_PROGRAM = (MMAP, MPROTECT, CLONE, CLONE3)
ABORTED = 200 + 6

# For good, of basics and all of the runtime: number of x86-64, error; an argument and its value.
DENIED = {
    "clone3": (CLONE3, errno.ENOSYS), "membarrier": (MEMBARRIER, errno.EPERM),
    "perf_event_open": (298, errno.EACCES), "io_uring_setup": (425, errno.EPERM),
    "epoll_create1": (291, errno.EMFILE), "eventfd2": (290, errno.EMFILE),
    "timerfd_create": (283, errno.EMFILE), "timer_create": (222, errno.EAGAIN),
    "timer_settime": (223, errno.EPERM), "sched_setscheduler": (144, errno.EPERM),
    "sched_setaffinity": (203, errno.EPERM), "sched_getaffinity": (204, errno.EPERM),
    "setpriority": (141, errno.EPERM), "getdents64": (217, errno.EPERM),
    "process_vm_readv": (310, errno.EPERM), "process_madvise": (440, errno.ENOSYS),
    "madvise": (28, errno.EINVAL), "sigaltstack": (131, errno.ENOMEM),
    "rt_sigtimedwait": (128, errno.EPERM), "tgkill": (234, errno.EPERM),
    "fcntl": (72, errno.EMFILE), "prctl": (157, errno.EPERM),
    "prctl(dispatch)": (157, errno.EPERM, 0, 59), "mprotect(write)": (MPROTECT, errno.EPERM, 2, 3),
    "mprotect(execute)": (MPROTECT, errno.EPERM, 2, 5), "rt_sigprocmask": (14, errno.EPERM),
    "rt_sigaction": (13, errno.EPERM), "arch_prctl": (158, errno.EPERM),
    "getpid": (39, errno.EPERM), "gettid": (186, errno.EPERM), "rseq": (334, errno.EPERM),
}


def line_of(falls_back, *program):
    option = ["--fallback"] if falls_back else []
    return [COMMAND, "run", "--model", "m:n", "--workers", "1", *option, "--", *program]


def is_one_line(text):
    return text.count("\n") == 1 and text.startswith("treadle")


def each_at_start(failures):
    native = run([PROGRAMS / "begin"])

    def one(nth, error, falls_back):
        found = run([PROGRAMS / "fail_call", str(nth), str(error),
                     *line_of(falls_back, PROGRAMS / "begin")])
        said, _, refused = found.stderr.rstrip("\n").rpartition("\n")
        said += "\n" if said else ""
        number = re.fullmatch(r"fail_call: (\d+)", refused)
        number = int(number[1]) if number else None
        code = found.returncode
        same = (code, found.stdout) == (native.returncode, native.stdout)
        good = (
            code == 99  # it makes fewer
            or same and (said == "" or falls_back and is_one_line(said))
            or code == 2 and found.stdout == "" and is_one_line(said)
            or code == 7 and number in FAILS_FOR_PROGRAM
            or code == ABORTED and number == MEMBARRIER and is_one_line(said))
        failures.check(good, f"call {nth} fails with {errno.errorcode[error]}, "
                             f"--fallback {falls_back}: {describe(found)}")
        return code

    probe = run([PROGRAMS / "fail_call", "1000000", "1", *line_of(False, PROGRAMS / "begin")])
    made = re.search(r"fail_call: nothing, of (\d+)", probe.stderr)
    if probe.returncode == 77 or made is None:
        print(f"tracing does not work here, calls are not failed one by one: {describe(probe)}")
        return
    with concurrent.futures.ThreadPoolExecutor(2) as several:
        codes = list(several.map(
            lambda nth: [one(nth, ERRORS[(nth + also) % len(ERRORS)], bool(also))
                         for also in (0, 1)],
            range(1, int(made[1]) + 1)))
    codes = [code for pair in codes for code in pair]
    failures.check(codes.count(2) > 5 and codes.count(native.returncode) > 5,
                   f"some are to be refused and some not to matter: {codes}")
    print(f"{len(codes)} runs: {codes.count(2)} refused, {codes.count(native.returncode)} ran, "
          f"{codes.count(99)} without the call")


def each_for_good(failures):
    for name, what in DENIED.items():
        deny = [PROGRAMS / "deny", ":".join(map(str, what))]
        native = run([*deny, PROGRAMS / "basics"])
        if native.returncode == 77:
            print("no seccomp filters here: calls are not refused for good")
            return
        for falls_back in (False, True):
            found = run([*deny, *line_of(falls_back, PROGRAMS / "basics")])
            same = (found.returncode, found.stdout) == (native.returncode, native.stdout)
            refused = (found.returncode == 2 and found.stdout == "" and is_one_line(found.stderr))
            good = same and (native.stderr == found.stderr or found.stderr == ""
                             or is_one_line(found.stderr)) or refused
            failures.check(good, f"without {name}, --fallback {falls_back}\n"
                                 f"native: {describe(native)}\nfound: {describe(found)}")


def main():
    need_shim()
    failures = Failures()
    each_for_good(failures)
    each_at_start(failures)
    failures.end()


main()
