"""Between the words of jobs and the words of the wire: what a node is told to start, what its outcome means. Pure."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jobs.jobtype import decode_action, decode_retry
from jobs.lifecycle import Event, target
from jobs.params import Values
from jobs.records import JobSpec, RunSpec, token
from jobs.rendering import Facts, render, render_env
from jobs.reports import Finish
from jobs.retry import RetryDecision, decide
from remote.errors import UnfitError, UnreachableError
from remote.session import (
    Absent,
    Ended,
    NodeEvent,
    Outcome,
    OutputChunk,
    PythonBundle,
    Refused,
    StartSpec,
    Terminal,
)

MAX_REDO = 10  #: attempts that a job may ask for itself
PIECE = 256 << 10  #: output is written in pieces of about this size


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """What a node is sent to start one attempt; `script` and `params` are inputs of their own."""

    spec: StartSpec
    script: bytes | None = None
    params: bytes | None = None


def launch(run: RunSpec, job: JobSpec, attempt: int, *, bundle: PythonBundle | None = None) -> Launch:
    """Return what the node is told; `ANYJOB_*` names the job to itself.

    Raises:
        RenderError: the job type's templates give nothing usable for this node.
    """
    own = {
        "ANYJOB_JOB_ID": job.id,
        "ANYJOB_RUN_ID": run.id,
        "ANYJOB_NODE": job.node,
        "ANYJOB_ATTEMPT": str(attempt),
        "ANYJOB_TOKEN": token(job.id, attempt),
        "ANYJOB_USER": run.user,
    }
    if run.action is None:
        return Launch(spec=_spec(run, run.argv, run.interpreter, {**run.env, **own}, bundle))
    values = given_values(run.params)
    facts = Facts(
        node=job.node,
        run=run.id,
        job=job.id,
        user=run.user,
        attempt=attempt,
        run_as=run.run_as_user or "",
        props=run.props,
    )
    rendered = render(decode_action(run.action), values, facts)
    env = {**render_env(run.env, values, facts), **own}
    return Launch(
        spec=_spec(run, rendered.argv or None, rendered.interpreter, env, bundle),
        script=None if rendered.script is None else rendered.script.encode(),
        params=json.dumps({"params": dict(values.plain), "props": run.props}, ensure_ascii=False).encode(),
    )


def given_values(params: Mapping[str, Any]) -> Values:
    """Return a run's parameters as templates take them; null stands for a parameter without a value."""
    plain = {name: value for name, value in params.items() if value is not None}
    return Values(plain=plain, absent=frozenset(params.keys() - plain.keys()))


def _spec(
    run: RunSpec,
    argv: tuple[str, ...] | None,
    interpreter: tuple[str, ...] | None,
    env: Mapping[str, str],
    bundle: PythonBundle | None,
) -> StartSpec:
    return StartSpec(
        argv=argv,
        interpreter=interpreter,
        bundle=bundle,
        env=env,
        cwd=run.cwd,
        umask=run.umask,
        nice=run.nice,
        rlimits=run.rlimits,
        tty=None if run.tty is None else Terminal(rows=run.tty.rows, cols=run.tty.cols, term=run.tty.term),
        user=run.run_as_user,
        group=run.run_as_group,
        timeout_s=run.timeout_s,
        inactivity_s=run.inactivity_s,
        grace_s=run.grace_s,
        max_output=run.max_output,
        on_output_limit=run.on_output_limit,
        leftovers=run.leftovers,
    )


def meaning(
    event: Ended | Refused | Absent, *, node: str, success_codes: Collection[int]
) -> tuple[Event, Mapping[str, object]]:
    """Return what the last word of a node on an attempt means for the job: the event, and columns of its record."""
    match event:
        case Ended(outcome=outcome):
            return conclusion(outcome, success_codes)
        case Refused(reason=reason, message=message):
            return Event.START_FAILED, {"reason": reason, "message": message}
        case Absent():
            message = f"{node} has no trace of it any more: its spool was wiped"
            return Event.LOST, {"reason": "spool_wiped", "message": message}


def conclusion(outcome: Outcome, success_codes: Collection[int] = (0,)) -> tuple[Event, Mapping[str, object]]:
    """Return the event that an outcome is, and the columns of the job's record that it fills."""
    fields: dict[str, object] = {
        "exit_code": outcome.code,
        "signal": outcome.signal,
        "stdout_bytes": outcome.out,
        "stderr_bytes": outcome.err,
        "dropped_bytes": outcome.out_dropped + outcome.err_dropped,
        "cpu_s": outcome.cpu_s,
        "max_rss": outcome.max_rss,
        "left": outcome.left,
        "reason": outcome.reason,
        "message": outcome.message,
    }
    return _event(outcome, success_codes), {**fields, "reason": outcome.reason or _reason(outcome, success_codes)}


def _event(outcome: Outcome, success_codes: Collection[int]) -> Event:
    if outcome.kind == "lost":
        return Event.LOST
    if outcome.cause == "cancel":
        return Event.CANCELLED
    if outcome.kind == "not_started":
        return Event.START_FAILED
    if outcome.cause in ("timeout", "inactivity"):
        return Event.TIMED_OUT
    is_success = outcome.cause is None and outcome.kind == "exited" and outcome.code in success_codes
    return Event.SUCCEEDED if is_success else Event.FAILED


def _reason(outcome: Outcome, success_codes: Collection[int]) -> str | None:
    if outcome.cause is not None:
        return "cancelled" if outcome.cause == "cancel" else outcome.cause
    if outcome.kind == "exited":
        return None if outcome.code in success_codes else "exit_code"
    return "signal"


def judged(event: Event, fields: Mapping[str, object], finish: Finish | None) -> tuple[Event, Mapping[str, object]]:
    """Return an end as the job itself judged it: what it calls a failure is one, and its message is kept."""
    if finish is None:
        return event, fields
    message = finish.message or fields["message"]
    if event is Event.SUCCEEDED and not finish.ok:
        return Event.FAILED, {**fields, "reason": "reported", "message": message}
    return event, {**fields, "message": message}


def next_attempt(
    run: RunSpec, event: Event, fields: Mapping[str, object], attempt: int, *, redo: bool
) -> RetryDecision | None:
    """Return when a job is tried again: as its type says, or at once because it asked for it itself; None = never."""
    if redo and event in (Event.SUCCEEDED, Event.FAILED) and attempt <= MAX_REDO:
        return RetryDecision(again=True, why=f"the job asked to be run again: attempt {attempt + 1}")
    if run.retry is None:
        return None
    code = fields.get("exit_code")
    decision = decide(
        decode_retry(run.retry),
        state=target(event),
        attempt=attempt,
        reason=str(fields.get("reason") or ""),
        exit_code=code if isinstance(code, int) else None,
    )
    return decision if decision.again else None


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
