"""How a person wants to see a run, and seeing it so."""

import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.cli.exitcode import RcMode, exit_code
from orchestrator.cli.invocation import Format, Invocation
from orchestrator.cli.machine import Document, Ndjson
from orchestrator.cli.screen import Lines, Raw, Screen
from orchestrator.cli.summary import summary
from orchestrator.cli.watch import Habits, Signals, Watch
from orchestrator.client import Client, new_run_id


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What the options of watching say."""

    gather: bool = False
    prefix: bool = True
    raw: bool = False
    rc_mode: RcMode = RcMode.ANY
    progress: bool = True
    detach_on_interrupt: bool = False

    def screen(self, invocation: Invocation) -> Screen:
        """Return what shows a run in this way."""
        terminals = invocation.terminals
        if invocation.output is Format.NDJSON:
            return Ndjson()
        if invocation.output is Format.JSON:
            return Document()
        if self.raw:
            return Raw(terminals)
        if self.gather:
            from orchestrator.cli.gather import Gather  # noqa: PLC0415  hashlib costs 2 ms

            return Gather(terminals, _fold)
        return Lines(terminals, prefix=self.prefix, safe=self.prefix or terminals.out.tty)

    def habits(self, invocation: Invocation, grace_s: float | None) -> Habits:
        """Return how to watch. A terminal that gets raw bytes belongs to them."""
        return Habits(
            progress=self.progress and not self.raw and not invocation.quiet and invocation.output is Format.HUMAN,
            detach_on_interrupt=self.detach_on_interrupt,
            can_detach=not invocation.embedded,
            grace_s=grace_s,
        )


def watch_run(  # noqa: PLR0913  one call is one command
    invocation: Invocation,
    client: Client,
    view: View,
    *,
    run: str | None = None,
    submit: tuple[Mapping[str, Any], bytes] | None = None,
    grace_s: float | None = None,
) -> int:
    """Submit a run, or take one that is there, and watch it; return the exit code.

    Raises:
        ApiError: the daemon refused.
        DaemonAbsentError: it went away and did not come back in time.
    """
    with Signals() as signals:
        if submit is not None:
            request, payload = submit
            run = client.call("submit", payload, id=new_run_id(), request=request)["id"]
            invocation.note(f"run {run}")
        watch = Watch(
            client,
            client.follow(run or ""),
            view.screen(invocation),
            invocation.terminals,
            signals=signals,
            habits=view.habits(invocation, grace_s),
        )
        left = watch.run()
    if left is not None:
        return left
    if invocation.output is Format.HUMAN:
        _conclude(invocation, watch.tally.run)
    return exit_code(watch.tally.run["jobs"], view.rc_mode)


def _conclude(invocation: Invocation, run: Mapping[str, Any]) -> None:
    """Show the summary, unless there is nothing to say that a script would want to read."""
    terminal = invocation.terminals.err
    if invocation.quiet or (run["total"] == 1 and run["state"] == "succeeded" and not terminal.tty):
        return
    sys.stderr.write("\n" * terminal.tty + summary(run, terminal, now=time.time()))


def _fold(names: list[str]) -> str:
    from inventory.nodeset import fold  # noqa: PLC0415  needed by few commands

    return fold(names)
