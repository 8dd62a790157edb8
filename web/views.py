"""What the pages show, made of the records of the local API. Pure."""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from jobs.lifecycle import TERMINAL, State

#: a shape for each state, so that colour is never the only sign
MARKS: Final = MappingProxyType(
    {
        State.QUEUED: "○",
        State.DISPATCHING: "◔",
        State.CLAIMED: "◑",
        State.RUNNING: "▶",
        State.SUCCEEDED: "✓",
        State.FAILED: "✗",
        State.TIMED_OUT: "◷",
        State.CANCELLED: "⊘",
        State.START_FAILED: "!",
        State.EXPIRED: "⌛",
        State.LOST: "?",
    }
)
#: bad news first: that is what a person looks for
ORDER: Final = (
    State.LOST,
    State.START_FAILED,
    State.FAILED,
    State.TIMED_OUT,
    State.EXPIRED,
    State.CANCELLED,
    State.RUNNING,
    State.CLAIMED,
    State.DISPATCHING,
    State.QUEUED,
    State.SUCCEEDED,
)
_NAMED: Final = 12  # nodes that a sentence names


class Segment(NamedTuple):
    """One part of the bar that shows how a run's jobs stand; `x` and `width` are percent of it."""

    state: str
    label: str
    mark: str
    number: int
    x: float
    width: float


class Trouble(NamedTuple):
    """Jobs that did not succeed for the same reason."""

    state: str
    label: str
    reason: str
    message: str
    number: int
    nodes: str


def label(state: str) -> str:
    """Return a state's name for people."""
    return state.replace("_", " ")


def mark(state: str) -> str:
    """Return a state's shape."""
    return MARKS[State(state)] if state in MARKS else "·"


def segments(counts: Mapping[str, int]) -> list[Segment]:
    """Return the parts of the bar, bad news first."""
    total = sum(counts.values())
    parts: list[Segment] = []
    x = 0.0
    for state in ORDER:
        if number := counts.get(state, 0):
            width = 100 * number / total
            parts.append(Segment(state, label(state), mark(state), number, round(x, 3), round(width, 3)))
            x += width
    return parts


def unfinished(run: Mapping[str, Any]) -> int:
    """Return how many jobs of a run have not ended."""
    return sum(number for state, number in run["counts"].items() if state not in TERMINAL)


def troubles(jobs: Iterable[Mapping[str, Any]]) -> list[Trouble]:
    """Return what went wrong in a run, one entry per reason, the largest first."""
    found: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for job in jobs:
        if job["state"] in TERMINAL and job["state"] not in (State.SUCCEEDED, State.CANCELLED):
            found.setdefault((job["state"], job["reason"] or ending(job)), []).append(job)
        elif job.get("link") == "unknown" and job["state"] not in TERMINAL:
            found.setdefault((job["state"], "link: unknown"), []).append(job)
    listed = [
        Trouble(state, label(state), reason, members[0]["message"] or "", len(members), _named(members))
        for (state, reason), members in found.items()
    ]
    return sorted(listed, key=lambda trouble: -trouble.number)


def ending(job: Mapping[str, Any]) -> str:
    """Return how a job's program ended: `exit 3`, `signal 9`, or nothing."""
    if job["signal"] is not None:
        return f"signal {job['signal']}"
    return f"exit {job['exit_code']}" if job["exit_code"] is not None else ""


def remark(job: Mapping[str, Any]) -> str:
    """Return what there is to say about a job beside its state: its message, and output that was not recorded."""
    dropped = job["dropped_bytes"]
    lost = f"{dropped} bytes beyond the output limit were not recorded." if dropped else ""
    return " ".join(filter(None, (job["message"], lost)))


def duration(start: float | None, end: float | None) -> str:
    """Return the time between two moments (Unix seconds) in words, or nothing if one is missing."""
    if start is None or end is None:
        return ""
    seconds = max(0.0, end - start)
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02} s"
    return f"{minutes // 60} h {minutes % 60:02} min"


def moment(at: float) -> str:
    """Return a moment (Unix seconds) as people read it, in UTC; the browser shows it in its own zone."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def iso(at: float) -> str:
    """Return a moment (Unix seconds) for `<time datetime>`."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")


def size(count: int) -> str:
    """Return a number of bytes in words."""
    amount = float(count)
    for unit in ("B", "KiB", "MiB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} GiB"


def file_name(run: str, node: str, stream: str) -> str:
    """Return what a downloaded log is called: nothing but letters, digits, dot, dash and underline."""
    return f"{run}-{re.sub(r'[^A-Za-z0-9._-]', '_', node)[:80]}-{stream}.log"


def _named(jobs: list[Mapping[str, Any]]) -> str:
    names = ", ".join(job["node"] for job in jobs[:_NAMED])
    return f"{names} and {len(jobs) - _NAMED} more" if len(jobs) > _NAMED else names
