"""A TCP proxy that cuts live streams off after some bytes, as a bad line does."""

import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count

STEP = 3001  # bytes; not a multiple of anything that is sent


class Cutter(socketserver.ThreadingTCPServer):
    """Listens on a free port of 127.0.0.1 and forwards to `port`; the n-th stream is cut after n * STEP bytes."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.target = ("127.0.0.1", port)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.turn = count(1)
        self.cut = 0


class _Connection(socketserver.BaseRequestHandler):
    server: Cutter

    limit: int | None = None  #: bytes that the stream on this connection may still have

    def handle(self) -> None:
        with suppress(OSError), socket.create_connection(self.server.target) as upstream:
            threading.Thread(target=self._ask, args=(upstream,), daemon=True).start()
            while data := upstream.recv(512):
                limit = self.limit
                self.request.sendall(data if limit is None else data[:limit])
                if limit is not None:
                    self.limit = limit - len(data)
                    if self.limit <= 0:
                        self.server.cut += 1
                        return

    def _ask(self, upstream: socket.socket) -> None:
        with suppress(OSError):
            while data := self.request.recv(65536):
                if data.startswith(b"GET /events/"):
                    self.limit = next(self.server.turn) * STEP
                upstream.sendall(data)


@contextmanager
def cutting(port: int) -> Iterator[Cutter]:
    """Run a cutter before that port, in a thread."""
    with Cutter(port) as cutter:
        thread = threading.Thread(target=cutter.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield cutter
        finally:
            cutter.shutdown()
            thread.join()
