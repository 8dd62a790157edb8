"""The controller: which queued jobs start. Facts come from the control stream, decisions from `jobs.admission`."""

import asyncio
import logging
from collections.abc import Callable, Sequence

from jobs.admission import Admission, Waiting
from jobs.lifecycle import Event, State
from jobs.records import JobSpec, RunSpec
from orchestrator.patience import insist
from orchestrator.store.interface import Control, Store

log = logging.getLogger(__name__)
_BLOCK_S = 5.0
_TRIM_AT = 256  #: entries: forgetting each at once would cost a write to the disk per job
_SOON_S = 0.01
_SWEEP_S = 5.0  #: how often waiting jobs are held against their start limit


class Controller:
    """Admits queued jobs and hands them to a dispatcher. One per epoch."""

    def __init__(
        self, store: Store, *, dispatcher: str, epoch: int, start_timeout_s: float | None, now: Callable[[], float]
    ) -> None:
        self._store = store
        self._dispatcher = dispatcher
        self._epoch = epoch
        self._now = now
        self._admission = Admission()
        self._runs: dict[str, RunSpec] = {}
        self.start_timeout_s = start_timeout_s

    @property
    def waiting(self) -> int:
        """How many jobs wait to be admitted."""
        return self._admission.waiting

    def reason(self, job: str) -> str | None:
        """Return what a queued job waits for: see `jobs.admission`."""
        return self._admission.reason(job)

    async def run(self) -> None:
        """Admit jobs until cancelled.

        Raises:
            StaleEpochError: a newer controller has taken over.
        """
        position = await insist(self._store.control_position)
        await insist(self._take_over)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._expire())
            await self._admit()
            unneeded = 0  # entries that could be forgotten
            while True:
                entries = await self._store.control(position, block_s=self._patience_s())
                await self._learn(entries)
                await self._admit()
                position = entries[-1].id if entries else position
                unneeded += len(entries)
                if unneeded and (not entries or unneeded >= _TRIM_AT):
                    await insist(lambda: self._store.trim_control(position))  # noqa: B023  awaited here
                    unneeded = 0

    def _patience_s(self) -> float:
        """How long nothing but news needs to wake us."""
        due = self._admission.next_at
        return _BLOCK_S if due is None else min(max(due - self._now(), _SOON_S), _BLOCK_S)

    async def _take_over(self) -> None:
        for live in await self._store.live_jobs():
            waiting = self._waiting(live.spec, await self._run_spec(live.spec.run))
            if live.state is State.QUEUED and live.retry_at is not None:
                self._admission.postponed(waiting, live.retry_at)
            elif live.state is State.QUEUED:
                self._admission.submitted([waiting])
            else:
                self._admission.running(waiting)

    async def _learn(self, entries: Sequence[Control]) -> None:
        for entry in entries:
            if entry.kind == "submitted":
                self._admission.submitted(await insist(lambda: self._submitted(entry.run)))  # noqa: B023  awaited here
            elif entry.kind == "retried" and entry.job is not None and entry.retry_at is not None:
                held = self._admission.known(entry.job)
                if held is not None:
                    self._admission.postponed(held, entry.retry_at)
            elif entry.job is not None:
                self._admission.ended(entry.job)

    async def _submitted(self, run_id: str) -> list[Waiting]:
        specs, run = await asyncio.gather(self._store.job_specs(run_id), self._run_spec(run_id))
        return [self._waiting(spec, run) for spec in specs]

    def _waiting(self, spec: JobSpec, run: RunSpec | None) -> Waiting:
        fanout, created = (run.fanout, run.created) if run else (None, self._now())
        return Waiting(spec.id, spec.run, spec.node, spec.max_jobs, fanout, created)

    async def _run_spec(self, run: str) -> RunSpec | None:
        """Read a run once for all its jobs; only the last few are kept."""
        if run not in self._runs:
            found = await self._store.run_spec(run)
            if found is None:
                return None
            while len(self._runs) >= 64:
                del self._runs[next(iter(self._runs))]
            self._runs[run] = found
        return self._runs[run]

    async def _admit(self) -> None:
        admitted = self._admission.admit(self._now())
        if not admitted:
            return
        taken = await self._store.assign(admitted, dispatcher=self._dispatcher, epoch=self._epoch, now=self._now())
        for job in set(admitted) - set(taken):
            self._admission.ended(job)  # cancelled between the decision and the write
        log.debug("jobs assigned", extra={"jobs": len(taken)})

    async def _expire(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP_S)
            if self.start_timeout_s is None:
                continue
            now = self._now()
            message = f"it waited longer than its start limit of {self.start_timeout_s:g} s"
            for job in self._admission.overdue(now - self.start_timeout_s):
                fields = {"reason": "start_timeout", "message": message}
                await self._store.apply(job, 1, Event.EXPIRED, epoch=self._epoch, now=now, fields=fields)
