"""From a request to a plan, with all that a site says about it: inventory, job types, who may run as whom."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypedDict

import msgspec

from inventory import InvalidFilesError, Inventory, Node, TargetError, fold
from inventory.problems import did_you_mean
from jobs.jobtype import JobType
from jobs.paramtext import typed
from jobs.plan import Defaults, Plan, PlannedNode, RequestError, plan
from jobs.props import offered
from jobs.records import Request
from jobs.rendering import RenderError
from jobs.runas import Caller as RunAsCaller
from jobs.runas import decide
from jobs.typeplan import Site, needs_confirmation, plan_type
from jobs.words import WordErrors, read_words
from orchestrator.catalogue import Catalogue
from orchestrator.jobtypes import TypeCatalogue
from orchestrator.translate import launch


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
class Selection:
    """The nodes that a target selected, and how they are shown."""

    nodes: tuple[Node, ...]
    inventory: Inventory

    @property
    def folded(self) -> str:
        """The names in short, as `web[01-20]`."""
        return fold([node.name for node in self.nodes])


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A plan that could be carried out; `question` must be answered first where there is one."""

    plan: Plan
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    defaulted: tuple[str, ...] = ()  #: parameters whose value is the type's default
    question: str | None = None


class _Facts(TypedDict):
    """What a plan depends on beside the request."""

    run_id: str
    user: str
    nodes: Sequence[PlannedNode]
    defaults: Defaults
    now: float


class Planner:
    """Plans requests. Errors are `ServiceError`."""

    def __init__(
        self,
        catalogue: Catalogue,
        types: TypeCatalogue,
        *,
        login_user: str,
        defaults: Defaults,
        now: Callable[[], float],
    ) -> None:
        self._catalogue = catalogue
        self._types = types
        self._login_user = login_user
        self._now = now
        self.defaults = defaults  #: replaced at a reload of the settings

    async def plan(self, caller: Caller, run_id: str, request: Request) -> Planned:
        """Plan a request; nothing is kept or started."""
        job_type = None if request.type is None else self.job_type(request.type)
        if job_type is not None:
            request = await self._worded(request, job_type)
        target = request.target or (job_type.default_nodes if job_type else None)
        if not target:
            raise ServiceError("bad_target", "no target: say on which nodes it is to run")
        selection = await self.select(target, exclude=request.exclude, limit=request.limit, inventory=request.inventory)
        if job_type is not None:
            _require_allowed(job_type, selection)
        requested = request.run_as or (job_type.run_as if job_type else None)
        self._check_run_as(caller, request.type or "command", requested, selection.nodes)
        nodes = [self._planned_node(selection, node, request, requested) for node in selection.nodes]
        facts = _Facts(run_id=run_id, user=caller.user, nodes=nodes, defaults=self.defaults, now=self._now())
        try:
            if job_type is None:
                return Planned(plan=plan(request, folded=selection.folded, **facts))
            site = Site(props=self._types.policy.props, nodes=selection.inventory.nodes.keys())
            made = plan_type(request, job_type, site, **facts)
        except RequestError as error:
            problems = [{"field": field, "message": message} for field, message in error.problems]
            raise ServiceError("bad_request", str(error), problems) from error
        _require_renderable(made.plan)
        question = needs_confirmation(job_type, request.confirm, len(nodes))
        return Planned(plan=made.plan, secrets=made.secrets, defaulted=made.values.defaulted, question=question)

    async def _worded(self, request: Request, job_type: JobType) -> Request:
        """Return the request with the words of a command line as target and values, and texts as what they mean."""
        known = await self.inventory(request.inventory)
        props = offered(job_type, self._types.policy.props)
        try:
            words = read_words(
                request.words,
                params=job_type.params,
                props=props,
                is_target=lambda word: _is_target(known, word),
                target=request.target or None,
                nodes=known.nodes.keys(),
            )
        except WordErrors as error:
            problems = [{"field": "words", "message": f"{word}: {message}"} for word, message in error.problems]
            raise ServiceError("bad_request", str(error), problems) from error
        given, given_props = typed(job_type.params, request.params), typed(props, request.props)
        twice = sorted((given.keys() & words.params.keys()) | (given_props.keys() & words.props.keys()))
        if twice:
            raise ServiceError("bad_request", f"given twice: {', '.join(twice)}")
        return msgspec.structs.replace(
            request,
            target=words.target or request.target,
            params={**given, **words.params},
            props={**given_props, **words.props},
        )

    def job_type(self, name: str) -> JobType:
        """Return a job type by its name."""
        found = self._types.types.by_name.get(name)
        if found is None:
            hint = did_you_mean(name, self._types.types.by_name) or "`anyjob types list` shows them"
            raise ServiceError("not_found", f"there is no job type {name[:80]!r}; {hint}")
        return found

    @property
    def job_types(self) -> Sequence[JobType]:
        """All job types, in the order of lists."""
        return sorted(self._types.types.by_name.values(), key=lambda one: (one.group or "", one.order, one.name))

    async def require_run_as(self, caller: Caller, made: Plan) -> None:
        """Refuse a plan that was made earlier if its account is not allowed any more, or its nodes are gone."""
        run = made.run
        if run.run_as_user is None:
            return
        known = (await self.inventory()).nodes
        missing = [job.node for job in made.jobs if job.node not in known]
        if missing:
            raise ServiceError("bad_target", f"not in the inventory any more: {fold(missing)}")
        requested = f"{run.run_as_user}:{run.run_as_group}" if run.run_as_group else run.run_as_user
        self._check_run_as(caller, run.type, requested, [known[job.node] for job in made.jobs])

    def _check_run_as(self, caller: Caller, type_name: str, requested: str | None, nodes: Sequence[Node]) -> None:
        """Refuse an account that the site's policy does not allow; without one, the login's own rights are used."""
        if requested is None:
            return
        asker = RunAsCaller(user=caller.user, type_name=type_name)
        for node in nodes:
            login = node.user or self._login_user
            decision = decide(
                self._types.policy.run_as, asker, login=login, node_labels=node.labels, requested=requested
            )
            if not decision.allowed and requested != login:
                raise ServiceError("forbidden", f"{node.name}: {decision.reason}")

    @staticmethod
    def _planned_node(selection: Selection, node: Node, request: Request, run_as: str | None) -> PlannedNode:
        account = None if run_as is None else run_as.partition(":")[0]
        route = selection.inventory.route(node, login_user=request.login_user, run_as=account)
        return PlannedNode(name=node.name, route=route, max_jobs=node.max_jobs)

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

    async def reload(self) -> int:
        """Read the site's job types, policy and inventory again; with a mistake in any, the old ones stay."""
        try:
            inventory = await self._catalogue.reload()
            await self._types.reload()
        except InvalidFilesError as error:
            raise bad_file(error) from error
        return len(inventory.nodes)


