#!/usr/bin/env python3
"""Ten thousand open and idle connections to examples/http_server: what each costs, everything of
the process and its page tables included, and that the server still answers on all of them."""

import os
import pathlib
import resource
import socket
import struct
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from support.service_process import Service

CONNECTIONS = 10_000
# Guess: more than either process needs besides.
OTHERS = 100
BYTES_EACH_MAX = 6 * 1024
REQUEST = b"GET / HTTP/1.1\r\nHost: test\r\n\r\n"
MODELS = (["--model", "m:1"], ["--model", "m:n", "--workers", "1"],
          ["--model", "m:n", "--workers", "2"])


def memory_of(pid):
    fields = dict(line.split(":", 1) for line in
                  pathlib.Path(f"/proc/{pid}/status").read_text().splitlines())
    return sum(int(fields[name].split()[0]) * 1024 for name in ("VmRSS", "VmPTE"))


def ask(peer):
    peer.sendall(REQUEST)
    answer = b""
    while not answer.endswith(b"Hello, World!"):
        part = peer.recv(4096)
        assert part, answer
        answer += part
    assert answer.startswith(b"HTTP/1.1 200 "), answer


def measure(model):
    with Service("http_server", *model, "--idle-ms", "600000") as service:
        with service.connect() as first:
            ask(first)
        before = memory_of(service.process.pid)
        peers = []
        for _ in range(CONNECTIONS):
            peers.append(service.connect())
            # Each has been at work once.
            ask(peers[-1])
        each = (memory_of(service.process.pid) - before) / CONNECTIONS
        print(f"{' '.join(model)}: {each:.0f} bytes for an idle connection", flush=True)
        for peer in peers:
            ask(peer)
        for peer in peers:
            # With a reset: thirty thousand ports would be closed for a minute otherwise.
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            peer.close()
    if not os.environ.get("TREADLE_INSTRUMENTED"):
        assert each <= BYTES_EACH_MAX, each


def main():
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = CONNECTIONS + OTHERS
    if hard != resource.RLIM_INFINITY and hard < wanted:
        print(f"RLIMIT_NOFILE = {hard} is too low for {CONNECTIONS} connections")
        sys.exit(77)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    for model in MODELS:
        measure(model)


if __name__ == "__main__":
    main()
