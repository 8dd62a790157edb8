"""How records look as Redis hashes, both ways.

`spec` holds what was submitted as JSON; `node`, `state` and what scripts write are plain; every other column of a job
is one JSON value.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

import msgspec

from jobs.jobset import aggregate
from jobs.lifecycle import TERMINAL, Event, State
from jobs.records import JobRecord, RunRecord, RunSpec

_PLAIN: Final = ("node", "state")
_DERIVED: Final = ("id", "run")  #: known from the key
JOB_COLUMNS: Final = tuple(name for name in JobRecord.__struct_fields__ if name not in _DERIVED)
_SCRIPTED: Final = frozenset({"index", "node", "state", "created", "attempt", "retry_at", "report_bytes"})
REPORTED: Final = frozenset({"progress", "stage", "note", "result", "data", "metrics"})
_WRITABLE: Final = frozenset(JOB_COLUMNS) - _SCRIPTED - REPORTED
#: what the next attempt of a job begins without; `noted` counts what it has told
OF_ATTEMPT: Final = tuple(
    sorted({"noted", "report_bytes"} | REPORTED | _WRITABLE - {"reason", "message", "stdout_bytes", "stderr_bytes"})
)
RUN_COLUMNS: Final = ("spec", "ended", "cancelled_by", "progress", *(f"n:{state}" for state in State))
_OWN_EVENTS: Final = frozenset({None, "link", "muted", *Event})
_OWN_KEYS: Final = frozenset({"job", "node", "at", "state"})
_NOTED: Final = ("reason", "message", "exit_code", "signal")

Row = Sequence[bytes | None]


def columns(fields: Mapping[str, object], known: Collection[str] = _WRITABLE) -> list[str | bytes]:
    """Return names and values to be written to a job's hash.

    Raises:
        ValueError: for a column that a job does not have, or that is written otherwise.
    """
    if unknown := fields.keys() - known:
        raise ValueError(f"not a column that this may write: {', '.join(sorted(unknown))}")
    return [part for name, value in fields.items() for part in (name, msgspec.json.encode(value))]


def note(job: str, event: str, at: float, fields: Mapping[str, object], **more: object) -> bytes:
    """Return an entry of a run's event stream, without the node, which the script adds."""
    told = {name: fields.get(name) for name in _NOTED}
    return msgspec.json.encode({"job": job, "event": event, "at": at, **told, **more})


def reported(job: str, at: float, told: Mapping[str, object]) -> bytes:
    """Return the entry of a run's event stream for what a job told, without the node, which the script adds.

    Raises:
        ValueError: it would pass for an event of AnyJob's own, or for its facts.
    """
    if told.get("event") in _OWN_EVENTS:
        raise ValueError(f"not the name of something that a job tells: {told.get('event')}")
    if taken := told.keys() & _OWN_KEYS:
        raise ValueError(f"not a key of something that a job tells: {', '.join(sorted(taken))}")
    return msgspec.json.encode({"job": job, "at": at, **told})


def job_record(job: str, run: str, row: Row, sizes: Row) -> JobRecord | None:
    """Return a job from the values of `JOB_COLUMNS` and the sizes of its two streams; None when it is not there."""
    if row[JOB_COLUMNS.index("state")] is None:
        return None
    values: dict[str, Any] = {
        name: value.decode() if name in _PLAIN else msgspec.json.decode(value)
        for name, value in zip(JOB_COLUMNS, row, strict=True)
        if value is not None
    }
    for name, size in zip(("stdout_bytes", "stderr_bytes"), sizes, strict=True):
        values[name] = max(values.get(name, 0), int(size or 0))
    return msgspec.convert({"id": job, "run": run, **values}, JobRecord)


def run_record(row: Row, jobs: tuple[JobRecord, ...] | None) -> RunRecord | None:
    """Return a run from the values of `RUN_COLUMNS`; None when it is not there."""
    values = dict(zip(RUN_COLUMNS, row, strict=True))
    text = values["spec"]
    if text is None:
        return None
    spec = msgspec.json.decode(text, type=RunSpec)
    counts = {state: number for state in State if (number := int(values[f"n:{state}"] or 0))}
    ended, cancelled_by = values["ended"], values["cancelled_by"]
    done = sum(number for state, number in counts.items() if state in TERMINAL)
    return RunRecord(
        id=spec.id,
        kind="job" if spec.total == 1 else "jobset",
        type=spec.type,
        title=spec.title,
        user=spec.user,
        source=spec.source,
        created=spec.created,
        nodes=spec.nodes,
        total=spec.total,
        state=aggregate(counts),
        counts=counts,
        ended=None if ended is None else float(ended),
        cancelled_by=None if cancelled_by is None else cancelled_by.decode(),
        params=spec.params,
        props=spec.props,
        rerun_of=spec.rerun_of,
        progress=_mean(values["progress"], done, spec.total),
        jobs=jobs,
    )


def _mean(hundredths: bytes | None, done: int, total: int) -> float | None:
    """Return the progress of a run from the sum that its jobs told; those that have ended are at 100."""
    return None if hundredths is None else round((int(hundredths) / 100 + 100 * done) / total, 2)
