"""The only way in: submit, query, follow and act, each with the caller's identity. Every face calls this."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from inventory import InvalidFilesError, Inventory, Node, TargetError, fold
from inventory.route import Route
from jobs.lifecycle import State
from jobs.plan import Defaults, Plan, PlannedNode, RequestError, plan
from jobs.records import Request, RunRecord, RunSpec
from orchestrator.catalogue import Catalogue
from orchestrator.following import Item, Position, follow, narrowed
from orchestrator.store.interface import Output, Store, StreamName


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: the account behind the local socket, or a signed-in user of a face."""

    user: str


class ServiceError(Exception):
    """A call cannot be done. `code` is machine-readable (see `docs/reference/local-api.md`)."""

    def __init__(self, code: str, message: str, problems: Sequence[Mapping[str, object]] = ()) -> None:
        self.code = code
        self.message = message
        self.problems = tuple(problems)
        super().__init__(message)


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The nodes that a target selected, and how they are shown."""

    nodes: tuple[Node, ...]
    inventory: Inventory

    @property
    def folded(self) -> str:
        """The names in short, as `web[01-20]`."""
        return fold([node.name for node in self.nodes])


class Service:
    """The operations of AnyJob. Errors are `ServiceError`."""

    def __init__(
        self,
        store: Store,
        catalogue: Catalogue,
        checker: NodeChecker,
        *,
        defaults: Defaults,
        now: Callable[[], float],
    ) -> None:
        self._store = store
        self._catalogue = catalogue
        self._checker = checker
        self._now = now
        self.defaults = defaults  #: replaced at a reload of the settings

    async def submit(self, caller: Caller, run_id: str, request: Request, inputs: bytes) -> RunRecord:
        """Plan and keep a request; the same id submitted again gives the same run."""
        if len(inputs) != max(request.script_size, 0) + max(request.stdin_size, 0):
            raise ServiceError("bad_request", "script_size and stdin_size do not add up to the bytes that came")
        made = await self._plan(caller, run_id, request)
        if await self._store.submit(made.run, made.jobs, inputs):
            return _new(made.run)
        record = await self._store.run(run_id, with_jobs=False)
        if record is None:
            raise ServiceError("internal", f"run {run_id} was not kept")
        return record

    async def preview(self, caller: Caller, request: Request) -> tuple[Plan, tuple[str, ...]]:
        """Return the plan of a request and the names of its nodes; nothing is started."""
        made = await self._plan(caller, "0" * 26, request)
        return made, tuple(job.node for job in made.jobs)

    async def _plan(self, caller: Caller, run_id: str, request: Request) -> Plan:
        selection = await self.select(
            request.target, exclude=request.exclude, limit=request.limit, inventory=request.inventory
        )
        nodes = [
            PlannedNode(
                name=node.name,
                route=selection.inventory.route(node, login_user=request.login_user),
                max_jobs=node.max_jobs,
            )
            for node in selection.nodes
        ]
        try:
            return plan(
                request,
                run_id=run_id,
                user=caller.user,
                nodes=nodes,
                folded=selection.folded,
                defaults=self.defaults,
                now=self._now(),
            )
        except RequestError as error:
            problems = [{"field": field, "message": message} for field, message in error.problems]
            raise ServiceError("bad_request", str(error), problems) from error

    async def select(
        self,
        target: str | None,
        *,
        exclude: str | None = None,
        limit: str | None = None,
        inventory: Sequence[str] = (),
    ) -> Selection:
        """Return the nodes of a target expression; None selects every node that is not disabled."""
        known = await self.inventory(inventory)
        try:
            nodes = known.select("all" if target is None else target, exclude=exclude, limit=limit)
        except TargetError as error:
            raise ServiceError("bad_target", str(error)) from error
        return Selection(nodes=nodes, inventory=known)

    async def inventory(self, sources: Sequence[str] = ()) -> Inventory:
        """Return the site's inventory, or the one of these files."""
        try:
            return await self._catalogue.named(sources)
        except InvalidFilesError as error:
            raise bad_file(error) from error

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

    async def reload(self) -> int:
        """Read the site's inventory again; a broken one is refused and the old one stays."""
        try:
            return len((await self._catalogue.reload()).nodes)
        except InvalidFilesError as error:
            raise bad_file(error) from error

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
    )


def bad_file(error: InvalidFilesError) -> ServiceError:
    """Return the error that tells a caller every mistake in settings or inventory."""
    fields = ("file", "line", "column", "field", "message", "hint")
    problems = [{field: getattr(problem, field) for field in fields} for problem in error.problems]
    return ServiceError("bad_file", str(error), problems)
