#!/usr/bin/env python3
"""examples/proxy as a program: bytes, ends and failures pass through, in every model."""

import pathlib
import signal
import socket
import struct
import sys
import threading

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from support.service_process import MODELS, PATIENCE, Service, receive_all


class Upstream:
    """Answers with the reverse of all that a peer has sent, once the peer has sent its end."""

    def __init__(self):
        self.door = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.door.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            peer, _ = self.door.accept()
            peer.settimeout(PATIENCE)
            threading.Thread(target=self.answer, args=(peer,), daemon=True).start()

    @staticmethod
    def answer(peer):
        with peer:
            got = receive_all(peer)
            try:
                peer.sendall(got[::-1])
            except OSError:
                pass


def check(service):
    # Half a close is kept: the answer comes after our end.
    text = bytes(range(256)) * 4000
    with service.connect() as peer:
        sender = threading.Thread(target=lambda: (peer.sendall(text),
                                                  peer.shutdown(socket.SHUT_WR)))
        sender.start()
        assert receive_all(peer) == text[::-1]
        sender.join()
    peers = [service.connect() for _ in range(60)]
    for number, peer in enumerate(peers):
        for byte in b"peer %d" % number:
            peer.sendall(bytes([byte]))
    for peer in peers:
        peer.shutdown(socket.SHUT_WR)
    for number, peer in enumerate(peers):
        assert receive_all(peer) == (b"peer %d" % number)[::-1]
        peer.close()
    for _ in range(20):
        peer = service.connect()
        peer.sendall(b"x" * 10000)
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        peer.close()


def main():
    upstream = Upstream()
    for model in MODELS:
        with Service("proxy", *model, "--upstream", upstream.address) as service:
            check(service)
        # Nobody listens there: the guest sees an end, and the proxy lives.
        with socket.create_server(("127.0.0.1", 0)) as taken:
            nobody = "127.0.0.1:%d" % taken.getsockname()[1]
        with Service("proxy", *model, "--upstream", nobody) as service:
            for _ in range(3):
                with service.connect() as peer:
                    assert receive_all(peer) == b""
        service = Service("proxy", *model, "--upstream", upstream.address)
        waiting = service.connect()
        waiting.sendall(b"never answered")
        service.end(signal.SIGINT)
        receive_all(waiting)
        waiting.close()
        print("passed:", *model)


if __name__ == "__main__":
    main()
