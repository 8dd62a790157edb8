"""Between the words of jobs and the words of the wire: what a node is told to start, what its outcome means. Pure."""

from collections.abc import Mapping, Sequence

from jobs.lifecycle import Event
from jobs.records import JobSpec, RunSpec, token
from remote.errors import UnfitError, UnreachableError
from remote.session import NodeEvent, Outcome, OutputChunk, StartSpec, Terminal

PIECE = 256 << 10  #: output is written in pieces of about this size


def start_spec(run: RunSpec, job: JobSpec, attempt: int) -> StartSpec:
    """Return what the node is told; `ANYJOB_*` names the job to itself."""
    own = {
        "ANYJOB_JOB_ID": job.id,
        "ANYJOB_RUN_ID": run.id,
        "ANYJOB_NODE": job.node,
        "ANYJOB_ATTEMPT": str(attempt),
        "ANYJOB_TOKEN": token(job.id, attempt),
        "ANYJOB_USER": run.user,
    }
    return StartSpec(
        argv=run.argv,
        interpreter=run.interpreter,
        env={**run.env, **own},
        cwd=run.cwd,
        umask=run.umask,
        tty=None if run.tty is None else Terminal(rows=run.tty.rows, cols=run.tty.cols, term=run.tty.term),
        user=run.run_as_user,
        group=run.run_as_group,
        timeout_s=run.timeout_s,
        grace_s=run.grace_s,
        max_output=run.max_output,
    )


def conclusion(outcome: Outcome) -> tuple[Event, Mapping[str, object]]:
    """Return the event that an outcome is, and the columns of the job's record that it fills."""
    fields: dict[str, object] = {
        "exit_code": outcome.code,
        "signal": outcome.signal,
        "stdout_bytes": outcome.out,
        "stderr_bytes": outcome.err,
        "dropped_bytes": outcome.out_dropped + outcome.err_dropped,
        "cpu_s": outcome.cpu_s,
        "max_rss": outcome.max_rss,
        "reason": outcome.reason,
        "message": outcome.message,
    }
    if outcome.kind == "not_started":
        return (Event.CANCELLED if outcome.cause == "cancel" else Event.START_FAILED), fields
    if outcome.kind == "lost":
        return Event.LOST, fields
    if outcome.cause == "cancel":
        return Event.CANCELLED, {**fields, "reason": "cancelled"}
    if outcome.cause == "timeout":
        return Event.TIMED_OUT, {**fields, "reason": "timeout"}
    if outcome.kind == "exited" and outcome.code == 0:
        return Event.SUCCEEDED, fields
    return Event.FAILED, {**fields, "reason": "exit_code" if outcome.kind == "exited" else "signal"}


def trouble(error: UnreachableError | UnfitError) -> dict[str, object]:
    """Return reason and message of a node that could not be used."""
    return {"reason": error.code, "message": error.message}


def merge(events: Sequence[NodeEvent]) -> list[list[OutputChunk]]:
    """Return the pieces of each stream, neighbours joined to fewer and larger ones. The order within a stream stays."""
    streams: dict[tuple[str, str], list[list[OutputChunk]]] = {}
    for event in events:
        if isinstance(event, OutputChunk):
            groups = streams.setdefault((event.token, event.stream), [])
            if groups and sum(len(chunk.data) for chunk in groups[-1]) + len(event.data) <= PIECE:
                groups[-1].append(event)
            else:
                groups.append([event])
    return [[_joined(group) for group in groups] for groups in streams.values()]


def _joined(group: Sequence[OutputChunk]) -> OutputChunk:
    first = group[0]
    return OutputChunk(first.token, first.stream, first.offset, b"".join(chunk.data for chunk in group))
