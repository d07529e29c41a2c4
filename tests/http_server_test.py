#!/usr/bin/env python3
"""examples/http_server as a program: what it answers, to good and to bad peers, in every model."""

import os
import pathlib
import random
import resource
import signal
import socket
import struct
import sys
import tempfile
import time

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from support.service_process import MODELS, Service, receive_all

HOST = b"Host: test\r\n"
HELLO = b"Hello, World!"


def get(path, *fields, version=b"1.1", method=b"GET"):
    return method + b" " + path + b" HTTP/" + version + b"\r\n" + HOST + b"".join(
        field + b"\r\n" for field in fields) + b"\r\n"


class Reader:
    """Reads whole responses from a connection."""

    def __init__(self, peer):
        self.peer, self.rest = peer, b""

    def more(self):
        part = self.peer.recv(65536)
        self.rest += part
        return part

    def response(self, has_body=True):
        while b"\r\n\r\n" not in self.rest:
            assert self.more(), f"ended within a head: {self.rest!r}"
        head, self.rest = self.rest.split(b"\r\n\r\n", 1)
        lines = head.split(b"\r\n")
        fields = dict(line.lower().split(b": ", 1) for line in lines[1:])
        size = int(fields[b"content-length"]) if has_body else 0
        while len(self.rest) < size:
            assert self.more(), "ended within a body"
        body, self.rest = self.rest[:size], self.rest[size:]
        return int(lines[0].split()[1]), fields, body


def status_of(service, request):
    """The status of the only answer to `request`; the server must close after it."""
    with service.connect() as peer:
        peer.sendall(request)
        answer = receive_all(peer)
    return int(answer.split()[1]) if answer else None


