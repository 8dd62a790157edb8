"""The line at the bottom of the screen while a run is watched. Pure."""

from typing import Any, Final

from orchestrator.cli.escapes import plain
from orchestrator.cli.tally import Tally
from orchestrator.cli.terminal import Terminal

_BAR: Final = 20
_LINE: Final = "━"  # where colours tell the groups apart
_NAMED: Final = 3
_GROUPS: Final = (
    # word, states, mark in the bar, colour
    ("done", ("succeeded",), "#", "green"),
    ("failed", ("failed", "timed_out", "cancelled", "start_failed", "expired", "lost"), "x", "red"),
    ("running", ("running",), ">", "cyan"),
    ("waiting", ("queued", "dispatching", "claimed"), ".", "dim"),
)


def progress_line(tally: Tally, elapsed_s: float, terminal: Terminal, *, connected: bool) -> str:
    """Return one line, no wider than the terminal: a bar, the counts, the time, and who is not done."""
    counts = tally.counts()
    total = max(sum(counts.values()), 1)
    bar, shown = "", 0
    words = []
    for word, states, mark, colour in _GROUPS:
        number = sum(counts.get(state, 0) for state in states)
        cells = round((shown + number) * _BAR / total) - round(shown * _BAR / total)
        shown += number
        bar += terminal.paint((_LINE if terminal.colour and terminal.unicode else mark) * cells, colour)
        if number:
            words.append((f"{number} {word}", colour))
    texts = [(f"{int(elapsed_s) // 60}:{int(elapsed_s) % 60:02}", "")]
    if connected:
        reported = _reported(tally)
        texts += [*([(reported, "cyan")] if reported else []), (_waiting_for(tally.active()), "")]
    else:
        texts.append(("the daemon is away, trying again", "yellow"))
    return _fit(bar, [*words, *texts], terminal)


def _reported(tally: Tally) -> str:
    """Return `57% copy`: the mean of what the jobs tell of themselves, ended ones at 100, and the stage of the last."""
    told = [job["progress"] for job in tally.jobs.values() if job.get("progress") is not None]
    if not told:
        return ""
    active = tally.active()
    mean = sum(job.get("progress") or 0.0 for job in active) + 100.0 * (len(tally.jobs) - len(active))
    running = [job for job in active if job["state"] == "running"]
    last = min(running, key=lambda job: job.get("progress") or 0.0, default={})
    return f"{mean / len(tally.jobs):.0f}% {plain(last.get('stage') or '')}".rstrip()


def _waiting_for(active: list[dict[str, Any]]) -> str:
    names = [plain(job["node"]) for job in sorted(active, key=lambda job: job["state"] != "running")[:_NAMED]]
    return " ".join(names) + (f" and {len(active) - _NAMED} more" if len(active) > _NAMED else "")


def _fit(bar: str, words: list[tuple[str, str]], terminal: Terminal) -> str:
    room = terminal.columns - 1 - (_BAR + 2)
    line = bar if terminal.colour and terminal.unicode else f"[{bar}]"
    for text, style in words:
        if not text or len(text) + 2 > room:
            break
        line += "  " + (terminal.paint(text, style) if style else text)
        room -= len(text) + 2
    return line
