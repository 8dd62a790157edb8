"""What programs read: `-o ndjson` (an object per line, as things happen), `-o json` (one document at the end). Pure.

Text that is not UTF-8 is shown with U+FFFD; `--raw` has the bytes. JSON escapes every control character, so nothing
here can command a terminal.
"""

import codecs
import json
from typing import Any, Final

from orchestrator.cli.screen import FD, HELD_MAX, OUT, Write
from remote.runner.frames import Frame

KEPT_MAX: Final = 1 << 20  #: bytes per stream of a job that the document holds; longer output is null there


class Ndjson:
    """One object per line, and every one names its `node`: `output`, `event`, and at the end a `result` per job."""

    def __init__(self) -> None:
        self._streams: dict[tuple[str, str], _LineCutter] = {}

    def feed(self, frame: Frame) -> list[Write]:
        """Return the lines, the event or the results that a frame holds."""
        header = frame.header
        match header["t"]:
            case "output":
                key = (header["job"], header["stream"])
                if key not in self._streams:
                    self._streams[key] = _LineCutter(header["job"], header["node"], header["stream"])
                return self._writes(self._streams[key].feed(frame.payload))
            case "event":
                rest = [write for name in FD for write in self._flush((header.get("job", ""), name))]
                facts = {name: value for name, value in header.items() if name != "t"}
                return [*rest, Write(OUT, _line({"type": "event", **facts}))]
            case "end":
                jobs = json.loads(frame.payload)["jobs"]
                return [*self.finish(), Write(OUT, b"".join(_line({"type": "result", **job}) for job in jobs))]
        return []

    def idle(self) -> list[Write]:
        """Nothing waits here."""
        return []

    def finish(self) -> list[Write]:
        """Return lines that never got their end."""
        return [write for key in list(self._streams) for write in self._flush(key)]

    def _flush(self, key: tuple[str, str]) -> list[Write]:
        cutter = self._streams.get(key)
        return [] if cutter is None else self._writes(cutter.feed(b"", final=True))

    @staticmethod
    def _writes(data: bytes) -> list[Write]:
        return [Write(OUT, data)] if data else []


class _LineCutter:
    """One stream as `output` objects. The lines are encoded all at once: the text between two is the separator."""

    def __init__(self, job: str, node: str, stream: str) -> None:
        head = json.dumps({"type": "output", "node": node, "job": job, "stream": stream})
        self._before = f'{head[:-1]}, "line": '
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._held = ""

    def feed(self, data: bytes, *, final: bool = False) -> bytes:
        text = self._held + self._decoder.decode(data, final)
        lines = text.split("\n")
        self._held = lines.pop()
        if self._held and (final or len(self._held) > HELD_MAX):
            lines.append(self._held)
            self._held = ""
        if not lines:
            return b""
        joined = json.dumps(lines, separators=("}\n" + self._before, ":"))
        return (self._before + joined[1:-1] + "}\n").encode()


class Document:
    """The run with its jobs and, where it is not longer than `KEPT_MAX`, what they printed."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str], bytearray] = {}

    def feed(self, frame: Frame) -> list[Write]:
        """Keep output; return the document at the end."""
        header = frame.header
        match header["t"]:
            case "output":
                kept = self._kept.setdefault((header["job"], header["stream"]), bytearray())
                kept += frame.payload[: KEPT_MAX + 1 - len(kept)]
            case "end":
                run = json.loads(frame.payload)
                for job in run["jobs"]:
                    job.update({name: self._text(job["id"], name) for name in FD})
                return [Write(OUT, (json.dumps(run, indent=2) + "\n").encode())]
        return []

    def idle(self) -> list[Write]:
        """Nothing is shown before the end."""
        return []

    def finish(self) -> list[Write]:
        """Nothing is shown of a run that was left before its end."""
        return []

    def _text(self, job: str, stream: str) -> str | None:
        kept = self._kept.get((job, stream), bytearray())
        return kept.decode("utf-8", "replace") if len(kept) <= KEPT_MAX else None


def _line(document: dict[str, Any]) -> bytes:
    return (json.dumps(document) + "\n").encode()