def check_keep_alive(service):
    with service.connect() as peer:
        reader = Reader(peer)
        for _ in range(20):
            peer.sendall(get(b"/"))
            status, fields, body = reader.response()
            assert (status, body) == (200, HELLO) and b"date" in fields
        peer.sendall(get(b"/", method=b"HEAD"))
        status, fields, _ = reader.response(has_body=False)
        assert (status, int(fields[b"content-length"])) == (200, len(HELLO))
        peer.sendall(b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\n\r\nabcde" + get(b"/"))
        assert reader.response()[0] == 405
        assert reader.response()[0] == 200
        peer.sendall(get(b"/", b"Connection: close"))
        assert reader.response()[1][b"connection"] == b"close"
        assert peer.recv(1) == b""
    assert status_of(service, get(b"/", version=b"1.0")) == 200


def check_pipelining(service):
    with service.connect() as peer:
        reader = Reader(peer)
        peer.sendall(get(b"/") * 500 + get(b"/sleep?ms=5") + get(b"/missing"))
        for _ in range(500):
            assert reader.response()[2] == HELLO
        assert reader.response()[2] == b"slept"
        assert reader.response()[0] == 404
        assert not reader.rest


def check_dribble(service):
    with service.connect() as peer:
        reader = Reader(peer)
        for byte in get(b"/") * 2:
            peer.sendall(bytes([byte]))
        assert reader.response()[2] == HELLO
        assert reader.response()[2] == HELLO


def check_half_close(service):
    with service.connect() as peer:
        peer.sendall(get(b"/sleep?ms=20") + get(b"/"))
        peer.shutdown(socket.SHUT_WR)
        reader = Reader(peer)
        assert reader.response()[2] == b"slept"
        assert reader.response()[2] == HELLO
        assert peer.recv(1) == b""


def check_files(service, root):
    large = (root / "large.bin").read_bytes()
    with service.connect() as peer:
        reader = Reader(peer)
        for path, status, body in ((b"/small.txt", 200, b"small\n"), (b"/large.bin", 200, large),
                                   (b"/sub/in%20side.txt", 200, b"inside\n"), (b"/", 200, HELLO),
                                   (b"/empty.txt", 200, b""), (b"/sub", 404, None),
                                   (b"/../secret.txt", 404, None),
                                   (b"/%2e%2e/secret.txt", 404, None),
                                   (b"/sub/../../secret.txt", 404, None), (b"/link.txt", 404, None),
                                   (b"/small.txt%00.html", 404, None), (b"/%zz", 404, None),
                                   (b"//etc/passwd", 404, None), (b"/fifo", 404, None)):
            peer.sendall(get(path))
            got, _, content = reader.response()
            assert got == status and (body is None or content == body), (path, got, content[:80])
        peer.sendall(get(b"/large.bin", method=b"HEAD"))
        assert int(reader.response(False)[1][b"content-length"]) == len(large)
        for path in (b"/fsync", b"/fsync?plain"):
            peer.sendall(get(path))
            assert reader.response()[2] == b"synced"


def check_bad_requests(service):
    long_field = b"X: " + b"a" * 9000
    for request, status in (
            (b"nonsense\r\n\r\n", 400), (b"GET\r\n\r\n", 400), (b"\0" * 100, 400),
            (b"GET / HTTP/1.1\r\n\r\n", 400),  # no Host
            (b"GET / HTTP/1.1\r\n" + HOST * 2 + b"\r\n", 400),
            (b"GET / HTTP/3.7\r\n" + HOST + b"\r\n", 505),
            (get(b"/", b"bad field"), 400), (get(b"/", b"X : y"), 400),
            (get(b"/", b"Content-Length: 5x"), 400), (get(b"/", b"Content-Length: -1"), 400),
            (get(b"/", b"Content-Length: 9999999"), 413),
            (get(b"/", b"Content-Length: 5", b"Expect: 100-continue"), 417),
            (get(b"/", b"Transfer-Encoding: gzip"), 501),
            (get(b"/", b"Transfer-Encoding: gzip, chunked"), 501),
            (get(b"/", b"Transfer-Encoding: chunked", b"Content-Length: 5"), 400),
            (get(b"/", b"Connection: close", method=b"BREW"), 501),
            (get(b"/", long_field), 431), (b"GET /" + b"a" * 9500, 431)):
        got = status_of(service, request)
        assert got == status, (request[:60], got, status)
    with service.connect() as peer:
        peer.sendall(get(b"/sleep?ms=x") + get(b"/sleep") + get(b"/sleep?ms=60001"))
        reader = Reader(peer)
        assert [reader.response()[0] for _ in range(3)] == [400, 400, 400]


def check_resets(service):
    for _ in range(30):
        peer = service.connect()
        peer.sendall(get(b"/large.bin") * 3)
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        peer.close()


def check_many(service):
    peers = [service.connect() for _ in range(100)]
    for _ in range(3):
        for peer in peers:
            peer.sendall(get(b"/"))
        for peer in peers:
            assert Reader(peer).response()[2] == HELLO
    for peer in peers:
        peer.close()


def check_fuzz(service, rounds, seed):
    """Changed and cut requests: any answer or none, but the server lives and never hangs."""
    pick = random.Random(seed)
    good = get(b"/small.txt", b"Connection: close") + get(b"/") + b"POST /x HTTP/1.1\r\n" + HOST + (
        b"Transfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\n")
    for _ in range(rounds):
        text = bytearray(good)
        for _ in range(pick.randrange(1, 8)):
            place = pick.randrange(len(text))
            kind = pick.randrange(4)
            if kind == 0:
                text[place] = pick.randrange(256)
            elif kind == 1:
                del text[place:place + pick.randrange(1, 20)]
            elif kind == 2:
                text[place:place] = bytes(pick.randrange(256) for _ in range(pick.randrange(1, 20)))
            else:
                text[place:place] = text[:pick.randrange(len(text))]
        with service.connect() as peer:
            try:
                for start in range(0, len(text), step := pick.choice((1, 17, 1000))):
                    if step == 1 and start > 200:
                        peer.sendall(text[start:])
                        break
                    peer.sendall(text[start:start + step])
                peer.shutdown(socket.SHUT_WR)
            except (ConnectionResetError, BrokenPipeError, OSError):
                pass
            receive_all(peer)
    check_keep_alive(service)


def check_slow_peers(model):
    with Service("http_server", *model, "--request-ms", "100", "--idle-ms", "200") as service:
        with service.connect() as slow, service.connect() as idle, service.connect() as half:
            slow.sendall(b"GET / HT")
            half.sendall(get(b"/") + b"GET")
            assert receive_all(slow).startswith(b"HTTP/1.1 408 ")
            assert receive_all(idle) == b""
            answer = receive_all(half)
            assert HELLO in answer and b" 408 " in answer


def check_few_descriptors(model):
    """More peers than descriptors: nobody is lost, the others wait."""
    few = lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (32, 32))
    with Service("http_server", *model, limits=few) as service:
        peers = [service.connect() for _ in range(60)]
        for peer in peers:
            peer.sendall(get(b"/", b"Connection: close"))
        for peer in peers:
            assert Reader(peer).response()[2] == HELLO
            peer.close()


def check_end(model):
    for number in (signal.SIGINT, signal.SIGTERM):
        service = Service("http_server", *model)
        idle = service.connect()
        busy = service.connect()
        busy.sendall(get(b"/sleep?ms=60000"))
        late = service.connect()
        late.sendall(b"GET /")
        time.sleep(0.05)  # so that they mostly are in their waits
        service.end(number)
        for peer in (idle, busy, late):
            receive_all(peer)
            peer.close()


def main():
    with tempfile.TemporaryDirectory() as folder:
        outside = pathlib.Path(folder)
        root = outside / "root"
        (root / "sub").mkdir(parents=True)
        (outside / "secret.txt").write_text("secret\n")
        (root / "small.txt").write_text("small\n")
        (root / "empty.txt").write_text("")
        (root / "sub" / "in side.txt").write_text("inside\n")
        (root / "large.bin").write_bytes(os.urandom(3_000_000))
        (root / "link.txt").symlink_to(outside / "secret.txt")
        os.mkfifo(root / "fifo")
        for seed, model in enumerate(MODELS):
            with Service("http_server", *model, "--root", str(root)) as service:
                check_keep_alive(service)
                check_pipelining(service)
                check_dribble(service)
                check_half_close(service)
                check_files(service, root)
                check_bad_requests(service)
                check_resets(service)
                check_many(service)
                check_fuzz(service, 150, seed)
            check_slow_peers(model)
            # A thread with its own kernel thread needs a descriptor to wait, too.
            if "1:1" not in model:
                check_few_descriptors(model)
            check_end(model)
            print("passed:", *model)


if __name__ == "__main__":
    main()
