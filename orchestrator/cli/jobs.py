"""`ps`, `history`, `show`, `cancel`: runs and jobs as tables, and the one thing that is done to them."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import click

from orchestrator.cli.completion import NODE, RUN
from orchestrator.cli.escapes import plain
from orchestrator.cli.invocation import Invocation, common
from orchestrator.cli.options import DURATION, Examples
from orchestrator.cli.summary import counts_line, job_table, state_style
from orchestrator.cli.table import Cell, Row, table
from orchestrator.cli.terminal import Terminal
from orchestrator.cli.wording import duration, moment, recent

Run = Mapping[str, Any]
_ROOMY = 100  # columns of a terminal on which a list of runs has the users, too
_STATES = ("queued", "running", "succeeded", "failed", "cancelled")


@click.command(
    cls=Examples,
    examples="""
anyjob ps
anyjob ps -o ndjson | jq -r .id
""",
)
@common
@click.pass_obj
def ps(invocation: Invocation, /) -> None:
    """Show what runs now, the newest first."""
    with invocation.daemon() as client:
        found = client.call("runs", active=True, limit=1000)
    invocation.emit(found, "runs", lambda terminal: _runs(found["runs"], terminal, empty="nothing runs now"))


@click.command(
    cls=Examples,
    examples="""
anyjob history --state failed --limit 5
anyjob history --node web17 --user alice
""",
)
@click.option("-n", "--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="At most so many.")
@click.option("--node", type=NODE, metavar="NODE", help="Only runs with a job on this node.")
@click.option("--state", type=click.Choice(_STATES), help="Only runs in this state.")
@click.option("--user", metavar="USER", help="Only runs that this user submitted.")
@common
@click.pass_obj
def history(invocation: Invocation, /, limit: int, node: str | None, state: str | None, user: str | None) -> None:
    """Show runs, the newest first."""
    with invocation.daemon() as client:
        found = client.call("runs", active=False, limit=limit, node=node, state=state, user=user)
    invocation.emit(found, "runs", lambda terminal: _runs(found["runs"], terminal, empty="no such runs"))


@click.command(
    cls=Examples,
    examples="""
anyjob show 7Q2M
anyjob show 01JD0A7Q2M -o json | jq '.jobs[] | select(.state == "failed") | .node'
""",
)
@click.argument("run", type=RUN, metavar="RUN")
@common
@click.pass_obj
def show(invocation: Invocation, /, run: str) -> None:
    """Show a run and its jobs. RUN is its id, or 4 characters or more of its beginning or end."""
    with invocation.daemon() as client:
        found = client.call("run", id=run)
    jobs = [job for job in found["jobs"] if "-" not in run or job["id"].upper().endswith(run.upper())]
    found["jobs"] = jobs or found["jobs"]
    invocation.emit(found, "jobs", lambda terminal: _described(found, terminal))


@click.command(
    cls=Examples,
    examples="""
anyjob cancel 7Q2M              all jobs of a run
anyjob cancel 7Q2M-3            one job of it
anyjob cancel 7Q2M --grace 0s   KILL at once
""",
)
@click.argument("runs", nargs=-1, required=True, type=RUN, metavar="RUN...")
@click.option("--grace", type=DURATION, help="Between TERM and KILL; default: what the run was submitted with.")
@common
@click.pass_obj
def cancel(invocation: Invocation, /, runs: Sequence[str], grace: float | None) -> None:
    """End runs or single jobs: those that wait never start, those that run get TERM and after the grace KILL."""
    with invocation.daemon() as client:
        results = [{"id": run, **client.call("cancel", id=run, grace_s=grace)} for run in runs]
    invocation.emit({"cancels": results}, "cancels", lambda _: "".join(_cancelled(result) for result in results))


def _cancelled(result: Run) -> str:
    parts = (
        (result["cancelled"], "cancelled before it started", "cancelled before they started"),
        (result["requested"], "told to end", "told to end"),
        (result["ended"], "had ended already", "had ended already"),
    )
    return f"{result['id']}: " + ", ".join(f"{n} {one if n == 1 else many}" for n, one, many in parts if n) + "\n"


def _runs(runs: Sequence[Run], terminal: Terminal, *, empty: str) -> str:
    if not runs:
        return f"{empty}\n"
    now = time.time()
    roomy = not terminal.tty or terminal.columns >= _ROOMY
    rows: list[Row] = [
        [
            run["id"],
            Cell(run["state"], state_style(run["state"])),
            recent(run["created"], now) if terminal.tty else moment(run["created"]),
            duration((run.get("ended") or now) - run["created"]),
            *([run["user"]] if roomy else []),
            f"{run['nodes']} ({run['total']})" if run["total"] > 1 else run["nodes"],
            run["title"],
        ]
        for run in runs
    ]
    head = ("ID", "STATE", "SUBMITTED", "TIME", *(["USER"] if roomy else []), "NODES", "WHAT")
    return table(head, rows, terminal)


def _described(run: Run, terminal: Terminal) -> str:
    now = time.time()
    by = f" (cancel asked by {plain(run['cancelled_by'])})" if run.get("cancelled_by") else ""
    facts = (
        ("run", run["id"]),
        ("what", plain(run["title"])),
        ("state", terminal.paint(run["state"], *state_style(run["state"])) + by),
        ("nodes", counts_line(run["counts"], run["total"])),
        ("submitted", f"{moment(run['created'])} by {plain(run['user'])} ({plain(run['source'])})"),
        ("ended", moment(run.get("ended"))),
    )
    head = "".join(f"{terminal.paint(f'{name:<10}', 'bold')} {value}\n" for name, value in facts)
    return head + "\n" + job_table(run["jobs"], terminal, now=now, numbered=True)
