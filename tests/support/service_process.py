"""A service of examples/ as a child process: started on a free port, ended, and checked for its
exit status and for what it says on stderr."""

import os
import pathlib
import re
import signal
import socket
import subprocess

SOURCE = pathlib.Path(os.environ.get("TREADLE_SOURCE_DIR",
                                     pathlib.Path(__file__).resolve().parents[2]))
BUILD = pathlib.Path(os.environ.get("TREADLE_BUILD_DIR", SOURCE / "build" / "dev"))

# Every model; M:N with one worker and with several.
MODELS = (["--model", "m:1"], ["--model", "1:1"], ["--model", "m:n", "--workers", "1"],
          ["--model", "m:n", "--workers", "3"])

# A hang must fail, whatever the machine is busy with.
PATIENCE = 120


class Service:
    """`with Service("http_server", "--root", ...) as service:` talks to it through connect()."""

    def __init__(self, name, *options, limits=None):
        self.process = subprocess.Popen(
            [BUILD / "examples" / name, *options], stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, preexec_fn=limits)
        line = self.process.stdout.readline()
        found = re.fullmatch(r"listening on ([0-9.]+):(\d+)\n", line)
        if not found:
            self.process.kill()
            raise AssertionError(f"{name} said {line!r} {self.process.stderr.read()!r}")
        self.port = int(found.group(2))

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if kind is not None:
            self.process.kill()
            self.process.communicate()
            return
        self.end(signal.SIGTERM)

    def end(self, number):
        """Ends it by a signal: it must end by itself, with status 0 and nothing to complain of."""
        if self.process.returncode is not None:
            return
        self.process.send_signal(number)
        _, said = self.process.communicate(timeout=PATIENCE)
        assert self.process.returncode == 0, (self.process.returncode, said)

    def connect(self):
        peer = socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return peer


def receive_all(peer):
    """What comes until the end; a reset is an end, too."""
    parts = []
    try:
        while part := peer.recv(65536):
            parts.append(part)
    except ConnectionResetError:
        pass
    return b"".join(parts)
