"""A repetition of a workload with a network: the peer's server on one CPU, the load on another.

CPU time is that of all kernel threads of the server's processes (nginx has two), from the kernel's
own nanosecond accounts, so that nothing can hide in one of them. It is read when each connection
has had an answer and the same load has run for a while, and after.
"""

import json
import os
import pathlib
import re
import resource
import signal
import subprocess
import tempfile
import time

MILLISECONDS = 1000
# Beside its connections a process has a few descriptors more. Guess.
DESCRIPTORS_MORE = 100


class Refused(Exception):
    pass


def prepared(cpu):
    """What a child does before its program: its CPU, and all descriptors that it may have."""
    def prepare():
        os.sched_setaffinity(0, {cpu})
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return prepare


def check_descriptors(connections):
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < connections + DESCRIPTORS_MORE:
        raise Refused(f"{connections:,} connections need {connections + DESCRIPTORS_MORE:,} "
                      f"descriptors; ulimit -Hn allows {hard:,}")


def line_of(process, what):
    line = process.stdout.readline()
    if not line:
        said = process.stderr.read().strip().splitlines()
        raise Refused(f"{what}: {said[-1] if said else 'ended without a word'}")
    return line


def stop(process):
    """With all that it has started: each has a session of its own."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.communicate()


def family(leader):
    """The living processes of a session. Source: proc(5), the fields of stat behind the name."""
    found = []
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[3]) == leader and fields[0] != "Z":
            found.append(int(folder.name))
    return found


def cpu_seconds(processes):
    """Of all their kernel threads, ended ones among them. Source: clock_getcpuclockid(3), whose
    clock of a process has its number in it."""
    return sum(time.clock_gettime((~process << 3) | 2) for process in processes)


def sleeps(processes):
    """How often their kernel threads have waited in the kernel. Source: proc(5), status."""
    total = 0
    for process in processes:
        for task in pathlib.Path(f"/proc/{process}/task").iterdir():
            try:
                said = (task / "status").read_text(encoding="utf-8")
            except (FileNotFoundError, ProcessLookupError):
                continue  # it has ended just now
            total += int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)$", said, re.MULTILINE)[1])
    return total


def measure(server, load, workload, scale, environment, warm_ups):
    """`server` and `load` are commands, `workload` is of workload_table.py. One repetition."""
    protocol = workload.name.partition("_")[0]
    connections, rate = workload.more, workload.count
    check_descriptors(connections)
    cpus = sorted(os.sched_getaffinity(0))
    milliseconds = max(20, int(MILLISECONDS * min(1.0, scale)))
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True,
             "start_new_session": True}
    with tempfile.TemporaryDirectory() as scratch:
        pipes["env"] = environment | {"TMPDIR": scratch}
        serving = subprocess.Popen([*server, protocol, "1", "1", "1"],
                                   preexec_fn=prepared(cpus[-1]), **pipes)
        try:
            port = json.loads(line_of(serving, "the server"))["port"]
            words = (protocol, port, connections, rate, warm_ups * milliseconds, milliseconds)
            loading = subprocess.Popen([*load, *map(str, words)], stdin=subprocess.PIPE,
                                       preexec_fn=prepared(cpus[0]), **pipes)
            try:
                line_of(loading, "the load")
                processes = family(serving.pid)
                slept, before = sleeps(processes), cpu_seconds(processes)
                loading.stdin.write("go\n")
                loading.stdin.flush()
                result = json.loads(line_of(loading, "the load"))
                result["cpu_s"] = cpu_seconds(processes) - before
                result["sleeps_each"] = (sleeps(processes) - slept) / result["operations"]
                result["unanswered_part"] = (
                    result["unanswered"] / (result["operations"] + result["unanswered"]))
                return result
            finally:
                stop(loading)
        finally:
            stop(serving)
