"""What one attempt of a job says, written exactly once: its output, masked, and what it reports on `$ANYJOB_FD`.

Offsets are the node's, from the attempt's own byte 0. What is held back (the beginning of what may be a secret, half a
line of a report) is not kept yet: after a lost connection it comes again.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from jobs.records import JobSpec
from jobs.redaction import Redactor
from jobs.reports import MAX_LINE, Finish, Problem, Report, kept, parse
from orchestrator.store.interface import Bases, Store, StreamName
from remote.errors import Unreachable, UnreachableError
from remote.session import OutputChunk, Stream

_STREAMS: Final[Mapping[Stream, StreamName]] = {"out": "stdout", "err": "stderr"}
_PROBLEMS: Final = 3  #: lines that say nothing are told to people this often per piece


@dataclass(frozen=True, slots=True, kw_only=True)
class Masks:
    """What must not be seen in what a job says: the values of its secrets, and what these patterns find."""

    secrets: tuple[str, ...] = field(default=(), repr=False)
    patterns: tuple[str, ...] = ()

    def redactor(self, more: Iterable[str] = ()) -> Redactor | None:
        """Return a new redactor, None if there is nothing to mask."""
        secrets = (*self.secrets, *more)
        return Redactor(secrets, self.patterns) if secrets or self.patterns else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Writer:
    """Who writes: the store, the epoch that every write carries, and the clock."""

    store: Store
    epoch: int
    now: Callable[[], float]


class Intake:
    """The three streams of one attempt."""

    def __init__(  # noqa: PLR0913  one argument per fact of the attempt
        self, writer: Writer, job: JobSpec, attempt: int, masks: Masks, *, bases: Bases, kept: Mapping[Stream, int]
    ) -> None:
        self.kept: dict[Stream, int] = {"out": 0, "err": 0, "rep": 0, **kept}  #: bytes that the store has
        self.finish: Finish | None = None  #: what the job said of its own end
        self.redo = False  #: the job asked to be run again
        self._writer = writer
        self._job = job
        self._attempt = attempt
        self._masks = masks
        self._bases: Mapping[Stream, int] = {"out": bases.out, "err": bases.err}
        self.told = Told()  #: what it has reported so far
        self._more_secrets: set[str] = set()
        self.restart()

    def restart(self) -> None:
        """Forget what was held back: a new conversation sends it again, from `kept` on."""
        self._redactors = {stream: self._masks.redactor(self._more_secrets) for stream in _STREAMS}
        self._line = b""

    async def take(self, chunks: Sequence[OutputChunk]) -> None:
        """Write neighbouring pieces of one stream, one after the other."""
        stream = chunks[0].stream
        for chunk in chunks:
            if stream == "rep":
                await self._report(chunk.data, at_end=False)
            else:
                redactor = self._redactors[stream]
                await self._append(stream, chunk.data if redactor is None else redactor.feed(chunk.data))

    async def rest(self) -> None:
        """Write what was held back: the attempt has ended."""
        for stream in _STREAMS:
            redactor = self._redactors[stream]
            if redactor is not None:
                await self._append(stream, redactor.flush())
        await self._report(b"", at_end=True)

    async def _append(self, stream: Stream, data: bytes) -> None:
        if not data:
            return
        base, kept = self._bases[stream], self.kept[stream]
        size = await self._writer.store.append_output(
            self._job.id, _STREAMS[stream], base + kept, data, epoch=self._writer.epoch
        )
        self.kept[stream] = max(kept, size - base)
        if self.kept[stream] < kept + len(data):
            message = f"the store has {size - base} bytes of {self._job.id} {stream}, the node sent from {kept}"
            raise UnreachableError(self._job.node, Unreachable.LOST, message)

    async def _report(self, data: bytes, *, at_end: bool) -> None:
        whole, newline, rest = (self._line + data).rpartition(b"\n")
        if at_end or len(rest) > MAX_LINE:
            whole, newline, rest = whole + newline + rest, b"", b""
        self._line = rest
        size = len(whole) + len(newline)
        if not size:
            return
        masked = self._masks.redactor(self._more_secrets)
        text = whole if masked is None else masked.feed(whole) + masked.flush()
        notes = self._understand([parse(line) for line in text.split(b"\n") if line.strip()])
        start = self.kept["rep"]
        self.kept["rep"] = await self._writer.store.report(
            self._job.id,
            self._attempt,
            start=start,
            end=start + size,
            epoch=self._writer.epoch,
            now=self._writer.now(),
            fields=self.told.columns,
            notes=notes,
        )

    def _understand(self, lines: Sequence[Report | Problem]) -> list[Mapping[str, object]]:
        problems = [line.text for line in lines if isinstance(line, Problem)]
        notes = [_warning(f"a report was not understood: {text}") for text in problems[:_PROBLEMS]]
        for report in lines:
            if isinstance(report, Report):
                notes += self.told.add(report)
                self.finish = report.finish or self.finish
                self.redo = self.redo or report.redo
                if report.mask is not None:
                    self._mask(report.mask)
        return notes

    def _mask(self, secret: str) -> None:
        """Mask what the job asked for in all that comes from now on."""
        self._more_secrets.add(secret)
        for stream, redactor in self._redactors.items():
            if redactor is None:
                self._redactors[stream] = self._masks.redactor(self._more_secrets)
            else:
                redactor.add(secret)


@dataclass(slots=True)
class Told:
    """What an attempt has told so far; `columns` are those of the job's record."""

    columns: dict[str, Any] = field(default_factory=dict)

    def add(self, report: Report) -> list[Mapping[str, object]]:
        """Take a report in, and return what watchers are told of it."""
        notes: list[Mapping[str, object]] = []
        if report.progress is not None:
            said = {
                "progress": report.progress.percent,
                "stage": report.progress.stage,
                "note": report.progress.message,
            }
            self.columns |= {name: value for name, value in said.items() if value is not None}
            notes.append({"event": "progress", **said})
        if report.state is not None:
            self.columns["stage"] = report.state
            notes.append({"event": "stage", "stage": report.state})
        if report.log is not None:
            notes.append(
                {"event": "log", "level": report.log.level, "message": report.log.message, "tag": report.log.tag}
            )
        if report.data is not None:
            notes += self._merge("data", report.data)
        if report.metrics is not None:
            notes += self._merge("metrics", report.metrics)
        if report.result is not None:
            self.columns["result"] = report.result.value
            notes.append({"event": "result", "result": report.result.value})
        return notes

    def _merge(self, name: str, new: Mapping[str, Any]) -> list[Mapping[str, object]]:
        """Add names to a column; too many of them are not kept, and that is told instead."""
        merged = kept(self.columns.get(name, {}), new)
        if merged is None:
            return [_warning(f"more {name} than are kept: this is not among them")]
        self.columns[name] = merged
        return [{"event": name, name: dict(new)}]


def _warning(message: str) -> Mapping[str, object]:
    return {"event": "log", "level": "warning", "message": message, "tag": "anyjob"}
