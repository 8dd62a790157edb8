"""Live streams: one run as server-sent events, resumed to the byte (SSE as in the HTML standard, section 9.2).

`GET /events/runs/<id>` sends, until the run has ended:

- `batch`: a JSON list of what happened, in order, and with it in `id:` the position after all of it (`web.cursor`):
  `["state", run with jobs]`, `["output", job index, "stdout"|"stderr", offset, base64]`, `["event", fields]`;
- `end`: the run with jobs; nothing comes after it;
- `fault`: a sentence for people; the connection is closed and the browser comes again by itself.

Without a position the stream begins near the end of what there is (`?from=start`: at the beginning). With one (the
header `Last-Event-ID`, or `?cursor=`) it goes on at exactly the next byte. One viewer has one connection to the daemon
and a bounded buffer: who stalls, stalls alone.
"""

import asyncio
import base64
import collections
import json
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qs

from jobs.plan import ULID
from orchestrator.client import ApiError, DaemonAbsentError, Offsets, Progress
from orchestrator.client_async import AsyncClient, follow
from web import cursor
from web.asgi import Receive, Scope, Send, cookie, header, send_text
from web.sessions import Sessions

PATH: Final = "/events/runs/"
HEARTBEAT_S: Final = 15.0  #: a comment when there is nothing to say, so that proxies keep the connection
RECHECK_S: Final = 5.0  #: how long a stream may outlive its session
TAIL_BYTES: Final = 4 << 20  #: what a new viewer gets of the past, over all nodes
_MIN_TAIL: Final = 4 << 10  # of each stream, however many there are
_BUFFER: Final = 1 << 20  # bytes that wait for one viewer
_BATCH: Final = 256 << 10  # bytes of output in one event
_FRAME_COST: Final = 200  # bytes: what a frame without output counts for

_STATUS: Final = {"not_found": 404, "bad_request": 400, "forbidden": 403}
_HEADERS: Final = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"x-accel-buffering", b"no")]


class News(NamedTuple):
    """One frame of a `follow` as it waits for its viewer."""

    header: dict[str, Any]
    payload: bytes


Item = News | str | None  #: a frame, the text of a fault, or the end


class _StreamOverError(Exception):
    """There is nothing more to say, nobody listens any more, or this server stops."""


