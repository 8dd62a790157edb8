"""`logs`, `follow`, `wait`: what a run has printed, prints, and how it ends."""

import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import click

from orchestrator.cli.completion import NODE, RUN
from orchestrator.cli.exitcode import INTERRUPTED, TIMED_OUT, RcMode, exit_code
from orchestrator.cli.invocation import Format, Invocation, common
from orchestrator.cli.options import DURATION, Examples, watch_options
from orchestrator.cli.screen import FD, OUT, Screen, Write
from orchestrator.cli.summary import counts_line
from orchestrator.cli.tally import Tally
from orchestrator.cli.watch import Signals
from orchestrator.cli.watching import View, watch_run
from orchestrator.client import ApiError, Client, Offsets
from remote.runner.frames import Frame

_PIECE: Final = 1 << 20
_LINE_GUESS: Final = 200  # bytes of a line, for the first step back from the end

Job = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which part of a run's output."""

    node: str | None
    streams: tuple[str, ...]
    tail: int | None  #: lines from the end of each stream

    def jobs(self, run: Mapping[str, Any]) -> list[Job]:
        """Return the jobs it is about. Raises ApiError if there are none."""
        jobs = [job for job in run["jobs"] if self.node in (None, job["node"])]
        if not jobs:
            raise ApiError("not_found", f"run {run['id']} has no job on {self.node}; it ran on {run['nodes']}")
        return jobs


@click.command(
    cls=Examples,
    examples="""
anyjob logs 7Q2M                            all nodes, one after the other
anyjob logs 7Q2M --node web17 --tail 50
anyjob logs 7Q2M -f                         go on while it runs
anyjob logs 7Q2M --node web17 --raw > out   byte for byte
""",
)
@click.argument("run", type=RUN, metavar="RUN")
@click.option("-f", "--follow", "following", is_flag=True, help="Go on until the run has ended.")
@click.option("--node", type=NODE, metavar="NODE", help="Only this node's.")
@click.option("--stream", type=click.Choice(list(FD)), help="Only standard output, or only standard error.")
@click.option("--tail", type=click.IntRange(0), metavar="N", help="Begin with the last N lines of each stream.")
@click.option("--no-prefix", is_flag=True, help="Lines without the node's name; piped: the bytes as they came.")
@click.option("--raw", is_flag=True, help="The bytes as they came, even to a terminal, which they may command.")
@common
@click.pass_obj
def logs(invocation: Invocation, /, run: str, *, following: bool, no_prefix: bool, raw: bool, **options: Any) -> None:
    """Print what a run's jobs have printed: standard output here, standard error to standard error."""
    stream = options["stream"]
    wanted = Wanted(node=options["node"], streams=(stream,) if stream else tuple(FD), tail=options["tail"])
    screen = View(prefix=not no_prefix, raw=raw).screen(invocation)
    with invocation.daemon() as client:
        found = client.call("run", id=run)
        if following:
            _go_on(client, found, wanted, screen)
            return
        for job in wanted.jobs(found):
            for name in wanted.streams:
                for frame in _pieces(client, job, name, _start(client, job, name, wanted.tail)):
                    _write(screen.feed(frame))
            _write([] if invocation.output is Format.JSON else screen.finish())
    if invocation.output is Format.JSON:
        document = {**found, "jobs": wanted.jobs(found)}
        _write(screen.feed(Frame({"t": "end"}, json.dumps(document).encode())))


@click.command(
    cls=Examples,
    examples="""
anyjob follow 7Q2M
anyjob follow 7Q2M -G          identical output folded
anyjob follow https://anyjob.example.org/runs/01JD0A...
""",
)
@click.argument("run", type=RUN, metavar="RUN")
@watch_options
@common
@click.pass_obj
def follow(invocation: Invocation, /, run: str, view: View) -> None:
    """Watch a run from its beginning until it ends, as `exec` does. Ctrl-C asks; leaving costs the run nothing."""
    with invocation.daemon() as client:
        found = client.call("run", id=run)
        alone = "-" in run and len(found["jobs"]) == 1
        sys.exit(watch_run(invocation, client, view, run=found["jobs"][0]["id"] if alone else found["id"]))


