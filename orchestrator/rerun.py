"""A run again: which of its jobs, and what of it stays the same. Pure."""

import enum
from collections.abc import Sequence

import msgspec

from inventory import fold
from jobs.lifecycle import State
from jobs.plan import Plan
from jobs.records import JobRecord, JobSpec, RunSpec


class Only(enum.StrEnum):
    """Which jobs are run again."""

    ALL = "all"
    FAILED = "failed"  #: all that did not succeed
    UNREACHED = "unreached"  #: none of whose code ran


def chosen(jobs: Sequence[JobRecord], only: Only | Sequence[str]) -> set[str]:
    """Return the ids of the jobs that are meant: by how they ended, or by the names of their nodes."""
    if not isinstance(only, Only):
        return {job.id for job in jobs if job.node in only}
    if only is Only.ALL:
        return {job.id for job in jobs}
    ended = [job for job in jobs if job.ended is not None and job.state is not State.SUCCEEDED]
    return {job.id for job in ended if only is Only.FAILED or job.started is None}


def again(spec: RunSpec, jobs: Sequence[JobSpec], *, new_id: str, user: str, now: float) -> Plan:
    """Return the plan of a run that repeats these jobs of another one. Secrets are sealed anew by whoever keeps it."""
    single = len(jobs) == 1
    run = msgspec.structs.replace(
        spec,
        id=new_id,
        user=user,
        created=now,
        nodes=fold([job.node for job in jobs]),
        total=len(jobs),
        sealed=None,
        rerun_of=spec.id,
    )
    members = tuple(
        msgspec.structs.replace(job, id=new_id if single else f"{new_id}-{index}", run=new_id, index=index)
        for index, job in enumerate(jobs, start=1)
    )
    return Plan(run=run, jobs=members)
