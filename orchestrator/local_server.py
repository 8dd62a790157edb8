"""The unix socket of the local API (`docs/reference/local-api.md`): connections, frames, and who may speak."""

import asyncio
import contextlib
import json
import logging
import os
import pwd
import socket
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orchestrator.calls import Call, Send, as_json
from orchestrator.operations import Operations
from orchestrator.planning import Caller, ServiceError
from orchestrator.store.interface import StaleEpochError, StoreUnavailableError
from remote.runner.frames import Decoder, Frame, FrameError, encode

log = logging.getLogger(__name__)
MAX_HEADER = 64 << 10
MAX_FRAME = 64 << 20
_STRANGER_S = 2.0  #: how long somebody who is refused may take to ask
_READ = 256 << 10
_TOGETHER = 64 << 10  #: bytes of frames that wait for others at most


class SocketTakenError(Exception):
    """Another daemon answers on the socket; the message names it and the way out."""


class LocalServer:
    """Serves operations on `path`; refuses every peer but the daemon's own account and root."""

    def __init__(self, operations: Operations, path: Path) -> None:
        self._operations = operations
        self._path = path
        self.unused = asyncio.Event()  #: set while nobody is connected
        self.unused.set()
        self._server: asyncio.Server | None = None
        self._clients: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Listen. A socket file that nobody answers on is replaced.

        Raises:
            SocketTakenError: a daemon serves there already.
            OSError: the path cannot be used.
        """
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if await _answers(self._path):
            message = f"another daemon serves {self._path}; stop that one, or set data_dir to another directory"
            raise SocketTakenError(message)
        self._path.unlink(missing_ok=True)
        before = os.umask(0o177)
        try:
            self._server = await asyncio.start_unix_server(self._accept, str(self._path), limit=_READ)
        finally:
            os.umask(before)

    async def stop(self) -> None:
        """Stop listening and end what is being answered."""
        if self._server is not None:
            self._server.close()
        self._path.unlink(missing_ok=True)
        for task in tuple(self._clients):
            task.cancel()
        await asyncio.gather(*self._clients, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  asyncio runs this in a task of its own
        self._clients.add(task)
        self.unused.clear()
        try:
            await self._serve(reader, writer)
        except (ConnectionError, asyncio.CancelledError):
            pass  # the peer has gone, or the daemon stops: nobody is left to be told
        except FrameError as error:
            log.warning("local peer broke the protocol", extra={"error": str(error)})
        finally:
            self._clients.discard(task)
            if not self._clients:
                self.unused.set()
            writer.close()
            with contextlib.suppress(ConnectionError, asyncio.CancelledError):
                await writer.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        outlet = _Outlet(writer)
        caller = _caller(writer.get_extra_info("socket"))
        try:
            if caller is None:
                message = "this socket serves the daemon's own account and root"
                with contextlib.suppress(TimeoutError):  # who is hung up on while writing reads no answer
                    await asyncio.wait_for(reader.read(_READ), _STRANGER_S)
                await _refuse(outlet.send, "forbidden", message)
                return
            decoder = Decoder(max_header=MAX_HEADER, max_frame=MAX_FRAME)
            while data := await reader.read(_READ):
                for frame in decoder.feed(data):
                    await self._answer(caller, frame, outlet.send)
        finally:
            outlet.flush()

    async def _answer(self, caller: Caller, frame: Frame, send: Send) -> None:
        try:
            call = _call(caller, frame, send)
            operation = self._operations.table.get(str(call.fields.get("op")))
            if operation is None:
                raise ServiceError("bad_request", f"there is no operation {str(call.fields.get('op'))[:40]!r}")  # noqa: TRY301
            await operation(call)
        except ServiceError as error:
            await _refuse(send, error.code, error.message, error.problems)
        except StoreUnavailableError as error:
            await _refuse(send, "unavailable", str(error))
        except StaleEpochError:
            await _refuse(send, "unavailable", "a newer daemon has taken over; ask that one")
        except (ConnectionError, FrameError):
            raise
        except Exception:
            log.exception("call failed", extra={"op": str(frame.header.get("op"))[:40]})
            await _refuse(send, "internal", "the daemon failed on this call; its log has the details")


class _Outlet:
    """Sends frames to one peer; those of one turn of the loop go out together.

    Each system call wakes the peer, and a run on many nodes has hundreds of small frames at once.
    """

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self._loop = asyncio.get_running_loop()
        self._frames: list[bytes] = []
        self._size = 0

    async def send(self, header: dict[str, Any], payload: bytes = b"") -> None:
        """Send a frame, and wait while the peer takes no more. Raises ConnectionError when it has gone."""
        frame = encode(header, payload, max_header=MAX_HEADER, max_frame=MAX_FRAME)
        if not self._frames:
            self._loop.call_soon(self.flush)
        self._frames.append(frame)
        self._size += len(frame)
        if self._size >= _TOGETHER:
            self.flush()
        await self._writer.drain()

    def flush(self) -> None:
        """Hand over what waits."""
        if self._frames:
            self._writer.writelines(self._frames)
            self._frames, self._size = [], 0


async def _refuse(send: Send, code: str, message: str, problems: tuple[Mapping[str, object], ...] = ()) -> None:
    payload = as_json({"problems": problems}) if problems else b""
    await send({"t": "error", "code": code, "message": message[:8000]}, payload)


async def _answers(path: Path) -> bool:
    try:
        _, writer = await asyncio.open_unix_connection(str(path))
    except OSError:
        return False
    writer.close()
    return True


def _call(caller: Caller, frame: Frame, send: Send) -> Call:
    """Read a call; fields that did not fit the header lie before the payload (`fields_size`)."""
    fields, payload = dict(frame.header), frame.payload
    size = fields.pop("fields_size", 0)
    if size:
        try:
            more = json.loads(payload[:size])
        except (ValueError, TypeError) as error:
            raise ServiceError("bad_request", "fields_size: no JSON object before the payload") from error
        if not isinstance(more, dict):
            raise ServiceError("bad_request", "fields_size: no JSON object before the payload")
        fields.update(more)
        payload = payload[size:]
    return Call(caller, fields, payload, send)


def _caller(peer: socket.socket) -> Caller | None:
    """Return who is at the other end, None if it is not served (`SO_PEERCRED`, unix(7))."""
    _pid, uid, _gid = struct.unpack("3i", peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))
    if uid not in (0, os.geteuid()):
        return None
    try:
        return Caller(pwd.getpwuid(uid).pw_name)
    except KeyError:
        return Caller(f"uid {uid}")
