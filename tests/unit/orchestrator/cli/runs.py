"""Runs as the daemon tells of them."""

import json
from typing import Any

from remote.runner.frames import Frame
from tests.unit.orchestrator.cli.scripted_peer import frame

RUN = "01JD0A7Q2M0000000000000000"


def job(node: str = "web01", state: str = "running", index: int = 1, **facts: Any) -> dict[str, Any]:
    return {
        "id": f"{RUN}-{index}",
        "run": RUN,
        "index": index,
        "node": node,
        "state": state,
        "reason": None,
        "message": None,
        "attempt": 1,
        "created": 1000.0,
        "started": 1000.5,
        "ended": None if state in ("queued", "running") else 1001.5,
        "exit_code": {"succeeded": 0, "failed": 1}.get(state),
        "signal": None,
        "stdout_bytes": 0,
        "stderr_bytes": 0,
        "dropped_bytes": 0,
        "cpu_s": None,
        "max_rss": None,
        "link": "connected",
        "link_since": None,
        **facts,
    }


def run(*jobs: dict[str, Any], state: str = "running", **facts: Any) -> dict[str, Any]:
    counts: dict[str, int] = {}
    for one in jobs:
        counts[one["state"]] = counts.get(one["state"], 0) + 1
    return {
        "id": RUN,
        "kind": "jobset",
        "type": "command",
        "title": "uname -n",
        "user": "root",
        "source": "cli",
        "created": 1000.0,
        "ended": None if state == "running" else 1002.0,
        "state": state,
        "total": len(jobs),
        "counts": counts,
        "nodes": "web[01-02]",
        "cancelled_by": None,
        "jobs": list(jobs),
        **facts,
    }


def output(
    data: bytes, *, node: str = "web01", index: int = 1, stream: str = "stdout", offset: int = 0
) -> dict[str, Any]:
    return {
        "header": {"t": "output", "job": f"{RUN}-{index}", "node": node, "stream": stream, "offset": offset},
        "payload": data,
    }


def event(state: str, *, node: str = "web01", index: int = 1, number: int = 1, **facts: Any) -> dict[str, Any]:
    header = {
        "t": "event",
        "id": f"{number}-0",
        "job": f"{RUN}-{index}",
        "node": node,
        "event": "started" if state == "running" else state,
        "state": state,
        "at": 1001.0,
        **facts,
    }
    return {"header": header, "payload": b""}


def snapshot(document: dict[str, Any]) -> dict[str, Any]:
    return {"header": {"t": "snapshot"}, "payload": json.dumps(document).encode()}


def end(document: dict[str, Any]) -> dict[str, Any]:
    return {"header": {"t": "end"}, "payload": json.dumps(document).encode()}


def as_frame(message: dict[str, Any]) -> Frame:
    return Frame(message["header"], message["payload"])


def as_bytes(*messages: dict[str, Any]) -> bytes:
    return b"".join(frame(message["header"], message["payload"]) for message in messages)