@click.command(
    cls=Examples,
    examples="""
anyjob wait 7Q2M && echo done
anyjob wait $(anyjob ps -o ndjson | jq -r .id) --timeout 10m
""",
)
@click.argument("runs", nargs=-1, required=True, type=RUN, metavar="RUN...")
@click.option("--timeout", type=DURATION, help="Stop waiting after this time, with exit code 124; the runs go on.")
@click.option("--rc-mode", type=click.Choice([str(mode) for mode in RcMode]), default=str(RcMode.ANY),
              help="Exit code for several nodes: any (default), max (largest), first (first failure's).")  # fmt: skip
@common
@click.pass_obj
def wait(invocation: Invocation, /, runs: Sequence[str], timeout: float | None, rc_mode: str) -> None:
    """Wait until runs have ended. The exit code is that of all their jobs together."""
    deadline = None if timeout is None else time.monotonic() + timeout
    ended = []
    with invocation.daemon() as client, Signals() as signals:
        for run in runs:
            found = _await(client, run, signals, deadline)
            if found is None:
                invocation.say(f"{run} goes on")
                sys.exit(TIMED_OUT if not signals.interrupts else INTERRUPTED)
            ended.append(found)
    invocation.emit({"runs": ended}, "runs", lambda _: "".join(_line(run) for run in ended))
    sys.exit(exit_code([job for run in ended for job in run["jobs"]], RcMode(rc_mode)))


def _await(client: Client, run: str, signals: Signals, deadline: float | None) -> dict[str, Any] | None:
    watching = client.follow(run, output=False)
    tally = Tally()
    try:
        while not tally.ended:
            left_s = None if deadline is None else deadline - time.monotonic()
            if signals.interrupts or signals.leave is not None or (left_s is not None and left_s <= 0):
                return None
            for frame in watching.receive(left_s, wake=signals.wake):
                tally.note(frame)
    finally:
        watching.close()
    return tally.run


def _line(run: Mapping[str, Any]) -> str:
    return f"{run['id']} {run['state']}: {counts_line(run['counts'], run['total'])}\n"


def _go_on(client: Client, run: Mapping[str, Any], wanted: Wanted, screen: Screen) -> None:
    jobs = {job["id"]: job for job in wanted.jobs(run)}
    offsets: Offsets = {
        job["id"]: {name: _start(client, job, name, wanted.tail) for name in FD} for job in jobs.values()
    }
    for frame in client.follow(next(iter(jobs)) if len(jobs) == 1 else run["id"], offsets=offsets):
        header = frame.header
        if header.get("job", next(iter(jobs))) in jobs and header.get("stream", wanted.streams[0]) in wanted.streams:
            _write(screen.feed(frame))
    _write(screen.finish())


def _pieces(client: Client, job: Job, stream: str, offset: int) -> Iterator[Frame]:
    """Yield a stream's output from `offset` to its present end, in the form in which `follow` would bring it."""
    while True:
        answer = client.exchange("output", id=job["id"], stream=stream, offset=offset, limit=_PIECE)
        if answer.payload:
            header = {"t": "output", "job": job["id"], "node": job["node"], "stream": stream, "offset": offset}
            yield Frame(header, answer.payload)
        offset = answer.header["next"]
        if answer.header["complete"] or not answer.payload:
            return


def _start(client: Client, job: Job, stream: str, lines: int | None) -> int:
    """Return the offset at which the last `lines` lines of a stream begin."""
    size = int(job[f"{stream}_bytes"])
    if lines is None:
        return 0
    back = max(lines * _LINE_GUESS, 1)
    while True:
        begin = max(0, size - back)
        data = b"".join(frame.payload for frame in _pieces(client, job, stream, begin)) if lines else b""
        # A last line without its end counts as one.
        needed = lines + (1 if data.endswith(b"\n") else 0)
        if data.count(b"\n") >= needed or begin == 0:
            return begin + _after(data, needed) if lines else size
        back *= 4


def _after(data: bytes, needed: int) -> int:
    """Return where, in `data`, what follows the `needed`-th newline from the end begins."""
    end = len(data)
    for _ in range(needed):
        end = data.rfind(b"\n", 0, end)
        if end < 0:
            return 0
    return end + 1


def _write(writes: Sequence[Write]) -> None:
    for fd, data in writes:
        stream = sys.stdout.buffer if fd == OUT else sys.stderr.buffer
        stream.write(data)
        stream.flush()
