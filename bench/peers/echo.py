"""A repetition of an echo workload: the peer's server on one CPU, the load on another.

CPU time is that of all the server's kernel threads, from the kernel's own nanosecond accounts, so
that nothing can hide in one of them. It is read when each connection has had an answer, and after.
"""

import json
import os
import subprocess

from servers import cpu_of  # bench/servers/servers.py

MILLISECONDS = 1000


class Refused(Exception):
    pass


def on_cpu(cpu):
    return lambda: os.sched_setaffinity(0, {cpu})


def line_of(process, what):
    line = process.stdout.readline()
    if not line:
        said = process.stderr.read().strip().splitlines()
        raise Refused(f"{what}: {said[-1] if said else 'ended without a word'}")
    return line


def stop(process):
    process.kill()
    process.communicate()


def measure(server, load, connections, rate, scale, environment):
    """`server` and `load` are commands. One repetition."""
    cpus = sorted(os.sched_getaffinity(0))
    milliseconds = max(20, int(MILLISECONDS * min(1.0, scale)))
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True,
             "env": environment}
    serving = subprocess.Popen([*server, "echo", "1", "1", "1"], preexec_fn=on_cpu(cpus[-1]),
                               **pipes)
    try:
        port = json.loads(line_of(serving, "the server"))["port"]
        words = [*load, *map(str, (port, connections, rate, milliseconds))]
        loading = subprocess.Popen(words, stdin=subprocess.PIPE, preexec_fn=on_cpu(cpus[0]),
                                   **pipes)
        try:
            line_of(loading, "the load")
            before = cpu_of(serving.pid)
            loading.stdin.write("go\n")
            loading.stdin.flush()
            result = json.loads(line_of(loading, "the load"))
            return result | {"cpu_s": (cpu_of(serving.pid) - before) * 1e-9}
        finally:
            stop(loading)
    finally:
        stop(serving)
