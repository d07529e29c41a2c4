#!/usr/bin/env python3
"""`treadle compare`: what it measures and says, what it refuses, and that it leaves nothing behind.

No test here looks at a duration.
"""

import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

COMMAND = os.environ["TREADLE_COMMAND"]
# Not in builds with sanitizers, for x86-64 only, and not with every kernel.
HAS_SHIM = subprocess.run([COMMAND, "run", "--model", "m:n", "--", "/bin/true"],
                          capture_output=True, check=False).returncode == 0
PROGRAMS = pathlib.Path(os.environ["TREADLE_SHIM_PROGRAMS_DIR"])
WAYS = ["native", "m:1", "1:1", "m:n"]
FAILED = []


def check(good, what):
    if not good:
        FAILED.append(what)
        print(f"FAILED: {what}")


def environment():
    return {name: value for name, value in os.environ.items() if not name.startswith("TREADLE_")}


def run(*words, **options):
    words = [each if isinstance(each, bytes) else str(each) for each in words]
    return subprocess.run([COMMAND, "compare", *words], capture_output=True, text=True,
                          check=False, timeout=250, env=options.get("env", environment()))


def compare(*words):
    """The JSON of a comparison, with its ways by name."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "result.json"
        done = run("--json", path, *words)
        check(done.returncode == 0, f"{words}: {done}")
        check("\x1b" not in done.stderr and "\r" not in done.stderr, f"progress: {done.stderr!r}")
        found = json.loads(path.read_text())
        found["text"] = done.stdout
        found["ways"] = {way["way"]: way for way in found["ways"]}
        return found


def marked(mark):
    """Processes with this word in their command line."""
    found = []
    for entry in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if mark.encode() in entry.read_bytes().split(b"\0"):
                found.append(entry.parent.name)
        except OSError:
            pass
    return found


def what_it_measures():
    program, status = (PROGRAMS / "basics", 5) if HAS_SHIM else ("/bin/true", 0)
    found = compare("--runs", 2, "--", program)
    check(list(found["ways"]) == WAYS, f"ways {list(found['ways'])}")
    for name, way in found["ways"].items():
        if not HAS_SHIM and name in ("m:1", "m:n"):
            check(way["not_run"] is not None, f"{name} without a shim: {way}")
            continue
        check(way["not_run"] is None and len(way["runs"]) == 2, f"{name}: {way}")
        check(way["same_status"] and way["same_stdout"] and way["same_stderr"], f"{name}: {way}")
        for one in way["runs"]:
            check(one["exit_status"] == status and one["signal"] is None, f"{name}: {one}")
            check(one["wall_ns"] > 0 and one["memory_bytes"] > 0, f"{name}: {one}")
            shims = HAS_SHIM and name in ("m:1", "m:n")
            check((one["calls_avoided"] is not None) == shims, f"{name}: {one}")
            check(not shims or one["calls_avoided"] > 0, f"{name}: {one}")
    check(found["advice"]["way"] == "native", f"two runs are too few: {found['advice']}")
    check("advice: keep native" in found["text"], found["text"])


def how_programs_end():
    found = compare("--runs", 1, "--model", "1:1", "--", "sh", "-c", "kill -SEGV $$")
    check(list(found["ways"]) == ["native", "1:1"], "only the models that were named")
    for way in found["ways"].values():
        check(way["runs"][0]["signal"] == signal.SIGSEGV, f"signal: {way}")
    # Other words and another status where a model is set: never advised.
    script = 'test -z "$TREADLE_MODEL" || { echo other; exit 3; }'
    found = compare("--runs", 3, "--model", "1:1", "--", "sh", "-c", script)
    way = found["ways"]["1:1"]
    check(not way["same_status"] and not way["same_stdout"] and way["same_stderr"], f"{way}")
    check(found["advice"]["way"] == "native", f"{found['advice']}")
    check("stdout differs" in found["text"] and "status 3" in found["text"], found["text"])
    # What varies natively cannot be compared.
    found = compare("--runs", 2, "--model", "1:1", "--", "sh", "-c", "echo $$ >&2")
    check(found["ways"]["1:1"]["same_stderr"] is None, f"{found['ways']['1:1']}")
    check("stderr varies" in found["text"], found["text"])


def what_a_model_cannot_run():
    static = "/sbin/ldconfig"  # Debian links it statically
    if HAS_SHIM and os.access(static, os.X_OK):
        found = compare("--runs", 1, "--", static, "-V")
        for name in ("m:1", "m:n"):
            reason = found["ways"][name]["not_run"] or ""
            check("statically" in reason and "\n" not in reason, f"{name}: {reason}")
            check(f"{name}: not run: {reason}" in found["text"], found["text"])
    script = 'test "$TREADLE_MODEL" != 1:1 || sleep 1000'
    found = compare("--runs", 2, "--model", "1:1", "--timeout", 5, "--", "sh", "-c", script)
    check("no end after 5 s" in (found["ways"]["1:1"]["not_run"] or ""), f"{found['ways']}")
    check("1:1 does not run it" in found["text"] or "native" in found["text"], found["text"])


def input_and_large_output():
    with tempfile.NamedTemporaryFile() as file:
        file.write(b"treadle\n" * 500_000)
        file.flush()
        found = compare("--runs", 1, "--model", "1:1", "--stdin", file.name, "--", "cat")
        for way in found["ways"].values():
            check(way["runs"][0]["stdout"]["bytes"] == 4_000_000, f"{way}")
    found = compare("--runs", 1, "--model", "1:1", "--", "cat")
    check(found["ways"]["native"]["runs"][0]["stdout"]["bytes"] == 0, "stdin is empty")


def words_as_written():
    words = ["[a,b]", "[:upper:]", "{}", "", "--", "-x", "%%", '"q"', "a,b"]
    found = compare("--runs", 1, "--model", "1:1", "--", "printf", "<%s>", *words)
    check(found["program"] == ["printf", "<%s>", *words], f"program: {found['program']}")
    size = sum(len(each) + 2 for each in words)
    for way in found["ways"].values():
        check(way["runs"][0]["stdout"]["bytes"] == size, f"words as written: {way}")
    found = compare("--runs", 1, "--model", "1:1", "echo", "[a,b]", "--runs", "9")
    check(found["program"] == ["echo", "[a,b]", "--runs", "9"], f"program: {found['program']}")


def a_page():
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "page.html"
        done = run("--runs", 1, "--report", path, "--", "echo", "<script>&")
        page = path.read_text()
        check(done.returncode == 0 and f"report: {path}" in done.stdout, f"{done}")
        check(page.startswith("<!DOCTYPE html>") and page.endswith("</html>\n"), "a whole page")
        check("default-src 'none'" in page and " src=" not in page and "<link" not in page,
              "the page asks for nothing")
        check("echo &lt;script&gt;&amp;" in page, "the program's words are escaped")


def words_that_are_no_text():
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "page.html"
        found = compare("--runs", 1, "--model", "1:1", "--report", path, "--", "echo", b"a\xffb")
        check(found["program"] == ["echo", "a\ufffdb"], f"program: {found['program']}")
        check("a\ufffdb" in path.read_text(encoding="utf-8"), "the page is UTF-8")


def what_it_refuses():
    cases = [
        ((), ["program"]), (("--runs", "0", "--", "true"), ["--runs", '"0"', "1000"]),
        (("--runs", "2x", "--", "true"), ["--runs", "2x"]),
        (("--timeout", "-1", "--", "true"), ["--timeout"]),
        (("--model", "m:2", "--", "true"), ["--model", "m:2", "m:n"]),
        (("--workers", "0", "--", "true"), ["--workers", "0"]),
        (("--stdin", "/nonexistent/a", "--", "true"), ["--stdin", "/nonexistent/a"]),
        (("--json", "/nonexistent/a", "--", "true"), ["--json", "/nonexistent/a"]),
        (("--frobnicate", "--", "true"), ["--frobnicate"])]
    for words, parts in cases:
        done = run(*words)
        check(done.returncode == 2 and done.stdout == "" and done.stderr.count("\n") == 1,
              f"{words}: {done}")
        check(all(part in done.stderr for part in parts), f"{words}: {done.stderr}")
    missing = run("--", "/nonexistent/program")
    check(missing.returncode == 127 and "/nonexistent/program" in missing.stderr, f"{missing}")
    check(run("--", "/etc/passwd").returncode == 126, "a file that cannot be executed")
    check(run("--timeout", 1, "--", "sleep", "1000").returncode == 1, "no end natively")
    narrow = {**environment(), "TREADLE_WIDTH": "0"}
    done = run("--runs", 1, "--model", "m:n", "--", "true", env=narrow)
    check(done.returncode == 2 and "TREADLE_WIDTH" in done.stderr, f"{done}")
    done = run("--runs", 1, "--model", "m:n", "--workers", 2, "--", "true", env=narrow)
    check(done.returncode == 0, f"--workers overrides the variable: {done}")
    done = run("--", "true", env={**environment(), "TREADLE_STACK": "1K"})
    check(done.returncode == 2 and "TREADLE_STACK" in done.stderr, f"{done}")


def nothing_is_left():
    mark = f"31{os.getpid()}"
    script = f"setsid sleep {mark} & sleep {mark} &"
    found = compare("--runs", 1, "--", "sh", "-c", script)
    check(found["ways"]["native"]["runs"][0]["exit_status"] == 0, "the program itself ends well")
    check(not marked(mark), f"left behind: {marked(mark)}")
    for number in (signal.SIGINT, signal.SIGTERM):
        with subprocess.Popen([COMMAND, "compare", "--", "sh", "-c", f"{script} wait"],
                              env=environment(), stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE) as process:
            while len(marked(mark)) < 2 and process.poll() is None:
                time.sleep(0.01)
            process.send_signal(number)
            process.communicate()
        check(process.returncode == -number, f"{number}: {process.returncode}")
        check(not marked(mark), f"left behind by {number}: {marked(mark)}")


def main():
    for part in (what_it_measures, how_programs_end, what_a_model_cannot_run,
                 input_and_large_output, words_as_written, a_page, words_that_are_no_text,
                 what_it_refuses, nothing_is_left):
        part()
    print("all good" if not FAILED else f"{len(FAILED)} failed")
    return 1 if FAILED else 0


if __name__ == "__main__":
    sys.exit(main())