class Streams:
    """The ASGI application of the live streams.

    Args:
        socket_path: the daemon's socket.
        sessions: who may look.
        cookie_name: of the session's id.
    """

    def __init__(self, socket_path: Path, sessions: Sessions, cookie_name: str) -> None:
        self._socket_path = socket_path
        self._sessions = sessions
        self._cookie_name = cookie_name
        self._closing = asyncio.Event()

    def close(self) -> None:
        """End every stream, because the server stops; browsers come again and resume."""
        self._closing.set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one stream."""
        session_id = cookie(scope, self._cookie_name)
        session = self._sessions.find(session_id)
        run = scope["path"].removeprefix(PATH)
        if session is None:
            await send_text(send, 401, "Not signed in.")
        elif scope["method"] != "GET":
            await send_text(send, 405, "Only GET.")
        elif not ULID.fullmatch(run):
            await send_text(send, 404, "No such run.")
        elif not self._sessions.enter_stream(session):
            await send_text(send, 429, "Too many live pages are open in this browser: close one.")
        else:
            try:
                await self._serve(scope, receive, send, run, session_id)
            finally:
                self._sessions.leave_stream(session)

    async def _serve(self, scope: Scope, receive: Receive, send: Send, run: str, session_id: str | None) -> None:
        try:
            progress = await self._start(scope, run)
        except cursor.CursorError as error:
            await send_text(send, 400, f"{error}.")
            return
        except ApiError as error:
            await send_text(send, _STATUS.get(error.code, 503), error.message)
            return
        except DaemonAbsentError:
            await send_text(send, 503, "The daemon does not answer.")
            return
        await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
        viewer = _Viewer(run, progress, send)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(_until_gone(receive))
                group.create_task(self._until_closing())
                group.create_task(self._until_signed_out(session_id))
                group.create_task(_pump(self._socket_path, run, progress, viewer.buffer))
                group.create_task(viewer.write())
        except* (_StreamOverError, OSError):
            pass
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _start(self, scope: Scope, run: str) -> Progress:
        try:
            query = parse_qs(scope["query_string"].decode("latin-1"), max_num_fields=10)
        except ValueError:
            raise cursor.CursorError("a query with too many fields") from None
        position = header(scope, b"last-event-id") or query.get("cursor", [""])[0]
        async with await AsyncClient.connect(self._socket_path) as client:
            record = await client.call("run", id=run)
        if position:
            known = cursor.decode(run, position)
            if known.offsets.keys() - {job["id"] for job in record["jobs"]}:
                raise cursor.CursorError("a position in another run")
            return Progress(known.offsets, known.event)
        return Progress({} if query.get("from") == ["start"] else tail(record["jobs"]))

    async def _until_closing(self) -> None:
        await self._closing.wait()
        raise _StreamOverError

    async def _until_signed_out(self, session_id: str | None) -> None:
        while True:
            await asyncio.sleep(RECHECK_S)
            if self._sessions.find(session_id, touch=False) is None:
                raise _StreamOverError


class Buffer:
    """Frames between the daemon and one viewer, bounded in bytes."""

    def __init__(self) -> None:
        self._frames: collections.deque[Item] = collections.deque()
        self._size = 0
        self._filled = asyncio.Event()
        self._room = asyncio.Event()

    async def put(self, item: Item) -> None:
        """Add an item as soon as there is room."""
        while self._size >= _BUFFER:
            self._room.clear()
            await self._room.wait()
        self._frames.append(item)
        self._size += _cost(item)
        self._filled.set()

    async def take(self) -> list[Item]:
        """Wait for frames and return as many as fit one event."""
        while not self._frames:
            self._filled.clear()
            await self._filled.wait()
        taken: list[Item] = []
        size = 0
        while self._frames and size < _BATCH:
            item = self._frames.popleft()
            size += _cost(item)
            taken.append(item)
        self._size -= size
        self._room.set()
        return taken


class _Viewer:
    """Writes what the buffer has, with the position that the viewer has reached."""

    def __init__(self, run: str, begin: Progress, send: Send) -> None:
        self.buffer = Buffer()
        self._run = run
        self._offsets = {job: dict(streams) for job, streams in begin.offsets.items()}
        self._event = begin.events_after
        self._send = send

    async def write(self) -> None:
        """Send until the run has ended or the daemon is gone; ends with _StreamOverError."""
        await self._say(b"retry: 1500\n\n")
        while True:
            try:
                async with asyncio.timeout(HEARTBEAT_S):
                    items = await self.buffer.take()
            except TimeoutError:
                await self._say(b": still here\n\n")
                continue
            await self._say(self._batch(items))
            if items[-1] is None:
                raise _StreamOverError

    def _batch(self, items: list[Item]) -> bytes:
        happened: list[Any] = []
        last = b""
        for item in items:
            if isinstance(item, str):
                last = _event("fault", item)
            elif item is not None and item.header["t"] == "end":
                last = _event("end", json.loads(item.payload))
            elif item is not None:
                self._note(item)
                happened.append(_told(self._run, item))
        if not happened:
            return last
        position = cursor.encode(self._run, cursor.Cursor(self._offsets, self._event))
        return f"id: {position}\n".encode() + _event("batch", happened) + last

    def _note(self, news: News) -> None:
        fields = news.header
        if fields["t"] == "output":
            known = self._offsets.setdefault(fields["job"], {})
            known[fields["stream"]] = fields["offset"] + len(news.payload)
        elif fields["t"] == "event":
            self._event = fields["id"]

    async def _say(self, body: bytes) -> None:
        if body:
            await self._send({"type": "http.response.body", "body": body, "more_body": True})


def tail(jobs: list[dict[str, Any]]) -> Offsets:
    """Return where a new viewer begins, so that it gets about `TAIL_BYTES` of the past in all."""
    sizes = [job[f"{stream}_bytes"] for job in jobs for stream in ("stdout", "stderr")]
    share = max(_MIN_TAIL, TAIL_BYTES // max(1, sum(1 for size in sizes if size)))
    return {
        job["id"]: {stream: max(0, job[f"{stream}_bytes"] - share) for stream in ("stdout", "stderr")}
        for job in jobs
        if max(job["stdout_bytes"], job["stderr_bytes"]) > share
    }


async def _pump(path: Path, run: str, progress: Progress, buffer: Buffer) -> None:
    try:
        async for frame in follow(path, run, progress=progress):
            await buffer.put(News(frame.header, frame.payload))
    except DaemonAbsentError:
        await buffer.put("The daemon does not answer. The job is not affected; this page comes back by itself.")
    except ApiError as error:
        await buffer.put(error.message)
    await buffer.put(None)


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    raise _StreamOverError


def _told(run: str, news: News) -> list[Any]:
    fields = news.header
    match fields["t"]:
        case "output":
            data = base64.b64encode(news.payload).decode()
            return ["output", _place(run, fields["job"]), fields["stream"], fields["offset"], data]
        case "snapshot":
            return ["state", json.loads(news.payload)]
        case _:
            return ["event", {**fields, "index": _place(run, fields["job"])}]


def _place(run: str, job: str) -> int:
    return cursor.job_index(run, job) or 1  # a run that is one job: its job is the first


def _event(name: str, value: object) -> bytes:
    return f"event: {name}\ndata: {json.dumps(value, separators=(',', ':'))}\n\n".encode()


def _cost(item: Item) -> int:
    return _FRAME_COST + (len(item.payload) if isinstance(item, News) else 0)
