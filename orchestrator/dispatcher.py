"""The dispatcher: starts the jobs that the controller assigned to it, each through the worker of its node."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass

from inventory.route import Route
from jobs.jobtype import PythonAction, decode_action
from jobs.lifecycle import State
from jobs.records import JobSpec, RunSpec
from orchestrator.assignment import Assignment
from orchestrator.bundles import Bundle, Bundles
from orchestrator.intake import Intake, Masks, Writer
from orchestrator.node_worker import NodeWorker
from orchestrator.patience import insist
from orchestrator.run_secrets import opened
from orchestrator.sealing import Sealer
from orchestrator.service import NodeCheck
from orchestrator.store.interface import Bases, LiveJob, Store, Work
from remote.session import Stream
from remote.transport import Transport

_BLOCK_S = 5.0
_TRIM_AT = 256  #: entries: forgetting each at once would cost a write to the disk per job
_NOW_S = 0.001  #: "do not wait": Redis takes 0 for "for ever"


@dataclass(frozen=True, slots=True, kw_only=True)
class DispatcherOptions:
    """What a dispatcher is called and how it keeps its connections."""

    name: str
    epoch: int
    idle_s: float  #: a connection without jobs is closed after that
    max_connections: int  #: beyond it the one that has been idle longest is closed


class Dispatcher:
    """All node workers of a daemon."""

    def __init__(
        self,
        store: Store,
        transport: Transport,
        sealer: Sealer,
        *,
        options: DispatcherOptions,
        now: Callable[[], float],
    ) -> None:
        self.store = store
        self.transport = transport
        self._sealer = sealer
        self.options = options
        self.now = now
        self._workers: dict[Route, NodeWorker] = {}
        self._jobs: dict[str, NodeWorker] = {}
        self._runs: dict[str, tuple[RunSpec, dict[str, JobSpec]]] = {}
        self._inputs: dict[str, bytes] = {}
        self._bundles = Bundles()
        self._tasks: asyncio.TaskGroup | None = None

    async def run(self) -> None:
        """Look after assigned jobs until cancelled; jobs on nodes go on without us.

        Raises:
            StaleEpochError: a newer controller has taken over.
        """
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            position = await insist(self._take_over)
            unneeded = 0  # entries that could be forgotten
            while True:
                entries = await self.store.work(self.options.name, position, block_s=_BLOCK_S)
                for entry in entries:
                    await self._do(entry)
                position = entries[-1].id if entries else position
                unneeded += len(entries)
                if unneeded and (not entries or unneeded >= _TRIM_AT):
                    await insist(lambda: self.store.trim_work(self.options.name, position))  # noqa: B023  awaited here
                    unneeded = 0

    async def _take_over(self) -> str:
        """Go on with the jobs that an earlier dispatcher had; return where the work begins that is new to us."""
        position = await self._skip_old_work()
        jobs = await self.store.live_jobs()
        # What was assigned meanwhile is live too, but it has never been sent anywhere.
        new = {entry.job for entry in await self.store.work(self.options.name, position, block_s=_NOW_S)}
        for live in jobs:
            if live.state is not State.QUEUED and live.spec.id not in new:
                await self._resume(live)
        return position

    async def _skip_old_work(self) -> str:
        """Forget entries from before: `live_jobs` tells what they asked for, and doing them could start a job twice."""
        position = "0"
        while entries := await self.store.work(self.options.name, position, block_s=_NOW_S):
            position = entries[-1].id
        if position != "0":
            await self.store.trim_work(self.options.name, position)
        return position

    async def _resume(self, live: LiveJob) -> None:
        run, _ = await self._run(live.spec.run)
        bases = Bases(live.base_out, live.base_err)
        kept: dict[Stream, int] = {
            "out": live.stdout_bytes - bases.out,
            "err": live.stderr_bytes - bases.err,
            "rep": live.report_bytes,
        }
        intake = self._intake(run, live.spec, live.attempt, bases, kept)
        record = await self.store.job(live.spec.id)
        if record is not None:  # columns are written as a whole: go on from what was told before
            intake.told.columns.update({"data": record.data or {}, "metrics": record.metrics})
        assignment = Assignment(
            spec=live.spec,
            run=run,
            attempt=live.attempt,
            intake=intake,
            on_node=True,
            resume=live.state in (State.CLAIMED, State.RUNNING),
            cancel_grace_s=run.grace_s if live.cancel_requested else None,
        )
        self._give(assignment)

    async def _do(self, entry: Work) -> None:
        worker = self._jobs.get(entry.job)
        if entry.kind == "cancel":
            if worker is not None:
                await worker.cancel(entry.job, entry.grace_s)
        elif worker is None:
            run, jobs = await self._run(entry.job.partition("-")[0])
            spec, bases = jobs[entry.job], Bases(entry.base_out, entry.base_err)
            intake = self._intake(run, spec, entry.attempt, bases, {})
            self._give(Assignment(spec=spec, run=run, attempt=entry.attempt, intake=intake))

    def _intake(self, run: RunSpec, job: JobSpec, attempt: int, bases: Bases, kept: Mapping[Stream, int]) -> Intake:
        masks = Masks(secrets=tuple(self.secrets(run).values()), patterns=run.redact)
        writer = Writer(store=self.store, epoch=self.options.epoch, now=self.now)
        return Intake(writer, job, attempt, masks, bases=bases, kept=kept)

    def secrets(self, run: RunSpec) -> Mapping[str, str]:
        """Return a run's secrets in clear.

        Raises:
            SealingError: the site's key is not the one that sealed them.
        """
        return {} if run.sealed is None else opened(self._sealer, run.id, run.sealed)

    async def bundle(self, run: RunSpec) -> Bundle | None:
        """Return the Python code that a run's jobs are, None if they are something else.

        Raises:
            BundleError: it cannot be packed.
        """
        action = None if run.action is None else decode_action(run.action)
        return await asyncio.to_thread(self._bundles.of, action) if isinstance(action, PythonAction) else None

    async def _run(self, run_id: str) -> tuple[RunSpec, dict[str, JobSpec]]:
        """Read a run once for all its jobs; only the last few are kept."""
        if run_id not in self._runs:
            run, specs = await asyncio.gather(
                insist(lambda: self.store.run_spec(run_id)), insist(lambda: self.store.job_specs(run_id))
            )
            if run is None:
                raise LookupError(f"run {run_id} has been assigned but is not in the store")
            jobs = {job.id: job for job in specs}
            while len(self._runs) >= 64:
                del self._runs[next(iter(self._runs))]
            self._runs[run_id] = run, jobs
        return self._runs[run_id]

    async def inputs(self, run: RunSpec) -> tuple[bytes | None, bytes | None]:
        """Return a run's script and standard input, None where it has none."""
        if not run.script_size and not run.stdin_size:
            return None, None
        if run.id not in self._inputs:
            self._inputs = {run.id: await insist(lambda: self.store.inputs(run.id))}
        data = self._inputs[run.id]
        return data[: run.script_size] if run.script_size else None, (
            data[run.script_size :] if run.stdin_size else None
        )

    def _give(self, assignment: Assignment) -> None:
        worker = self._worker(assignment.spec.route)
        self._jobs[assignment.spec.id] = worker
        worker.give(assignment)

    def _worker(self, route: Route) -> NodeWorker:
        worker = self._workers.get(route)
        if worker is None:
            worker = self._workers[route] = NodeWorker(self, route)
            self.spawn(self._work(worker))
        return worker

    async def _work(self, worker: NodeWorker) -> None:
        try:
            await worker.run()
        finally:
            if self._workers.get(worker.route) is worker:
                del self._workers[worker.route]

    def spawn(self, coroutine: Coroutine[None, None, None]) -> None:
        """Run something beside, owned by this dispatcher."""
        if self._tasks is None:
            raise RuntimeError("the dispatcher is not running")
        self._tasks.create_task(coroutine)

    def done(self, job: str) -> None:
        """A job needs nothing more from us."""
        self._jobs.pop(job, None)

    def make_room(self) -> None:
        """Close the connection that has been idle longest, if there are too many."""
        connected = [worker for worker in self._workers.values() if worker.connected]
        idle = [worker for worker in connected if worker.idle]
        if len(connected) >= self.options.max_connections and idle:
            min(idle, key=lambda worker: worker.idle_since).retire()

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return sum(worker.connected for worker in self._workers.values())

    @property
    def jobs(self) -> int:
        """How many jobs are looked after."""
        return len(self._jobs)

    async def check(self, route: Route, users: Sequence[str]) -> NodeCheck:
        """Look at a node over its warm connection, or a new one."""
        return await self._worker(route).probe(users)
