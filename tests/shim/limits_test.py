#!/usr/bin/env python3
"""What `treadle run` cannot do it says in one line, with exit status 2, or runs natively."""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).parent))

from shim_run import (COMMAND, Failures, PROGRAMS, clean_environment, describe,  # noqa: E402
                      need_shim, run, under)


def refused(failures, what, result, *said):
    failures.check(result.returncode == 2 and result.stdout == ""
                   and result.stderr.count("\n") == 1
                   and all(part in result.stderr for part in said),
                   f"{what} is not refused as it should be: {describe(result)}")


def warned(failures, what, result, *said):
    failures.check(result.returncode == 0 and result.stderr.count("\n") == 1
                   and all(part in result.stderr for part in said),
                   f"{what} does not run with one warning: {describe(result)}")


def check_kinds(failures, folder):
    source = folder / "static.c"
    source.write_text("int main(void) { return 0; }\n")
    static = folder / "static"
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler and subprocess.run([compiler, "-static", "-o", static, source],
                                   capture_output=True, check=False).returncode == 0:
        refused(failures, "a static program", under("m:n", 1, static), "statically")
        warned(failures, "a static program", under("m:n", 1, static, options=["--fallback"]),
               "statically", "without Treadle")
    else:
        print("no static libc here: a static program is not tried")
    other = folder / "true"
    shutil.copy("/bin/true", other)
    other.chmod(0o4755)
    if other.stat().st_mode & 0o4000:
        refused(failures, "a setuid program", under("m:n", 1, other), "setuid")
    other.chmod(0o755)
    text = other.read_bytes()
    loader = b"/lib64/ld-linux-x86-64.so.2\0"
    other.write_bytes(text.replace(loader, b"/lib/ld-musl-x86_64.so.1".ljust(len(loader), b"\0")))
    refused(failures, "a program of another libc", under("m:n", 1, other), "another libc", "musl")


def check_kernel(failures):
    deny = PROGRAMS / "deny"
    line = [COMMAND, "run", "--model", "m:n", "--workers", "1"]
    program = ["--", PROGRAMS / "basics"]
    if run([deny, "dispatch", "/bin/true"]).returncode == 77:
        print("no seccomp filters here: refusals of the kernel are not tried")
        return
    refused(failures, "no Syscall User Dispatch", run([deny, "dispatch", *line, *program]),
            "Syscall User Dispatch")
    native = run([PROGRAMS / "basics"])
    found = run([deny, "dispatch", *line, "--fallback", *program])
    failures.same("--fallback without Syscall User Dispatch", native, found)
    failures.check(found.stderr.count("\n") == 1, f"one warning: {describe(found)}")
    refused(failures, "no writable text", run([deny, "mprotect", *line, *program]), "patch")


def check_rest(failures, folder):
    stats = folder / "stats"
    result = under("m:n", 2, PROGRAMS / "basics", options=["--stats", stats])
    text = stats.read_text()
    failures.check(result.returncode == 5 and "model m:n\n" in text and "workers 2\n" in text,
                   f"--stats: {describe(result)}\n{text}")
    refused(failures, "--stats under 1:1",
            under("1:1", 1, "/bin/true", options=["--stats", stats]), "--stats")
    # The command itself is a program that is built with Treadle.
    refused(failures, "--stats of a program that brings Treadle",
            under("m:n", 1, COMMAND, "--version", options=["--stats", stats]), "built with Treadle")
    own = under("m:n", 1, COMMAND, "--version")
    failures.check(own.returncode == 0 and own.stderr == "", f"Treadle's own: {describe(own)}")
    if os.geteuid() == 0:
        refused(failures, "one thread's privileges",
                under("m:n", 1, PROGRAMS / "privileges", "raw"), "privileges", "105")
    missing = under("m:n", 1, "/nonexistent/program")
    failures.check(missing.returncode == 127 and missing.stderr.count("\n") == 1,
                   f"a program that is not there: {describe(missing)}")
    said = "echo ${LD_PRELOAD:+shim}"
    failures.check(under("m:n", 1, "sh", "-c", said).stdout == "shim\n", "children get the shim")
    failures.check(under("m:n", 1, "sh", "-c", f"sh -c '{said}'", options=["--no-children"]).stdout
                   == "\n", "--no-children: they do not")
    own = dict(clean_environment(), TREADLE_MODEL="m:1")
    result = run([COMMAND, "run", "--", PROGRAMS / "basics"], env=own)
    failures.check(result.returncode == 5, f"TREADLE_MODEL: {describe(result)}")


def main():
    need_shim()
    failures = Failures()
    with tempfile.TemporaryDirectory(dir=os.environ.get("TREADLE_BUILD_DIR")) as folder:
        check_kinds(failures, pathlib.Path(folder))
        check_rest(failures, pathlib.Path(folder))
    check_kernel(failures)
    failures.end()


main()
