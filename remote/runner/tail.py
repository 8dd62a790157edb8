"""What the controller is told about one token: from the spool into frames, never ahead of what the channel takes."""

import os

from . import outcome
from .entry import drain
from .spool import boot_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, Optional

    from .entry import Entry
    from .outbox import Outbox

CHUNK = 128 << 10  # bytes of one output frame: large enough to be cheap, small enough that the next job has its turn


class Tail:
    """One token's way up. Owns the entry and the reading end of its bell."""

    def __init__(self, entry: "Entry", out: int = 0, err: int = 0, rep: int = 0) -> None:
        """Begin at these offsets of the streams."""
        self.entry = entry
        self.bell = entry.open_fifo("bell")
        self._sent = {"out": out, "err": err, "rep": rep}
        self._has_told_start = False
        self._outcome: "Optional[Dict[str, Any]]" = None
        self.is_done = False

    def close(self) -> None:
        """Give the descriptors back."""
        os.close(self.bell)
        self.entry.close()

    def hear(self) -> None:
        """Take the rings out of the bell."""
        drain(self.bell)

    def advance(self, outbox: "Outbox") -> bool:
        """Send what is new, at most one chunk of each stream; tell whether there is more.

        The order of the looks matters: with an outcome the sizes are final, with bytes the program has started.
        """
        if self._outcome is None:
            recorded = self.entry.outcome()
            if recorded is not None:
                self._outcome = outcome.build(**recorded)  # an older runner's has not all the keys
        ends = {name: self._end(name) for name in self._sent}
        self._tell_start(outbox)
        for name, end in ends.items():
            if self._sent[name] < end:
                self._send(outbox, name, end)
        if any(self._sent[name] < end for name, end in ends.items()):
            return True
        if self._outcome is not None:
            outbox.put({"t": "ended", "token": self.entry.token, "outcome": self._outcome})
            self.is_done = True
        return False

    def _end(self, name: str) -> int:
        size = self.entry.size(name)
        if self._outcome is None or size >= self._outcome[name]:
            return size if self._outcome is None else int(self._outcome[name])
        missing = self._outcome[name] - size  # a power failure took bytes that were not on the disk yet
        self._outcome[name] -= missing
        self._outcome[name + "_dropped"] += missing
        return size

    def _tell_start(self, outbox: "Outbox") -> None:
        if self._has_told_start:
            return
        started = self.entry.document("started")
        if started is not None:
            self._has_told_start = True
            outbox.put({"t": "started", "token": self.entry.token, "pid": started["pid"], "at": started["at"]})

    def _send(self, outbox: "Outbox", name: str, end: int) -> None:
        offset = self._sent[name]
        piece = self.entry.piece(name, offset, min(CHUNK, end - offset))
        outbox.put({"t": "output", "token": self.entry.token, "stream": name, "offset": offset}, piece)
        self._sent[name] += len(piece)

    def judge(self) -> None:
        """Record the end of a job if its supervisor is gone. Call it only under the spool's lock."""
        if self._outcome is not None:
            return
        lock = self.entry.lock()
        if lock is None:
            return
        try:
            self.entry.record(_verdict(self.entry))
        finally:
            os.close(lock)


def _verdict(entry: "Entry") -> "Dict[str, Any]":
    """Say what is proven when a supervisor is gone without an outcome."""
    recorded = {name: entry.size(name) for name in ("out", "err", "rep")}
    if entry.content("boot") != boot_id().encode():
        message = "the node was restarted before the job's end was recorded; it may have run"
        return outcome.build("lost", reason="node_reboot", message=message, **recorded)
    if entry.exists("idle"):
        message = "the job's supervisor was killed before the job began"
        return outcome.build("not_started", reason="lost_supervisor", message=message)
    job = entry.document("armed") or entry.document("started") or {}
    message = "the job's supervisor was killed; how the job ended is not known, and process %s may still run"
    return outcome.build("lost", reason="lost_supervisor", message=message % job.get("pid", "?"), **recorded)
