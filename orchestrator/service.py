"""The only way in: submit, query, follow and act, each with the caller's identity. Every face calls this."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec

from inventory.route import Route
from jobs.lifecycle import State
from jobs.plan import Plan
from jobs.records import Request, RunRecord, RunSpec
from orchestrator.following import Item, Position, follow, narrowed
from orchestrator.planning import Caller, Planner, Selection, ServiceError
from orchestrator.rerun import Only, again, chosen
from orchestrator.run_secrets import closed, opened
from orchestrator.sealing import Sealer
from orchestrator.store.interface import Output, Store, StreamName
from orchestrator.why import Link, chain

Clock = Callable[[], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeCheck:
    """What `nodes check` found out about one node."""

    node: str
    reachable: bool
    facts: Mapping[str, object]


class NodeChecker(Protocol):
    """What can look at a node: the dispatcher."""

    async def check(self, route: Route, users: Sequence[str]) -> NodeCheck:
        """Connect (or use the warm connection) and ask; never raises for an unreachable node."""


class Service:
    """The operations of AnyJob. Errors are `ServiceError`."""

    def __init__(  # noqa: PLR0913  one argument per neighbour
        self,
        store: Store,
        planner: Planner,
        checker: NodeChecker,
        sealer: Sealer,
        *,
        now: Clock,
        waits: Callable[[str], str | None],
    ) -> None:
        self._store = store
        self._checker = checker
        self._sealer = sealer
        self._now = now
        self._waits = waits
        self.planner = planner  #: what a request would do; asks nothing of the store

    async def submit(self, caller: Caller, run_id: str, request: Request, inputs: bytes) -> RunRecord:
        """Plan and keep a request; the same id submitted again gives the same run."""
        if len(inputs) != max(request.script_size, 0) + max(request.stdin_size, 0):
            raise ServiceError("bad_request", "script_size and stdin_size do not add up to the bytes that came")
        planned = await self.planner.plan(caller, run_id, request)
        if planned.question is not None:
            raise ServiceError("confirmation", planned.question)
        return await self._keep(planned.plan, planned.secrets, inputs)

    async def _keep(self, plan: Plan, secrets: Mapping[str, str], inputs: bytes) -> RunRecord:
        run = plan.run
        if secrets:
            run = msgspec.structs.replace(run, sealed=closed(self._sealer, run.id, secrets))
        if await self._store.submit(run, plan.jobs, inputs):
            return _new(run)
        record = await self._store.run(run.id, with_jobs=False)
        if record is None:
            raise ServiceError("internal", f"run {run.id} was not kept")
        return record

    async def run(self, text: str) -> RunRecord:
        """Return a run with its jobs, by its id or an unambiguous part of it; by a job's id, with that job alone."""
        run_id = await self.resolve(text)
        record = await self._store.run(run_id, with_jobs=True)
        if record is None:
            raise ServiceError("not_found", f"there is no run {text!r}; `anyjob ps` and `anyjob history` list them")
        if "-" not in text:
            return record
        return narrowed(record, {await self.job_id(text)})

    async def resolve(self, text: str) -> str:
        """Return the run's id that `text` means."""
        wanted = text.strip().upper().partition("-")[0]
        if len(wanted) == 26:
            return wanted
        if len(wanted) < 4:
            raise ServiceError("not_found", f"{text!r} is too short for the id of a run: give 4 characters or more")
        found = await self._store.resolve(wanted)
        if not found:
            raise ServiceError("not_found", f"there is no run {text!r}; `anyjob ps` and `anyjob history` list them")
        if len(found) > 1:
            raise ServiceError("conflict", f"{text!r} could be any of: {', '.join(found)}; give more characters")
        return found[0]

    async def runs(self, *, active: bool, limit: int, before: str | None) -> list[RunRecord]:
        """Return summaries of runs, newest first."""
        return await self._store.runs(active=active, limit=max(1, min(limit, 1000)), before=before)

    async def job_id(self, text: str) -> str:
        """Return the job's id that `text` means: a job's own, or that of a run which is a single job."""
        run_id = await self.resolve(text)
        number = text.strip().partition("-")[2]
        job_id = f"{run_id}-{number}" if number else run_id
        if await self._store.job(job_id) is None:
            way_out = "it is a jobset: name one of its jobs" if not number else f"`anyjob show {run_id}` lists its jobs"
            raise ServiceError("not_found", f"there is no job {text!r}; {way_out}")
        return job_id

    async def output(self, job: str, stream: StreamName, offset: int, limit: int) -> Output:
        """Return a piece of a job's output."""
        return await self._store.output(await self.job_id(job), stream, max(0, offset), limit=max(1, limit))

    async def cancel(self, caller: Caller, text: str, *, grace_s: float | None) -> tuple[int, int, int]:
        """Cancel a run or one job; return how many were (cancelled at once, asked to end, ended before)."""
        jobs = [job.id for job in (await self.run(text)).jobs or ()]
        return await self._store.request_cancel(jobs, by=caller.user, grace_s=grace_s, now=self._now())

    async def follow(self, text: str, position: Position, *, output: bool) -> AsyncIterator[Item]:
        """Watch a run, or one job of it, from a position on."""
        async for item in follow(self._store, await self.run(text), position, output=output):
            yield item

    async def rerun(self, caller: Caller, new_id: str, text: str, only: Only | Sequence[str]) -> RunRecord:
        """Run a run's jobs again, with everything as it was: all of them, or those that `only` means."""
        record = await self.run(text)
        spec = await self._store.run_spec(record.id)
        if spec is None:
            raise ServiceError("not_found", f"there is no run {text!r}")
        wanted = chosen(record.jobs or (), only)
        if not wanted:
            raise ServiceError("bad_request", f"no job of {record.id} is meant by {only!r}: nothing to run again")
        jobs = [job for job in await self._store.job_specs(record.id) if job.id in wanted]
        secrets = {} if spec.sealed is None else opened(self._sealer, spec.id, spec.sealed)
        made = again(spec, jobs, new_id=new_id, user=caller.user, now=self._now())
        await self.planner.require_run_as(caller, made)
        return await self._keep(made, secrets, await self._store.inputs(spec.id))

    async def why(self, text: str) -> tuple[RunRecord, list[Link]]:
        """Return why a run is as it is: what its jobs wait for, or why they ended as they did."""
        record = await self.run(text)
        return record, chain(record, self._waits)

    async def check(self, selection: Selection, users: Sequence[str]) -> AsyncIterator[NodeCheck]:
        """Look at nodes, all at once; yield each as its answer comes."""
        tasks = [
            asyncio.ensure_future(self._checker.check(selection.inventory.route(node), users))
            for node in selection.nodes
        ]
        try:
            for task in asyncio.as_completed(tasks):
                yield await task
        finally:
            for task in tasks:
                task.cancel()

    async def stats(self) -> dict[str, object]:
        """Return the store's figures."""
        return await self._store.stats()


def _new(run: RunSpec) -> RunRecord:
    """Return a run as it is when it has just been kept: what that is needs no question."""
    return RunRecord(
        id=run.id,
        kind="job" if run.total == 1 else "jobset",
        type=run.type,
        title=run.title,
        user=run.user,
        source=run.source,
        created=run.created,
        nodes=run.nodes,
        total=run.total,
        state=State.QUEUED,
        counts={State.QUEUED: run.total},
        params=run.params,
        props=run.props,
        rerun_of=run.rerun_of,
    )
