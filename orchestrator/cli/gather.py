"""`-G`: identical output is shown once, under the folded names of its nodes, in the format of clush and dshbak. Pure.

```
---------------
web[01-17,19] (18)
---------------
Linux 6.1.0
```

A block is shown as soon as it is final: when no job that still runs can come to print the same.
"""

import hashlib
import json
from collections.abc import Callable
from typing import Any, Final

from orchestrator.cli.escapes import Neutraliser, plain
from orchestrator.cli.screen import ERR, FD, Terminals, Write, notices
from orchestrator.cli.tally import ENDED
from orchestrator.cli.wording import size
from remote.runner.frames import Frame

KEPT_MAX: Final = 8 << 20  #: bytes per stream of a job that are kept to be shown; the rest is only compared
_RULE: Final = "-" * 15

Fold = Callable[[list[str]], str]  #: names of nodes → their shortest node set


class _Kept:
    """What one job has printed on one stream."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.size = 0
        self._digest = hashlib.sha256()

    def add(self, data: bytes) -> None:
        self.data += data[: KEPT_MAX - len(self.data)]
        self.size += len(data)
        self._digest.update(data)

    def identity(self) -> bytes:
        return self._digest.digest()


class Gather:
    """Collects the output of each job and folds what is the same."""

    def __init__(self, terminals: Terminals, fold: Fold) -> None:
        self._terminals = terminals
        self._folds = {name: _Stream(terminals, FD[name], fold) for name in FD}

    def feed(self, frame: Frame) -> list[Write]:
        """Keep output; tell at once of jobs that ended badly."""
        header = frame.header
        match header["t"]:
            case "snapshot":
                self._expect(json.loads(frame.payload)["jobs"])
            case "output":
                self._folds[header["stream"]].add(header["job"], header["node"], frame.payload)
            case "event" if header.get("state") in ENDED:
                for stream in self._folds.values():
                    stream.end(header["job"])
        return notices(frame, self._terminals.err)

    def idle(self) -> list[Write]:
        """Return the blocks that have become final."""
        return [write for stream in self._folds.values() for write in stream.final()]

    def finish(self) -> list[Write]:
        """Return all blocks that were not shown yet."""
        return [write for stream in self._folds.values() for write in stream.rest()]

    def _expect(self, jobs: list[dict[str, Any]]) -> None:
        """Note the jobs that are still to print: none of them may be forgotten when a block is called final."""
        active = {job["id"]: job["node"] for job in jobs if job["state"] not in ENDED}
        for stream in self._folds.values():
            stream.expect(active)


class _Stream:
    """All jobs' standard outputs, or all their standard errors."""

    def __init__(self, terminals: Terminals, fd: int, fold: Fold) -> None:
        self._terminal = terminals.of(fd)
        self._fd = fd
        self._fold = fold
        self._nodes: dict[str, str] = {}
        self._running: dict[str, _Kept] = {}
        self._blocks: dict[bytes, tuple[_Kept, list[str]]] = {}

    def expect(self, jobs: dict[str, str]) -> None:
        for job, node in jobs.items():
            self._nodes[job] = node
            self._running.setdefault(job, _Kept())

    def add(self, job: str, node: str, data: bytes) -> None:
        self._nodes[job] = node
        self._running.setdefault(job, _Kept()).add(data)

    def end(self, job: str) -> None:
        kept = self._running.pop(job, None)
        if kept is not None and kept.size:
            # The first of its kind is kept, so that a thousand equal outputs take the memory of one.
            self._blocks.setdefault(kept.identity(), (kept, []))[1].append(self._nodes[job])

    def final(self) -> list[Write]:
        running = list(self._running.values())
        if not all(kept.size for kept in running):
            return []  # a job that is silent so far may still print anything
        sure = [key for key, (kept, _) in self._blocks.items() if not any(_may_become(one, kept) for one in running)]
        return [self._block(*self._blocks.pop(key)) for key in sure]

    def rest(self) -> list[Write]:
        for job in list(self._running):
            self.end(job)
        blocks = sorted(self._blocks.values(), key=lambda block: -len(block[1]))
        self._blocks = {}
        return [self._block(*block) for block in blocks]

    def _block(self, kept: _Kept, nodes: list[str]) -> Write:
        count = f" ({len(nodes)})" if len(nodes) > 1 else ""
        header = f"{_RULE}\n{plain(self._fold(nodes))}{count}\n{_RULE}"
        safe = Neutraliser(colour=self._terminal.colour)
        body = safe.feed(bytes(kept.data)) + safe.finish()
        if not body.endswith(b"\n"):
            body += b"\n"
        if kept.size > len(kept.data):
            body += f"... {size(kept.size - len(kept.data))} more: anyjob logs --node {plain(nodes[0])}\n".encode()
        return Write(
            self._fd, self._terminal.paint(header, "red" if self._fd == ERR else "blue").encode() + b"\n" + body
        )


def _may_become(running: _Kept, kept: _Kept) -> bool:
    return running.size <= kept.size and kept.data.startswith(running.data)
