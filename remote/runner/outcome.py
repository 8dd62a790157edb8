"""The durable record of a job's end, as `docs/reference/node-protocol.md` has it."""

import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict


def build(kind: str, **known: "Any") -> "Dict[str, Any]":
    """Return an outcome with all its keys; what is not in `known` is null or nothing."""
    now = time.time()
    outcome: "Dict[str, Any]" = {
        "kind": kind,
        "code": None,
        "signal": None,
        "cause": None,
        "reason": None,
        "message": None,
        "out": 0,
        "err": 0,
        "rep": 0,
        "out_dropped": 0,
        "err_dropped": 0,
        "rep_dropped": 0,
        "left": [],
        "started_at": now,
        "ended_at": now,
        "cpu_s": 0.0,
        "max_rss": 0,
    }
    outcome.update(known)
    return outcome
