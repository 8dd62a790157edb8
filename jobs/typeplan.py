"""From a request for a job type to a plan: values checked and filled in, limits of the type applied. Pure."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from inventory.nodeset import fold
from jobs.jobtype import JobType, Kind, Param, encode
from jobs.params import ParamErrors, Values, validate
from jobs.plan import ULID, Defaults, Plan, PlannedNode, RequestError, check_limits, members
from jobs.props import offered, validate_props
from jobs.records import Request, RunSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class TypePlan:
    """A plan, and what is not kept in it in clear: the secrets, to be sealed by whoever keeps the plan."""

    plan: Plan
    values: Values
    secrets: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """What a site says beside the type: its props, the names that a parameter of kind `node` may have."""

    props: Sequence[Param]
    nodes: Collection[str]


def plan_type(  # noqa: PLR0913  everything that a plan depends on, named
    request: Request,
    job_type: JobType,
    site: Site,
    *,
    run_id: str,
    user: str,
    nodes: Sequence[PlannedNode],
    defaults: Defaults,
    now: float,
) -> TypePlan:
    """Expand a request for a job type on the nodes that its target selected.

    Raises:
        RequestError: with every field that is wrong; a parameter is `params.NAME`, a prop `props.NAME`.
    """
    problems = [*_unfit(request, job_type, len(nodes)), *check_limits(request)]
    if not ULID.fullmatch(run_id):
        problems.append(("id", f"expected a ULID of 26 characters, found {run_id[:40]!r}"))
    values, props = Values(plain={}), Values(plain={})
    try:
        values = validate(job_type.params, request.params, nodes=site.nodes)
    except ParamErrors as error:
        problems += [(f"params.{name}" if name else "params", message) for name, message in error.problems]
    try:
        props = validate_props(offered(job_type, site.props), request.props)
    except ParamErrors as error:
        problems += [(f"props.{name}" if name else "props", message) for name, message in error.problems]
    if problems:
        raise RequestError(problems)
    run = _run(request, job_type, values, props, run_id=run_id, user=user, nodes=nodes, defaults=defaults, now=now)
    return TypePlan(plan=Plan(run=run, jobs=members(run_id, nodes)), values=values, secrets=values.secrets)


def _unfit(request: Request, job_type: JobType, count: int) -> list[tuple[str, str]]:
    problems: list[tuple[str, str]] = []
    if job_type.disabled is not None:
        problems.append(("type", f"{job_type.name} is disabled: {job_type.disabled}"))
    decided = ("argv", "script_size", "interpreter", "env", "cwd", "umask")
    problems += [(name, f"the type {job_type.name} decides this itself") for name in decided if getattr(request, name)]
    if count < job_type.min_nodes:
        problems.append(("target", f"{job_type.name} needs at least {job_type.min_nodes} nodes, these are {count}"))
    if job_type.max_nodes is not None and count > job_type.max_nodes:
        problems.append(("target", f"{job_type.name} takes at most {job_type.max_nodes} nodes, these are {count}"))
    return problems


def needs_confirmation(job_type: JobType, confirm: str | None, count: int) -> str | None:
    """Return what a person is to be asked; None when the type asks nothing, or was confirmed with name or number."""
    if job_type.confirm is None or confirm in (job_type.name, str(count)):
        return None
    return job_type.confirm


def _run(  # noqa: PLR0913  everything that a run depends on, named
    request: Request,
    job_type: JobType,
    values: Values,
    props: Values,
    *,
    run_id: str,
    user: str,
    nodes: Sequence[PlannedNode],
    defaults: Defaults,
    now: float,
) -> RunSpec:
    account, _, group = (request.run_as or job_type.run_as or "").partition(":")
    return RunSpec(
        id=run_id,
        type=job_type.name,
        title=title(job_type, values.plain),
        user=user,
        source=request.source,
        created=now,
        nodes=fold([node.name for node in nodes]),
        total=len(nodes),
        argv=None,
        params=dict.fromkeys(values.absent) | dict(values.plain),
        props=dict(props.plain),
        action=encode(job_type.action),
        stdin_size=request.stdin_size,
        env=dict(job_type.env),
        cwd=job_type.cwd,
        umask=0o022 if job_type.umask is None else job_type.umask,
        tty=request.tty,
        run_as_user=account or None,
        run_as_group=group or None,
        retry=None if job_type.retry is None else encode(job_type.retry),
        redact=job_type.redact,
        rerun_of=request.rerun_of,
        **_limits(request, job_type, defaults),
    )


def _limits(request: Request, job_type: JobType, defaults: Defaults) -> dict[str, Any]:
    """Return how much a job may take: as the request says, else as the type does, else as the settings do."""
    return {
        "nice": job_type.nice,
        "rlimits": job_type.rlimits,
        "timeout_s": _first(request.timeout_s, job_type.timeout_s),
        "inactivity_s": job_type.inactivity_s,
        "start_timeout_s": job_type.start_timeout_s,
        "grace_s": _first(request.grace_s, job_type.grace_s, defaults.grace_s),
        "success_codes": job_type.success_codes,
        "max_output": job_type.max_output or defaults.max_output,
        "on_output_limit": job_type.on_output_limit,
        "leftovers": job_type.leftovers,
        "fanout": request.fanout or defaults.fanout,
        "connect_timeout_s": request.connect_timeout_s,
    }


def _first(*values: float | None) -> float | None:
    return next((value for value in values if value is not None), None)


def title(job_type: JobType, plain: Mapping[str, Any]) -> str:
    """Return one line that tells people what a run does: the type and its short values."""
    shown = [
        f"{param.name}={plain[param.name]}"
        for param in job_type.params
        if param.name in plain and param.kind is not Kind.FILE and plain[param.name] != param.default
    ]
    line = " ".join(" ".join([job_type.name, *shown]).split())
    return line if len(line) <= 200 else line[:199] + "…"
