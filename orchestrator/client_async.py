"""The local API for an event loop: what `orchestrator.client` is for plain code."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Self

from orchestrator.client_wire import (
    ApiError,
    DaemonAbsentError,
    Offsets,
    Progress,
    address,
    checked,
    decoder,
    refusal,
    request,
)
from remote.runner.frames import Frame

_CHUNK = 1 << 18


class AsyncClient:
    """A connection to the daemon. Calls that are made at once wait for each other. Use it with `async with`."""

    def __init__(self, path: Path, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._path = path
        self._reader = reader
        self._writer = writer
        self._decoder = decoder()
        self._turn = asyncio.Lock()

    @classmethod
    async def connect(cls, socket_path: Path, *, timeout_s: float = 5.0) -> Self:
        """Connect to the daemon.

        Raises:
            DaemonAbsentError: nothing listens there.
            ApiError: the socket belongs to somebody else (`forbidden`).
        """
        return cls(socket_path, *await _open(socket_path, timeout_s))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Hang up."""
        await _hang_up(self._writer)

    async def call(self, op: str, payload: bytes = b"", **fields: Any) -> dict[str, Any]:
        """Call `op` and return its result.

        Raises:
            ApiError: the daemon refused.
            DaemonAbsentError: it went away and did not come back.
        """
        result = json.loads((await self.exchange(op, payload, **fields)).payload or b"{}")
        if not isinstance(result, dict):
            raise ApiError("internal", f"the daemon's answer to {op} is not an object")
        return result

    async def exchange(self, op: str, payload: bytes = b"", **fields: Any) -> Frame:
        """Call `op` and return the answering frame as it is (`output` has bytes for its payload).

        A call that lost its connection is sent once more, because every operation may be repeated. A call that is
        given up half-way (cancelled) closes the connection: its answer would be taken for the next one's.
        """
        message = request(op, fields, payload)
        async with self._turn:
            try:
                return await self._ask(message)
            except (EOFError, ConnectionError):
                await self._again()
            try:
                return await self._ask(message)
            except (EOFError, ConnectionError):
                raise DaemonAbsentError(self._path, "it hung up twice") from None

    async def stream(self, op: str, **fields: Any) -> AsyncIterator[Frame]:
        """Call an operation that answers with several frames and ends with `end` (`check`); yield those before it."""
        async with self._turn:
            self._writer.write(request(op, fields, b""))
            while True:
                data = await self._reader.read(_CHUNK)
                if not data:
                    raise DaemonAbsentError(self._path, "it hung up")
                for frame in self._decoder.feed(data):
                    if checked(frame).header["t"] == "end":
                        return
                    yield frame

    def follow(
        self, run: str, *, offsets: Offsets | None = None, events_after: str | None = None, output: bool = True
    ) -> AsyncIterator[Frame]:
        """Watch a run, as `orchestrator.client.Follow` does: on a connection of its own that is made anew when lost."""
        return follow(self._path, run, progress=Progress(offsets, events_after), output=output)

    async def _ask(self, message: bytes) -> Frame:
        self._writer.write(message)
        try:
            await self._writer.drain()
            while True:
                data = await self._reader.read(_CHUNK)
                if not data:
                    raise EOFError
                if frames := self._decoder.feed(data):
                    return checked(frames[0])
        except asyncio.CancelledError:
            self._writer.close()
            raise

    async def _again(self) -> None:
        await _hang_up(self._writer)
        self._reader, self._writer = await _open(self._path, 5.0)
        self._decoder = decoder()


async def follow(
    path: Path, run: str, *, progress: Progress, output: bool = True, patience_s: float = 60.0
) -> AsyncIterator[Frame]:
    """Yield a run's frames from where `progress` is up to its end.

    `progress` is kept up to date: it holds what has been yielded. When the daemon goes away it is called again for
    `patience_s` seconds, and a new `snapshot` comes before what was missed.

    Raises:
        ApiError: the daemon refused.
        DaemonAbsentError: it went away and did not come back in time.
    """
    loop = asyncio.get_running_loop()
    last_seen = loop.time()
    reader, writer = await _open(path, 5.0)
    while True:
        try:
            writer.write(request("follow", {"id": run, "output": output, **progress.fields()}, b""))
            frames = decoder()
            while data := await reader.read(_CHUNK):
                for frame in frames.feed(data):
                    progress.note(checked(frame))
                    yield frame
                    if progress.ended:
                        return
                last_seen = loop.time()
        except ConnectionError:
            pass
        finally:
            await _hang_up(writer)
        reader, writer = await _wait_for(path, last_seen + patience_s)


async def _wait_for(path: Path, deadline: float) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    while True:
        try:
            return await _open(path, 5.0)
        except DaemonAbsentError:
            if asyncio.get_running_loop().time() > deadline:
                raise
            await asyncio.sleep(0.2)


async def _open(path: Path, timeout_s: float) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(0)
    try:
        async with asyncio.timeout(timeout_s):
            with address(path) as name:
                await asyncio.get_running_loop().sock_connect(connection, name)
        return await asyncio.open_unix_connection(sock=connection, limit=_CHUNK)
    except TimeoutError:
        connection.close()
        raise DaemonAbsentError(path, "it does not accept") from None
    except OSError as error:
        connection.close()
        raise refusal(path, error) from None


async def _hang_up(writer: asyncio.StreamWriter) -> None:
    writer.close()
    try:
        await writer.wait_closed()
    except ConnectionError:
        return