def _is_target(known: Inventory, word: str) -> bool:
    try:
        known.select(word)
    except TargetError:
        return False
    return True


def _require_allowed(job_type: JobType, selection: Selection) -> None:
    """Refuse nodes on which a job type may not run."""
    known = selection.inventory
    names = {node.name for node in selection.nodes}
    try:
        allowed = names if job_type.nodes is None else {node.name for node in known.select(job_type.nodes)}
        if job_type.except_nodes is not None:
            allowed = allowed - {node.name for node in known.select(job_type.except_nodes)}
    except TargetError as error:
        raise ServiceError("bad_file", f"{job_type.source}: nodes of {job_type.name}: {error}") from error
    refused = names - allowed
    if refused:
        raise ServiceError("bad_target", f"{job_type.name} may not run on {fold(sorted(refused))}")


def _require_renderable(made: Plan) -> None:
    """Refuse values that give no usable command, before anything is kept: templates are filled in for each node."""
    for job in made.jobs:
        try:
            launch(made.run, job, 1)
        except RenderError as error:
            problems = [{"field": name, "message": f"{job.node}: {message}"} for name, message in error.problems]
            raise ServiceError("bad_request", str(error), problems) from error


def bad_file(error: InvalidFilesError) -> ServiceError:
    """Return the error that tells a caller every mistake in settings or inventory."""
    fields = ("file", "line", "column", "field", "message", "hint")
    problems = [{field: getattr(problem, field) for field in fields} for problem in error.problems]
    return ServiceError("bad_file", str(error), problems)
