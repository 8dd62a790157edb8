"""The local API (`docs/reference/local-api.md`): the service behind a unix socket, by one table of operations."""

import asyncio
import contextlib
import json
import logging
import os
import pwd
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec

from jobs.plan import MAX_INPUT_BYTES
from jobs.records import Request, RunRecord
from orchestrator.following import STREAMS, Chunk, End, Position, Snapshot
from orchestrator.service import Caller, Service, ServiceError
from orchestrator.store.interface import RunEvent, StaleEpochError, StoreUnavailableError, StreamName
from remote.runner.frames import Decoder, Frame, FrameError, encode

log = logging.getLogger(__name__)
MAX_HEADER = 64 << 10
MAX_FRAME = 64 << 20
MAX_OUTPUT = 4 << 20
_READ = 256 << 10

Send = Callable[[dict[str, Any], bytes], Awaitable[None]]
Operation = Callable[["_Call"], Awaitable[None]]


class _Call:
    """One call of one connection: its fields, and how to answer."""

    def __init__(self, caller: Caller, fields: Mapping[str, Any], payload: bytes, send: Send) -> None:
        self.caller = caller
        self.fields = fields
        self.payload = payload
        self.send = send

    async def ok(self, result: object, **header: object) -> None:
        await self.send({"t": "ok", **header}, _json(result))

    def text(self, name: str) -> str:
        value = self.fields.get(name)
        if not isinstance(value, str) or not value:
            raise ServiceError("bad_request", f"{name}: expected text")
        return value

    def maybe(self, name: str, kind: type | tuple[type, ...]) -> Any:
        value = self.fields.get(name)
        if value is not None and (not isinstance(value, kind) or isinstance(value, bool)):
            raise ServiceError("bad_request", f"{name}: not of the expected type")
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        value = self.fields.get(name) or ()
        if not isinstance(value, (list, tuple)) or not all(isinstance(item, str) for item in value):
            raise ServiceError("bad_request", f"{name}: expected a list of texts")
        return tuple(value)

    def request(self) -> Request:
        try:
            return msgspec.convert(self.fields.get("request"), Request)
        except msgspec.ValidationError as error:
            raise ServiceError("bad_request", f"request: {error}") from error


def _json(value: object) -> bytes:
    return msgspec.json.encode(value)


