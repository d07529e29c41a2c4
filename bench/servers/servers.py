#!/usr/bin/env python3
"""HTTP keep-alive hello: CPU of the server for a request, and the tail, beside peers in turns.

examples/http_server (Boost.Beast's parser, a thread for each connection) against Asio's callbacks
without parsing and, where a `go` is installed, Go's net/http. Each server has the first CPU alone,
wrk the last one. CPU time is that of all the server's kernel threads, from the kernel's own
nanosecond accounts, so that nothing can hide in one of them and neighbours do not count.

    ./do servers [--connections 64,1000] [--seconds 2] [--rounds 3] [--peers WORD,...]
               [--json FILE]
"""

import argparse
import json
import os
import pathlib
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
# wrk's least: connections have been made, caches are warm, and the servers' pools filled.
WARM_UP_SECONDS = 1
UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0}


def peers(build, scratch):
    """Name and command of each server, Treadle's first; and why one is missing."""
    http_server = build / "bin" / "bench-http-server"
    found = {"treadle m:n": [http_server, "--model", "m:n", "--workers", "1"],
             "treadle m:1": [http_server, "--model", "m:1"],
             "asio, no parsing": [build / "bin" / "bench-asio-hello"]}
    missing = {}
    if shutil.which("go"):
        program = pathlib.Path(scratch, "go_hello")
        subprocess.run(["go", "build", "-o", program, HERE / "go_hello.go"], check=True,
                       env=os.environ | {"GO111MODULE": "off", "GOTOOLCHAIN": "local"})
        found["go net/http"] = [program]
    else:
        missing["go net/http"] = "no go in PATH (Debian: golang-go)"
    return found, missing


def cpu_of(pid):
    """Nanoseconds on a CPU, all kernel threads. Source: proc_pid_schedstat in the kernel's
    Documentation/scheduler/sched-stats.rst."""
    total = 0
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        try:
            total += int((task / "schedstat").read_text().split()[0])
        except (FileNotFoundError, ProcessLookupError):
            pass  # it has ended just now; servers end none of weight
    return total


def wrk(port, connections, seconds, cpu):
    said = subprocess.run(
        ["taskset", "-c", str(cpu), "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency",
         f"http://127.0.0.1:{port}/"], capture_output=True, text=True, check=True).stdout
    if "Socket errors" in said or "Non-2xx" in said:
        raise RuntimeError(said)
    tail = re.search(r"^\s+99%\s+([0-9.]+)([a-z]+)$", said, re.MULTILINE)
    requests = re.search(r"^\s*(\d+) requests in", said, re.MULTILINE)
    return int(requests[1]), float(tail[1]) * UNITS[tail[2]]


def measure(command, connections, seconds, cpus):
    server = subprocess.Popen(["taskset", "-c", str(cpus[0]), *map(str, command)],
                              stdout=subprocess.PIPE, text=True,
                              env=os.environ | {"GOMAXPROCS": "1"})
    try:
        port = int(server.stdout.readline().rsplit(":", 1)[1])
        wrk(port, connections, WARM_UP_SECONDS, cpus[-1])
        before = cpu_of(server.pid)
        requests, tail = wrk(port, connections, seconds, cpus[-1])
        used = cpu_of(server.pid) - before
    finally:
        server.kill()
        server.wait()
    return {"cpu_ns": used / requests, "p99_s": tail, "requests_per_s": requests / seconds}


def judge(row, rows):
    """What the bars say of a Treadle row: CPU against Asio, the tail against Go."""
    def against(peer, field):
        """The median of what each round says: a slow one is slow for all."""
        turns = next((other["rounds"] for other in rows if other["peer"] == peer and
                      other["connections"] == row["connections"]), None)
        return turns and statistics.median(
            mine[field] / other[field] for mine, other in zip(row["rounds"], turns))
    bars = {"CPU of Asio's": against("asio, no parsing", "cpu_ns"),
            "p99 of Go's": against("go net/http", "p99_s")}
    said = [f"{value:.2f} x the {name}" for name, value in bars.items() if value]
    reached = all(value is None or value <= 1 for value in bars.values())
    return f"{', '.join(said)}: {'reached' if reached else 'SHORT'}"


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--build", type=pathlib.Path,
                         default=HERE.parent.parent / "build" / "release")
    options.add_argument("--connections", default="64,1000")
    options.add_argument("--seconds", type=int, default=2)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--json", type=pathlib.Path)
    options.add_argument("--peers", help="only servers whose names contain one of these words")
    wanted = options.parse_args()
    cpus = sorted(os.sched_getaffinity(0))
    if not shutil.which("wrk") or len(cpus) < 2:
        sys.exit("servers: needs wrk (Debian: wrk) and two CPUs")
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        servers, missing = peers(wanted.build, scratch)
        if wanted.peers:
            words = wanted.peers.split(",")
            servers = {name: command for name, command in servers.items()
                       if any(word in name for word in words)}
        for connections in map(int, wanted.connections.split(",")):
            seen = {name: [] for name in servers}
            for _ in range(wanted.rounds):
                for name, command in servers.items():
                    seen[name].append(measure(command, connections, wanted.seconds, cpus))
            for name, turns in seen.items():
                row = {"peer": name, "connections": connections, "rounds": turns}
                row |= {field: statistics.median(turn[field] for turn in turns)
                        for field in turns[0]}
                rows.append(row)
    for row in rows:
        verdict = judge(row, rows) if row["peer"].startswith("treadle") else ""
        print(f"{row['connections']:6} connections  {row['peer']:18} "
              f"{row['cpu_ns'] / 1000:6.2f} us of CPU  p99 {row['p99_s'] * 1e3:7.2f} ms  "
              f"{row['requests_per_s']:8.0f} requests/s  {verdict}")
    for name, why in missing.items():
        print(f"{name}: not run: {why}")
    if wanted.json:
        wanted.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
