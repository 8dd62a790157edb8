"""`Store` on Redis: the way to the parts that do it."""

import logging
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

import msgspec

from jobs.lifecycle import Event
from jobs.records import JobRecord, JobSpec, RunRecord, RunSpec
from orchestrator.store.archive import Archive
from orchestrator.store.bells import Bells
from orchestrator.store.connection import StoreSettings
from orchestrator.store.health import inspect_server, server_figures
from orchestrator.store.interface import (
    Bases,
    Control,
    LiveJob,
    Output,
    RunEvent,
    Store,
    StoreUnavailableError,
    StreamName,
    Work,
)
from orchestrator.store.redis_attempts import Attempts
from orchestrator.store.redis_output import OutputStore
from orchestrator.store.redis_queue import Queue
from orchestrator.store.redis_runs import Runs
from orchestrator.store.retention import prune
from orchestrator.store.wire import Wire

__all__ = ["RedisStore", "StoreSettings"]

log = logging.getLogger(__name__)


class RedisStore(Store):
    """See `Store`."""

    def __init__(self, settings: StoreSettings) -> None:
        self._settings = settings
        self._wire = Wire(settings)
        self._keys = self._wire.keys
        self._queue = Queue(self._wire)
        self._runs = Runs(self._wire)
        self._attempts = Attempts(self._wire, self._queue)
        self._bells = Bells(self._wire)
        self._output = OutputStore(self._wire, Archive(settings.archive_dir))

    async def open(self) -> None:
        """See `Store.open`."""
        try:
            await self._wire.open()
            await self.cluster()
            await inspect_server(self._wire)
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """See `Store.close`."""
        for part in (self._bells, self._output, self._queue, self._wire):
            await part.close()

    async def cluster(self) -> str:
        """See `Store.cluster`."""
        key = self._keys.control("cluster")
        _, found = await self._wire.change(("SET", key, secrets.token_hex(8), "NX"), ("GET", key))
        return str(found.decode())

    async def begin_epoch(self) -> int:
        """See `Store.begin_epoch`. Sent twice after a lost reply it raises by two, which fences as well."""
        [epoch] = await self._wire.change(("INCR", self._keys.control("epoch")))
        return int(epoch)

    # --- submit and query

    async def submit(self, run: RunSpec, jobs: Sequence[JobSpec], inputs: bytes) -> bool:
        """See `Store.submit`."""
        return await self._runs.submit(run, jobs, inputs, operation=self._queue.operation())

    async def run_spec(self, run: str) -> RunSpec | None:
        """See `Store.run_spec`."""
        return await self._runs.run_spec(run)

    async def job_spec(self, job: str) -> JobSpec | None:
        """See `Store.job_spec`."""
        return await self._runs.job_spec(job)

    async def job_specs(self, run: str) -> list[JobSpec]:
        """See `Store.job_specs`."""
        return await self._runs.job_specs(run)

    async def inputs(self, run: str) -> bytes:
        """See `Store.inputs`."""
        return await self._output.inputs(run)

    async def run(self, run: str, *, with_jobs: bool) -> RunRecord | None:
        """See `Store.run`."""
        return await self._runs.run(run, with_jobs=with_jobs)

    async def job(self, job: str) -> JobRecord | None:
        """See `Store.job`."""
        return await self._runs.job(job)

    async def runs(self, *, active: bool, limit: int, before: str | None) -> list[RunRecord]:
        """See `Store.runs`."""
        return await self._runs.runs(active=active, limit=limit, before=before)

    async def resolve(self, text: str) -> list[str]:
        """See `Store.resolve`."""
        return await self._runs.resolve(text)

    # --- controller and dispatcher

    async def control(self, after: str, *, block_s: float) -> list[Control]:
        """See `Store.control`."""
        return await self._queue.control(after, block_s=block_s)

    async def control_position(self) -> str:
        """See `Store.control_position`."""
        return await self._queue.control_position()

    async def trim_control(self, before: str) -> None:
        """See `Store.trim_control`."""
        await self._queue.trim_control(before)

    async def live_jobs(self) -> list[LiveJob]:
        """See `Store.live_jobs`."""
        return await self._queue.live_jobs()

    async def assign(self, jobs: Sequence[str], *, dispatcher: str, epoch: int, now: float) -> list[str]:
        """See `Store.assign`."""
        return await self._queue.assign(jobs, dispatcher=dispatcher, epoch=epoch, now=now)

    async def work(self, dispatcher: str, after: str, *, block_s: float) -> list[Work]:
        """See `Store.work`."""
        return await self._queue.work(dispatcher, after, block_s=block_s)

    async def trim_work(self, dispatcher: str, before: str) -> None:
        """See `Store.trim_work`."""
        await self._queue.trim_work(dispatcher, before)

    async def apply(  # noqa: PLR0913  one event is one row
        self, job: str, attempt: int, event: Event, *, epoch: int, now: float, fields: Mapping[str, object]
    ) -> bool:
        """See `Store.apply`."""
        return await self._queue.apply(job, attempt, event, epoch=epoch, now=now, fields=fields)

    async def retry(  # noqa: PLR0913  one event is one row
        self,
        job: str,
        attempt: int,
        *,
        epoch: int,
        now: float,
        at: float,
        fields: Mapping[str, object],
        reason: str | None = None,
        message: str | None = None,
    ) -> Bases | None:
        """See `Store.retry`."""
        return await self._attempts.retry(
            job, attempt, epoch=epoch, now=now, at=at, fields=fields, reason=reason, message=message
        )

    async def report(  # noqa: PLR0913  one piece of the report channel is one row
        self,
        job: str,
        attempt: int,
        *,
        start: int,
        end: int,
        epoch: int,
        now: float,
        fields: Mapping[str, object],
        notes: Sequence[Mapping[str, object]],
    ) -> int:
        """See `Store.report`."""
        return await self._attempts.report(
            job, attempt, start=start, end=end, epoch=epoch, now=now, fields=fields, notes=notes
        )

    async def set_link(self, job: str, link: str, *, since: float) -> None:
        """See `Store.set_link`."""
        await self._queue.set_link(job, link, since=since)

    async def append_output(self, job: str, stream: StreamName, offset: int, data: bytes, *, epoch: int) -> int:
        """See `Store.append_output`."""
        return await self._output.append(job, stream, offset, data, epoch=epoch)

    async def request_cancel(
        self, jobs: Sequence[str], *, by: str, grace_s: float | None, now: float
    ) -> tuple[int, int, int]:
        """See `Store.request_cancel`."""
        return await self._queue.request_cancel(jobs, by=by, grace_s=grace_s, now=now)

    # --- watchers

    async def output(self, job: str, stream: StreamName, offset: int, *, limit: int) -> Output:
        """See `Store.output`."""
        return await self._output.output(job, stream, offset, limit=limit)

    async def events(self, run: str, after: str) -> list[RunEvent]:
        """See `Store.events`."""
        [entries] = await self._wire.ask(("XRANGE", self._keys.events(run), f"({after}" if after != "0" else "-", "+"))
        return [RunEvent(at.decode(), _event(flat)) for at, flat in entries]

    def bell(self, run: str) -> AbstractAsyncContextManager[AsyncIterator[frozenset[str]]]:
        """See `Store.bell`."""
        return self._bells.watch(run)

    # --- upkeep

    async def archive(self, *, now: float) -> None:
        """See `Store.archive`. What hinders it is logged; the next time goes on from there."""
        try:
            await self._output.archive(now=now)
        except StoreUnavailableError as error:
            log.error("output was not archived", extra={"error": str(error)})  # noqa: TRY400  the next time does it

    async def prune(self, *, now: float) -> int:
        """See `Store.prune`. What hinders it is logged; the next time goes on from there."""
        try:
            return await prune(self._wire, self._output, now=now)
        except StoreUnavailableError as error:
            log.error("old runs were not removed", extra={"error": str(error)})  # noqa: TRY400  the next time does it
            return 0

    async def stats(self) -> dict[str, object]:
        """See `Store.stats`."""
        info, queued, live, active = await self._wire.ask(
            ("INFO",),
            ("HGET", self._keys.control("totals"), "queued"),
            ("ZCARD", self._keys.control("live")),
            ("ZCARD", self._keys.control("active")),
        )
        figures = {"queued": int(queued or 0), "live_jobs": live, "active_runs": active}
        return {**figures, **server_figures(info)}


def _event(flat: Sequence[bytes]) -> dict[str, Any]:
    """Return an event: the note, and the node that the script knew."""
    values = dict(zip(flat[::2], flat[1::2], strict=True))
    return {**msgspec.json.decode(values[b"note"]), "node": values[b"node"].decode()}
