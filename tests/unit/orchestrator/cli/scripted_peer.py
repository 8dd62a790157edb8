"""The other end of the local API, on a real unix socket: answers what a test wrote down, notes what was asked."""

import json
import socket
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from remote.runner.frames import Decoder, Frame, encode

LIMITS = (65535, 64 << 20)
Turn = Callable[[Frame], Iterator[bytes | None]]  #: bytes to send; None = hang up


def frame(header: dict[str, Any], payload: bytes | dict[str, Any] = b"") -> bytes:
    data = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return encode(header, data, *LIMITS)


def ok(result: dict[str, Any]) -> Turn:
    return lambda call: iter([frame({"t": "ok"}, result)])


def error(code: str, message: str, problems: list[dict[str, Any]] | None = None) -> Turn:
    payload = b"" if problems is None else json.dumps({"problems": problems}).encode()
    return lambda call: iter([frame({"t": "error", "code": code, "message": message}, payload)])


def sends(*pieces: bytes | None) -> Turn:
    return lambda call: iter(pieces)


class ScriptedPeer:
    """Every call of an operation takes its next turn; the last turn is repeated."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.calls: list[dict[str, Any]] = []
        self.payloads: list[bytes] = []
        self.connections = 0
        self._turns: dict[str, list[Turn]] = defaultdict(list)
        path.parent.mkdir(parents=True, exist_ok=True)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(path))
        self._listener.listen(64)
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def on(self, op: str, *turns: Turn) -> None:
        self._turns[op] = list(turns)

    def asked(self, op: str) -> list[dict[str, Any]]:
        return [call for call in self.calls if call["op"] == op]

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._open:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue
        for thread in self._threads:
            thread.join()
        self.path.unlink(missing_ok=True)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._open.append(connection)
            thread = threading.Thread(target=self._serve, args=(connection,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        decoder = Decoder(*LIMITS)
        with connection:
            try:
                while data := connection.recv(1 << 20):
                    for call in decoder.feed(data):
                        if not self._answer(connection, call):
                            return
            except OSError:
                return

    def _answer(self, connection: socket.socket, call: Frame) -> bool:
        fields, payload = dict(call.header), call.payload
        size = fields.pop("fields_size", 0)
        fields.update(json.loads(payload[:size]) if size else {})
        self.calls.append(fields)
        self.payloads.append(payload[size:])
        turns = self._turns[fields["op"]]
        turn = turns.pop(0) if len(turns) > 1 else turns[0]
        for piece in turn(call):
            if piece is None:
                return False
            connection.sendall(piece)
        return True
