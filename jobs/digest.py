"""From the bytes of a report channel to what the store keeps of them: lines, then columns and notes.

The store takes a piece of the channel in exactly once, by its offsets, so the way is: a `Reader` that begins where the
store stands; `feed` it; `gather` what it gives; hand that to the store with the offsets from `start` to `end`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from jobs.reports import MAX_LINE, MAX_NAMES, MAX_VALUE, MAX_WORD, Finish, Problem, Progress, Report, parse, size


class Reader:
    """Cuts a stream, in pieces of any size, into lines, and reads each. Holds at most one line."""

    def __init__(self, offset: int = 0) -> None:
        """Begin at `offset` bytes of the channel, where a line begins."""
        self.end = offset  #: offset behind the last line that `feed` gave
        self._held = bytearray()  # of a line without its end
        self._skipped = 0  # bytes of a line that is too long to be held

    def feed(self, data: bytes) -> list[Report | Problem]:
        """Take the next bytes; return what the lines say that they complete. Empty lines say nothing."""
        said: list[Report | Problem] = []
        at = 0
        while (found := data.find(b"\n", at)) >= 0:
            said += self._line(data[at : found + 1])
            at = found + 1
        rest = len(data) - at
        if self._skipped or len(self._held) + rest > MAX_LINE:
            self._skipped += len(self._held) + rest
            self._held.clear()
        else:
            self._held += data[at:]
        return said

    def finish(self) -> list[Report | Problem]:
        """Return what stands behind the last line's end, when the channel has ended: a line without its end."""
        return self._line(b"")

    def _line(self, rest: bytes) -> list[Report | Problem]:
        length = self._skipped + len(self._held) + len(rest)
        line = bytes(self._held + rest)
        too_long = length > MAX_LINE
        self._held.clear()
        self._skipped = 0
        self.end += length
        if too_long:
            return [Problem(text=f"longer than {MAX_LINE} bytes")]
        return [parse(line)] if line.strip() else []


@dataclass(frozen=True, slots=True, kw_only=True)
class Digest:
    """What a piece of the channel comes to.

    `fields` are columns of `jobs.records.JobRecord`, each whole; `notes` become events of the run, named progress, log,
    state, data, result and metrics.
    """

    fields: Mapping[str, Any]
    notes: tuple[Mapping[str, Any], ...]
    masks: tuple[str, ...]  #: what must not be seen from now on
    finish: Finish | None  #: the last that was said
    redo: bool
    problems: int  #: lines that said nothing; the first of them is among the notes

    def __repr__(self) -> str:
        return f"Digest(fields={sorted(self.fields)}, notes={len(self.notes)}, masks={len(self.masks)})"


def gather(
    said: Iterable[Report | Problem],
    *,
    data: Mapping[str, Any] | None = None,
    metrics: Mapping[str, float] | None = None,
) -> Digest:
    """Put together what a piece of the channel says.

    Args:
        said: what `Reader.feed` returned.
        data: the job's data before, which what is said now is added to; None = none yet.
        metrics: the same of its metrics.
    """
    gathering = _Gathering(data or {}, metrics or {})
    for item in said:
        if isinstance(item, Problem):
            gathering.complain(item.text)
        else:
            gathering.take(item)
    return gathering.digest()


class _Gathering:
    """A digest in the making."""

    def __init__(self, data: Mapping[str, Any], metrics: Mapping[str, float]) -> None:
        self._fields: dict[str, Any] = {}
        self._notes: list[Mapping[str, Any]] = []
        self._data = data
        self._metrics = metrics
        self._masks: list[str] = []
        self._finish: Finish | None = None
        self._redo = False
        self._problems = 0

    def complain(self, text: str) -> None:
        """Count a problem, and tell the first: who wrote the job wants to know, but not ten thousand times."""
        self._problems += 1
        if self._problems == 1:
            message = f"a report was not understood: {text}"
            self._notes.append({"event": "log", "level": "warning", "tag": "anyjob", "message": message})

    def take(self, report: Report) -> None:
        """Add what one line says."""
        if report.progress is not None:
            self._take_progress(report.progress)
        if report.state is not None:
            self._notes.append({"event": "state", "text": report.state})
        if report.log is not None:
            tag = {} if report.log.tag is None else {"tag": report.log.tag}
            self._notes.append({"event": "log", "level": report.log.level, "message": report.log.message, **tag})
        if report.data:
            self._data = self._add("data", self._data, report.data)
        if report.metrics:
            self._metrics = self._add("metrics", self._metrics, report.metrics)
        if report.result is not None:
            self._fields["result"] = report.result.value
            self._notes.append({"event": "result", "result": report.result.value})
        if report.mask is not None:
            self._masks.append(report.mask)
        if report.ignored:
            self.complain(f"nobody knows {', '.join(report.ignored)}"[:MAX_WORD])
        self._redo = self._redo or report.redo
        self._finish = report.finish or self._finish

    def _take_progress(self, new: Progress) -> None:
        said = {"progress": new.percent, "stage": new.stage, "note": new.message}
        self._fields |= {name: value for name, value in said.items() if value is not None}

    def _add(self, column: str, before: Mapping[str, Any], new: Mapping[str, Any]) -> Mapping[str, Any]:
        whole = {**before, **new}
        if len(whole) > MAX_NAMES or size(whole) > MAX_VALUE:
            self.complain(f"{column}: a job keeps at most {MAX_NAMES} names, {MAX_VALUE} bytes")
            return before
        self._fields[column] = whole
        self._notes.append({"event": column, column: new})
        return whole

    def digest(self) -> Digest:
        """Return it."""
        told = {name: self._fields[name] for name in ("progress", "stage", "note") if name in self._fields}
        if told:
            self._notes.append({"event": "progress"} | told)
        return Digest(
            fields=self._fields,
            notes=tuple(self._notes),
            masks=tuple(self._masks),
            finish=self._finish,
            redo=self._redo,
            problems=self._problems,
        )
