"""The queue's side of the store: what the controller and the dispatchers read and change."""

import asyncio
import logging
import math
import secrets
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

import msgspec
from redis.asyncio.connection import Connection
from redis.exceptions import ResponseError

from jobs.lifecycle import TERMINAL, Event, State, sources, target
from jobs.records import JobSpec
from orchestrator.store.connection import LOST, REPLY_S, connect, explain
from orchestrator.store.interface import Control, LiveJob, Work
from orchestrator.store.keys import run_of
from orchestrator.store.pipeline import Reply
from orchestrator.store.rows import columns, note
from orchestrator.store.wire import Wire

_ENTRIES: Final = 1_000  #: at most, in one answer of a blocking read
_PAGE: Final = 1_000  #: jobs in one round of questions
_KINDS: Final[dict[str, Literal["submitted", "ended", "cancelled", "retried"]]] = {
    "submitted": "submitted",
    "ended": "ended",
    "cancelled": "cancelled",
    "retried": "retried",
}
_PAUSE_S: Final = 0.2  #: before a blocking read is tried again
_LIVE_COLUMNS: Final = ("spec", "state", "attempt", "cancel_op", "base_out", "base_err", "report_bytes", "retry_at")

log = logging.getLogger(__name__)


class Queue:
    """See `Store`, whose methods these are."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._keys = wire.keys
        self._blocking: dict[str, Connection] = {}  #: by key, between two reads
        self._nonce = secrets.token_hex(8)
        self._operations = 0

    async def close(self) -> None:
        """Disconnect the blocking reads."""
        while self._blocking:
            _, connection = self._blocking.popitem()
            await connection.disconnect(nowait=True)

    def operation(self) -> str:
        """Return a name for one call: a script that is sent again with it gives the answer of the first time."""
        self._operations += 1
        return f"{self._nonce}.{self._operations}"

    async def control(self, after: str, *, block_s: float) -> list[Control]:
        """See `Store.control`."""
        entries = await self._read(self._keys.control("control"), after, block_s)
        return [
            Control(
                id=at,
                kind=_KINDS[values["kind"]],
                run=values["run"],
                job=values.get("job"),
                node=values.get("node"),
                retry_at=float(values["at"]) if "at" in values else None,
            )
            for at, values in entries
        ]

    async def control_position(self) -> str:
        """See `Store.control_position`."""
        [entries] = await self._wire.ask(("XREVRANGE", self._keys.control("control"), "+", "-", "COUNT", 1))
        return entries[0][0].decode() if entries else "0"

    async def trim_control(self, before: str) -> None:
        """See `Store.trim_control`."""
        await self._trim(self._keys.control("control"), before)

    async def work(self, dispatcher: str, after: str, *, block_s: float) -> list[Work]:
        """See `Store.work`."""
        entries = await self._read(self._keys.work(dispatcher), after, block_s)
        return [
            Work(
                id=at,
                kind="start" if values["kind"] == "start" else "cancel",
                job=values["job"],
                attempt=int(values["attempt"]),
                grace_s=float(values["grace"]) if values.get("grace") else None,
                base_out=int(values.get("base_out", 0)),
                base_err=int(values.get("base_err", 0)),
            )
            for at, values in entries
        ]

    async def trim_work(self, dispatcher: str, before: str) -> None:
        """See `Store.trim_work`."""
        await self._trim(self._keys.work(dispatcher), before)

    async def live_jobs(self) -> list[LiveJob]:
        """See `Store.live_jobs`."""
        [members] = await self._wire.ask(("ZRANGE", self._keys.control("live"), 0, -1))
        found: list[LiveJob] = []
        for start in range(0, len(members), _PAGE):
            jobs = [member.decode() for member in members[start : start + _PAGE]]
            rows = await self._wire.ask(
                *(("HMGET", self._keys.job(job), *_LIVE_COLUMNS) for job in jobs),
                *(("HMGET", self._keys.meta(job), "out", "err") for job in jobs),
            )
            found += (
                _live(row, sizes) for row, sizes in zip(rows[: len(jobs)], rows[len(jobs) :], strict=True) if row[0]
            )
        return found

    async def assign(self, jobs: Sequence[str], *, dispatcher: str, epoch: int, now: float) -> list[str]:
        """See `Store.assign`."""
        operation = self.operation()
        commands = [
            self._wire.script(
                "assign",
                [*self._keys.moving(job), self._keys.work(dispatcher)],
                [
                    epoch,
                    job,
                    run_of(job),
                    operation,
                    dispatcher,
                    note(job, Event.ASSIGNED, now, {}, state=State.DISPATCHING),
                    self._keys.bell(run_of(job)),
                ],
            )
            for job in jobs
        ]
        replies = await self._wire.insist(*commands) if commands else []
        return [job for job, moved in zip(jobs, replies, strict=True) if moved]

    async def apply(  # noqa: PLR0913  one event is one row
        self, job: str, attempt: int, event: Event, *, epoch: int, now: float, fields: Mapping[str, object]
    ) -> bool:
        """See `Store.apply`."""
        if event is Event.RETRIED:
            raise ValueError("the next attempt of a job is made by `retry`")
        state = target(event)
        values: dict[str, object] = {"ended": now} if state in TERMINAL else {}
        if state is State.RUNNING:
            values["started"] = now
        values |= fields
        allowed = sources(event)
        command = self._wire.script(
            "apply_event",
            self._keys.moving(job),
            [
                epoch,
                job,
                run_of(job),
                self.operation(),
                attempt,
                state,
                now if state in TERMINAL else "",
                note(job, event, now, fields, state=state),
                self._keys.bell(run_of(job)),
                len(allowed),
                *allowed,
                *columns(values),
            ],
        )
        [moved] = await self._wire.insist(command)
        return bool(moved)

    async def set_link(self, job: str, link: str, *, since: float) -> None:
        """See `Store.set_link`."""
        run = run_of(job)
        told = note(job, "link", since, {}, link=link)
        await self._wire.insist(
            self._wire.script(
                "set_link",
                [self._keys.job(job), self._keys.events(run), self._keys.control("live")],
                [job, msgspec.json.encode(link), msgspec.json.encode(since), told, self._keys.bell(run)],
            )
        )

    async def request_cancel(
        self, jobs: Sequence[str], *, by: str, grace_s: float | None, now: float
    ) -> tuple[int, int, int]:
        """See `Store.request_cancel`."""
        operation = self.operation()
        fields = {"reason": "cancelled", "message": f"cancelled by {by} before it started"}
        written = columns({**fields, "ended": now})
        commands = [
            self._wire.script(
                "request_cancel",
                self._keys.moving(job),
                [
                    job,
                    run_of(job),
                    operation,
                    by,
                    "" if grace_s is None else grace_s,
                    now,
                    note(job, Event.CANCELLED, now, fields, state=State.CANCELLED),
                    self._keys.bell(run_of(job)),
                    self._keys.work(""),
                    *written,
                ],
            )
            for job in jobs
        ]
        replies = await self._wire.change(*commands) if commands else []
        return replies.count(1), replies.count(2), replies.count(3)

    async def _trim(self, key: str, before: str) -> None:
        milliseconds, _, number = before.partition("-")
        await self._wire.change(("XTRIM", key, "MINID", f"{milliseconds}-{int(number or 0) + 1}"))

    async def _read(self, key: str, after: str, block_s: float) -> list[tuple[str, dict[str, str]]]:
        """Read a stream, waiting for its first entry; a Redis that is away is waited for as well."""
        if block_s <= 0:
            [reply] = await self._wire.ask(("XREAD", "COUNT", _ENTRIES, "STREAMS", key, after))
            return _entries(reply)
        deadline = time.monotonic() + block_s
        told = False
        while True:
            wait_s = max(0.001, deadline - time.monotonic())
            try:
                return _entries(await self._block(key, after, wait_s))
            except LOST as error:
                if not told:
                    log.warning("redis is away", extra={"error": str(explain(error, self._wire.settings.url))})
                    told = True
                await asyncio.sleep(_PAUSE_S)

    async def _block(self, key: str, after: str, wait_s: float) -> Reply:
        """Read on a connection of our own, which is given up when this is cancelled or the answer does not come."""
        connection = self._blocking.pop(key, None) or await connect(self._wire.settings)
        try:
            async with asyncio.timeout(wait_s + REPLY_S):
                await connection.send_command(
                    "XREAD", "COUNT", _ENTRIES, "BLOCK", math.ceil(wait_s * 1000), "STREAMS", key, after
                )
                reply = await connection.read_response(disable_decoding=True, timeout=math.inf)
        except ResponseError as error:
            await connection.disconnect(nowait=True)
            raise explain(error, self._wire.settings.url) from None
        except BaseException:
            await connection.disconnect(nowait=True)
            raise
        if other := self._blocking.pop(key, None):
            await other.disconnect(nowait=True)
        self._blocking[key] = connection
        return reply


def _entries(reply: Any) -> list[tuple[str, dict[str, str]]]:
    """Return the entries of the one stream in an answer to XREAD."""
    found = []
    for at, flat in reply[0][1] if reply else ():
        texts = [part.decode() for part in flat]
        found.append((at.decode(), dict(zip(texts[::2], texts[1::2], strict=True))))
    return found


def _live(row: Sequence[Any], sizes: Sequence[bytes | None]) -> LiveJob:
    spec, state, attempt, cancel, base_out, base_err, report_bytes, retry_at = row
    return LiveJob(
        spec=msgspec.json.decode(spec, type=JobSpec),
        state=State(state.decode()),
        attempt=int(attempt),
        stdout_bytes=int(sizes[0] or 0),
        stderr_bytes=int(sizes[1] or 0),
        cancel_requested=cancel is not None,
        base_out=int(base_out or 0),
        base_err=int(base_err or 0),
        report_bytes=int(report_bytes or 0),
        retry_at=None if retry_at is None else float(retry_at),
    )
