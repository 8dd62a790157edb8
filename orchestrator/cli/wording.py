"""How states, ends, times and sizes are said to people. Pure."""

import json
import signal
import time
from collections.abc import Mapping
from typing import Any, Final

_ENDINGS: Final = {
    "timed_out": "timed out",
    "cancelled": "cancelled",
    "start_failed": "not started",
    "expired": "not started in time",
    "lost": "lost",
}

Facts = Mapping[str, Any]  #: a job, or the header of one of its events: both have the same keys


def ending(facts: Facts) -> str | None:
    """Return how a job ended, None if it ended well or has not ended. The words of exit codes are clush's."""
    if facts.get("state") == "failed" and facts.get("signal"):
        return f"killed by {signal_name(facts['signal'])}"
    if facts.get("state") == "failed":
        return f"exited with exit code {facts.get('exit_code')}"
    words = _ENDINGS.get(facts.get("state", ""))
    message = facts.get("message") or facts.get("reason")
    return f"{words}: {message}" if words and message and message != words else words


def link_change(facts: Facts) -> str | None:
    """Return what a change of the connection to a node means for its job."""
    if facts.get("link") == "unknown":
        return "connection lost; its job may run on there, and its output comes when the node is back"
    return "connected again" if facts.get("link") == "connected" else None


def signal_name(number: int) -> str:
    """Return `SIGKILL (9)`; real-time and unknown ones by number."""
    try:
        return f"{signal.Signals(number).name} ({number})"
    except ValueError:
        return f"signal {number}"


def duration(seconds: float | None) -> str:
    """Return a span of time, two figures at most: `17 ms`, `0.3 s`, `42 s`, `3 m 05 s`, `2 h 10 m`, `4 d 03 h`."""
    if seconds is None:
        return "-"
    if seconds < 0.095:
        return f"{max(seconds, 0) * 1000:.0f} ms"
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = int(seconds)
    if whole < 60:
        return f"{whole} s"
    for unit, size, lower, below in (("m", 60, "s", 1), ("h", 3600, "m", 60), ("d", 86400, "h", 3600)):
        if unit == "d" or whole < size * (60 if unit == "m" else 24):
            return f"{whole // size} {unit} {whole % size // below:02} {lower}"
    raise AssertionError


def size(number: int) -> str:
    """Return bytes for people, binary units: `17 B`, `1.5 MiB`."""
    value = float(number)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TiB"


def moment(at: float | None) -> str:
    """Return a point of time in the person's own time zone (`TZ`)."""
    return "-" if at is None else time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))


def recent(at: float, now: float) -> str:
    """Return a point of time for a list: of today only the time of the day."""
    then = time.localtime(at)
    today = then[:3] == time.localtime(now)[:3]
    return time.strftime("%H:%M:%S" if today else "%Y-%m-%d %H:%M", then)


def took(job: Facts, now: float) -> float | None:
    """Return how long a job has run or did run, in seconds; None if it never started."""
    started = job.get("started")
    if started is None:
        return None
    return float((job.get("ended") or now) - started)


def written(value: object) -> str:
    """Return a default as it is written in a file or on the command line."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
