"""`anyjob rerun` and `anyjob why`: a run once more, and why it is as it is."""

import sys
import time
from typing import Any

import click

from orchestrator.cli.completion import RUN
from orchestrator.cli.invocation import Invocation, common
from orchestrator.cli.options import Examples, watch_options
from orchestrator.cli.summary import state_style
from orchestrator.cli.table import Cell, Row, table
from orchestrator.cli.terminal import Terminal
from orchestrator.cli.watching import View, watch_run
from orchestrator.cli.wording import recent
from orchestrator.client import new_run_id

_WORDS = ("all", "failed", "unreached")


@click.command(
    cls=Examples,
    examples="""
anyjob rerun 7Q2M                       all its nodes, everything as it was
anyjob rerun 7Q2M --only failed         those that did not succeed
anyjob rerun 7Q2M --only unreached      those on which nothing was started
anyjob rerun 7Q2M --only web[03,07]
""",
)
@click.argument("run", type=RUN, metavar="RUN")
@click.option("--only", default="all", metavar="all|failed|unreached|NODES", help="Which of its jobs; default: all.")
@click.option("-d", "--detach", is_flag=True, help="Print the new run's id and return at once.")
@watch_options
@common
@click.pass_obj
def rerun(invocation: Invocation, /, view: View, run: str, only: str, *, detach: bool) -> None:
    """Run a run's jobs again: the same command, values, users and limits."""
    wanted: str | list[str] = only if only in _WORDS else _expanded(only)
    with invocation.daemon(embed=not detach) as client:
        made = client.call("rerun", id=run, new_id=new_run_id(), only=wanted)
        if detach:
            invocation.emit(made, None, lambda _: f"{made['id']}\n")
            return
        invocation.say(f"run {made['id']} repeats {made['rerun_of']} on {made['nodes']}")
        sys.exit(watch_run(invocation, client, view, run=made["id"]))


def _expanded(text: str) -> list[str]:
    from inventory.nodeset import RangeError, expand  # noqa: PLC0415

    try:
        return [name for part in _parts(text) for name in expand(part)]
    except RangeError as error:
        raise click.UsageError(f"--only {text}: {error}.") from None


def _parts(text: str) -> list[str]:
    parts, depth = [""], 0
    for char in text:
        depth += (char == "[") - (char == "]")
        if char == "," and not depth:
            parts.append("")
        else:
            parts[-1] += char
    return [part for part in parts if part]


@click.command(
    cls=Examples,
    examples="""
anyjob why 7Q2M
anyjob why 7Q2M-3
""",
)
@click.argument("run", type=RUN, metavar="RUN")
@common
@click.pass_obj
def why(invocation: Invocation, /, run: str) -> None:
    """Tell what a run's jobs wait for, since when, and why those that failed did."""
    with invocation.daemon() as client:
        found = client.call("why", id=run)
    invocation.emit(found, "chain", lambda terminal: _reasons(found, terminal))


def _reasons(found: dict[str, Any], terminal: Terminal) -> str:
    if not found["chain"]:
        return f"{found['id']} {found['state']}: nothing stands in its way\n"
    now = time.time()
    rows: list[Row] = [
        [
            link["what"],
            Cell(link["state"], state_style(link["state"])),
            link["reason"],
            "" if link["since"] is None else recent(link["since"], now),
            link["message"],
        ]
        for link in found["chain"]
    ]
    return table(("NODES", "STATE", "REASON", "SINCE", "MESSAGE"), rows, terminal)
