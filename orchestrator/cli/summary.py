"""What is told when a run has ended: which node ended how, and the counts. Pure."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from orchestrator.cli.table import Cell, Row, table
from orchestrator.cli.terminal import Terminal
from orchestrator.cli.wording import duration, ending, took

ALL_MAX: Final = 20  #: up to so many nodes each has its row; beyond it only those that did not succeed
STATE_STYLE: Final[Mapping[str, tuple[str, ...]]] = {
    "succeeded": ("green",),
    "running": ("cyan",),
    "queued": ("dim",),
    "dispatching": ("dim",),
    "claimed": ("dim",),
    "cancelled": ("yellow",),
}
_BAD: Final = ("red",)


def summary(run: Mapping[str, Any], terminal: Terminal, *, now: float) -> str:
    """Return the table and the line with the counts."""
    jobs = run["jobs"]
    shown = jobs if len(jobs) <= ALL_MAX else [job for job in jobs if job["state"] != "succeeded"]
    text = job_table(shown, terminal, now=now) if shown else ""
    return text + terminal.paint(counts_line(run["counts"], run["total"]), "bold") + _time(run, now) + "\n"


def job_table(jobs: Sequence[Mapping[str, Any]], terminal: Terminal, *, now: float, numbered: bool = False) -> str:
    """Return one row per job; `numbered` with the number that makes the id of a run to that of a job (`RUN-3`)."""
    rows: list[Row] = []
    for job in jobs:
        style = state_style(job["state"])
        message = job.get("message") or ""
        rows.append(
            [
                *([_number(job)] if numbered else []),
                job["node"],
                Cell(job["state"], style),
                _code(job),
                duration(took(job, now)),
                message or _detail(job) or _told(job),
            ]
        )
    return table((*(["JOB"] if numbered else []), "NODE", "STATE", "EXIT", "TIME", "MESSAGE"), rows, terminal)


def _number(job: Mapping[str, Any]) -> str:
    return str(job["id"].partition("-")[2] or "-")


def state_style(state: str) -> tuple[str, ...]:
    """Return a state's colour."""
    return STATE_STYLE.get(state, _BAD)


def counts_line(counts: Mapping[str, int], total: int) -> str:
    """Return `20 nodes: 18 succeeded, 2 failed`."""
    parts = ", ".join(f"{number} {state.replace('_', ' ')}" for state, number in counts.items() if number)
    return f"{total} {'node' if total == 1 else 'nodes'}: {parts}"


def _time(run: Mapping[str, Any], now: float) -> str:
    return f" in {duration((run.get('ended') or now) - run['created'])}"


def _code(job: Mapping[str, Any]) -> str:
    if job.get("exit_code") is not None:
        return str(job["exit_code"])
    return f"{128 + job['signal']}" if job.get("signal") else "-"


def _told(job: Mapping[str, Any]) -> str:
    """Return what a job told of itself last, and which attempt it is if it is not the first."""
    attempt = f"attempt {job['attempt']}" if job.get("attempt", 1) > 1 else ""
    progress = "" if job.get("progress") is None or job["state"] == "succeeded" else f"{job['progress']:g}%"
    result = "" if job.get("result") is None else f"result {_short(job['result'])}"
    parts = (attempt, progress, job.get("stage") or "", job.get("note") or "", result)
    return ", ".join(part for part in parts if part)


def _short(result: object) -> str:
    text = json.dumps(result, ensure_ascii=False)
    return text if len(text) <= 80 else text[:79] + "…"


def _detail(job: Mapping[str, Any]) -> str:
    if job["state"] == "failed" and not job.get("signal"):
        return ""
    if job.get("link") == "unknown":
        return "connection lost"
    return (ending(job) or job.get("reason") or "") if job["state"] != "cancelled" else ""
