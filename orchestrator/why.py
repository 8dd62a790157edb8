"""Why a run is as it is: what its jobs wait for, and why they ended as they did. Pure."""

from collections.abc import Callable
from dataclasses import dataclass

from inventory import fold
from jobs.lifecycle import TERMINAL, State
from jobs.records import JobRecord, RunRecord

_WAITING = {
    "node_busy": "all slots of the node (max_jobs) are taken",
    "fanout": "as many jobs of this run as its fan-out allows are under way",
    "retry_delay": "the next attempt has its time",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """One reason, and the nodes that it holds for. Times are Unix seconds."""

    what: str  #: nodes, folded
    state: str
    reason: str
    message: str
    since: float | None
    until: float | None = None


def chain(run: RunRecord, waits: Callable[[str], str | None]) -> list[Link]:
    """Return the reasons of all jobs that do not simply run or have succeeded, the most common first."""
    groups: dict[tuple[str, str, str], list[JobRecord]] = {}
    for job in run.jobs or ():
        found = _reason(job, waits)
        if found is not None:
            groups.setdefault((job.state, *found), []).append(job)
    links = [
        Link(
            what=fold([job.node for job in jobs]),
            state=state,
            reason=reason,
            message=message,
            since=min((_since(job) for job in jobs), default=None),
            until=max((job.retry_at for job in jobs if job.retry_at is not None), default=None),
        )
        for (state, reason, message), jobs in groups.items()
    ]
    return sorted(links, key=lambda link: (link.state in {str(state) for state in TERMINAL}, link.what))


def _reason(job: JobRecord, waits: Callable[[str], str | None]) -> tuple[str, str] | None:
    if job.link == "unknown":
        return "link_unknown", "the node cannot be reached; the job may run on there, and is followed again when it can"
    if job.state is State.QUEUED:
        reason = waits(job.id) or "admission"
        return reason, job.message or _WAITING.get(reason, "it is about to be given to a dispatcher")
    if job.state in (State.DISPATCHING, State.CLAIMED):
        return str(job.state), "it is on its way to the node"
    if job.state in TERMINAL and job.state is not State.SUCCEEDED:
        return job.reason or str(job.state), job.message or _ended(job)
    return None


def _ended(job: JobRecord) -> str:
    if job.exit_code is not None:
        return f"exit code {job.exit_code}"
    return f"signal {job.signal}" if job.signal is not None else ""


def _since(job: JobRecord) -> float:
    if job.link == "unknown" and job.link_since is not None:
        return job.link_since
    return job.ended or job.started or job.created