class LocalServer:
    """Serves `service` on `path`; refuses every peer but the daemon's own account and root."""

    def __init__(self, service: Service, path: Path, *, info: Mapping[str, object]) -> None:
        self._service = service
        self._path = path
        self._info = info
        self.on_reload: Callable[[], Awaitable[int]] = service.reload
        self.unused = asyncio.Event()  #: set while nobody is connected
        self.unused.set()
        self._server: asyncio.Server | None = None
        self._clients: set[asyncio.Task[None]] = set()
        self._operations: Mapping[str, Operation] = {
            "ping": self._ping,
            "submit": self._submit,
            "plan": self._plan,
            "runs": self._runs,
            "run": self._run,
            "output": self._output,
            "cancel": self._cancel,
            "follow": self._follow,
            "nodes": self._nodes,
            "check": self._check,
            "reload": self._reloaded,
            "stats": self._stats,
            "complete": self._complete,
        }

    async def start(self) -> None:
        """Listen. A socket file that nobody answers on is replaced.

        Raises:
            OSError: the path cannot be used.
        """
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
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
        async def send(header: dict[str, Any], payload: bytes = b"") -> None:
            writer.write(encode(header, payload, max_header=MAX_HEADER, max_frame=MAX_FRAME))
            await writer.drain()

        caller = _caller(writer.get_extra_info("socket"))
        if caller is None:
            await send(
                {"t": "error", "code": "forbidden", "message": "this socket serves the daemon's own account and root"}
            )
            return
        decoder = Decoder(max_header=MAX_HEADER, max_frame=MAX_FRAME)
        while data := await reader.read(_READ):
            for frame in decoder.feed(data):
                await self._answer(caller, frame, send)

    async def _answer(self, caller: Caller, frame: Frame, send: Send) -> None:
        try:
            call = _call(caller, frame, send)
            operation = self._operations.get(str(call.fields.get("op")))
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

    # --- operations, in the order of the document

    async def _ping(self, call: _Call) -> None:
        await call.ok(self._info)

    async def _submit(self, call: _Call) -> None:
        if len(call.payload) > 2 * MAX_INPUT_BYTES:
            raise ServiceError("bad_request", "script and standard input are too large")
        record = await self._service.submit(call.caller, call.text("id"), call.request(), call.payload)
        await call.ok(record)

    async def _plan(self, call: _Call) -> None:
        made, nodes = await self._service.preview(call.caller, call.request())
        await call.ok({"nodes": nodes, "folded": made.run.nodes, "count": made.run.total, "title": made.run.title})

    async def _runs(self, call: _Call) -> None:
        limit = call.maybe("limit", int) or 50
        wanted = {name: call.maybe(name, str) for name in ("node", "state", "user")}
        before = call.maybe("before", str)
        active = bool(call.fields.get("active"))
        found: list[RunRecord] = []
        while len(found) < limit:
            page = await self._service.runs(active=active, limit=max(limit, 50), before=before)
            if not page:
                break
            before = page[-1].id
            found += [record for record in page if await self._matches(record, wanted)]
            if active:
                break
        complete = len(found) <= limit
        found = found[:limit]
        await call.ok({"runs": found, "next": None if complete and not before else (found[-1].id if found else None)})

    async def _matches(self, record: RunRecord, wanted: Mapping[str, str | None]) -> bool:
        if wanted["user"] not in (None, record.user) or wanted["state"] not in (None, record.state):
            return False
        if wanted["node"] is None:
            return True
        whole = await self._service.run(record.id)
        return any(job.node == wanted["node"] for job in whole.jobs or ())

    async def _run(self, call: _Call) -> None:
        await call.ok(await self._service.run(call.text("id")))

    async def _output(self, call: _Call) -> None:
        stream = _stream(call.text("stream"))
        limit = min(call.maybe("limit", int) or MAX_OUTPUT, MAX_OUTPUT)
        piece = await self._service.output(call.text("id"), stream, call.maybe("offset", int) or 0, limit)
        end = piece.offset + len(piece.data)
        header = {"offset": piece.offset, "next": end, "size": piece.size, "complete": end >= piece.size}
        await call.send({"t": "ok", **header}, piece.data)

    async def _cancel(self, call: _Call) -> None:
        grace_s = call.maybe("grace_s", (int, float))
        cancelled, requested, ended = await self._service.cancel(call.caller, call.text("id"), grace_s=grace_s)
        await call.ok({"cancelled": cancelled, "requested": requested, "ended": ended})

    async def _follow(self, call: _Call) -> None:
        position = Position(offsets=_offsets(call.fields.get("offsets")), event=call.maybe("events_after", str) or "0")
        output = call.fields.get("output", True) is not False
        async for item in self._service.follow(call.text("id"), position, output=output):
            match item:
                case Chunk():
                    header = {"job": item.job, "node": item.node, "stream": item.stream, "offset": item.offset}
                    await call.send({"t": "output", **header}, item.data)
                case RunEvent():
                    await call.send({"t": "event", "id": item.id, **item.fields}, b"")
                case Snapshot():
                    await call.send({"t": "snapshot"}, _json(item.run))
                case End():
                    await call.send({"t": "end"}, _json(item.run))

    async def _nodes(self, call: _Call) -> None:
        sources = call.texts("inventory")
        target = call.maybe("target", str)
        inventory = await self._service.inventory(sources)
        if target is None:
            nodes = tuple(inventory.nodes.values())
        else:
            nodes = (await self._service.select(target, inventory=sources)).nodes
        groups = {
            name: sorted(node.name for node in inventory.nodes.values() if name in node.groups)
            for name in inventory.groups
        }
        warnings = [str(problem) for problem in inventory.warnings]
        await call.ok({"nodes": [_node(node) for node in nodes], "groups": groups, "problems": warnings})

    async def _check(self, call: _Call) -> None:
        selection = await self._service.select(call.maybe("target", str), inventory=call.texts("inventory"))
        described = {node.name: _node(node) for node in selection.nodes}
        async for found in self._service.check(selection, call.texts("users")):
            result = {**described[found.node], "reachable": found.reachable, **found.facts}
            await call.send({"t": "node"}, _json(result))
        await call.send({"t": "end"}, b"{}")

    async def _reloaded(self, call: _Call) -> None:
        await call.ok({"nodes": await self.on_reload()})

    async def _stats(self, call: _Call) -> None:
        await call.ok(await self._service.stats())

    async def _complete(self, call: _Call) -> None:
        prefix = call.maybe("prefix", str) or ""
        kind = call.text("kind")
        if kind in ("run", "job"):
            items = [record.id for record in await self._service.runs(active=False, limit=200, before=None)]
        else:
            inventory = await self._service.inventory(call.texts("inventory"))
            items = list(inventory.nodes if kind == "node" else inventory.groups)
        await call.ok({"items": [item for item in items if item.startswith(prefix)][:200]})


async def _refuse(send: Send, code: str, message: str, problems: tuple[Mapping[str, object], ...] = ()) -> None:
    payload = _json({"problems": problems}) if problems else b""
    await send({"t": "error", "code": code, "message": message[:8000]}, payload)


def _call(caller: Caller, frame: Frame, send: Send) -> _Call:
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
    return _Call(caller, fields, payload, send)


def _caller(peer: socket.socket) -> Caller | None:
    """Return who is at the other end, None if it is not served (`SO_PEERCRED`, unix(7))."""
    _pid, uid, _gid = struct.unpack("3i", peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))
    if uid not in (0, os.geteuid()):
        return None
    try:
        return Caller(pwd.getpwuid(uid).pw_name)
    except KeyError:
        return Caller(f"uid {uid}")


def _stream(text: str) -> StreamName:
    for name in STREAMS:
        if text == name:
            return name
    raise ServiceError("bad_request", "stream: expected stdout or stderr")


def _offsets(value: object) -> dict[tuple[str, StreamName], int]:
    try:
        offsets = msgspec.convert(value or {}, dict[str, dict[str, Annotated[int, msgspec.Meta(ge=0)]]])
    except msgspec.ValidationError as error:
        raise ServiceError("bad_request", "offsets: expected {job: {stdout: n, stderr: n}}") from error
    return {(job, _stream(name)): offset for job, streams in offsets.items() for name, offset in streams.items()}


def _node(node: Any) -> dict[str, object]:
    return {
        "name": node.name,
        "host": node.host,
        "port": node.port,
        "user": node.user,
        "labels": dict(node.labels),
        "vars": dict(node.vars),
        "groups": sorted(node.groups),
        "max_jobs": node.max_jobs,
        "order": node.order,
        "disabled": node.disabled,
        "python": node.python,
        "identity": list(node.identity),
        "jump": list(node.jump),
    }
