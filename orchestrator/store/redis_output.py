"""Output: added exactly once, read from Redis or the archive, moved from one to the other."""

import asyncio
import datetime
import logging
import sys
from collections.abc import Sequence
from typing import Final, NamedTuple

from orchestrator.store.archive import INPUTS, Archive
from orchestrator.store.connection import explain
from orchestrator.store.interface import Output, StaleEpochError, StoreUnavailableError, StreamName
from orchestrator.store.keys import SHORT, Short, run_of
from orchestrator.store.pipeline import Reply
from orchestrator.store.wire import Wire

SEGMENT: Final = 4 << 20  #: bytes of output in one file of the archive; a reader unpacks one at a time
_RETRY_S: Final = 1.0
_PAGE: Final = 1_000
_ENTRY: Final = 256 << 10  #: bytes of a large entry: how many are asked for at first
_LAST: Final = (1 << 63) - 1  #: no output is that long
_GROWTH: Final = 4  #: the next question asks for so many times more entries at most; bounds what one answer holds

log = logging.getLogger(__name__)


class _Held(NamedTuple):
    """What Redis tells of an output."""

    size: int  #: bytes in all
    first: int  #: offset of the first byte that it still has
    data: bytes  #: from the offset that was asked for; empty if it does not have that


class OutputStore:
    """See `Store`, whose methods these are."""

    def __init__(self, wire: Wire, archive: Archive) -> None:
        self._wire = wire
        self._keys = wire.keys
        self._archive = archive
        self._movers: dict[tuple[str, Short], asyncio.Task[None]] = {}

    async def close(self) -> None:
        """End the moves that are under way; what they did not finish is still in Redis."""
        for task in self._movers.values():
            task.cancel()
        await asyncio.gather(*self._movers.values(), return_exceptions=True)

    async def append(self, job: str, stream: StreamName, offset: int, data: bytes, *, epoch: int) -> int:
        """See `Store.append_output`."""
        name = SHORT[stream]
        tail = self._wire.settings.live_tail
        while True:
            size, first, full = await self._add(job, name, offset, data, epoch)
            if size - first > 2 * tail:
                mover = self._mover(job, name)
                if full:
                    await asyncio.wait([mover])
                    continue
            if not offset < size < offset + len(data):
                return size
            data, offset = data[size - offset :], size

    async def _add(self, job: str, name: Short, offset: int, data: bytes, epoch: int) -> tuple[int, int, bool]:
        """Add bytes if the output ends at `offset`.

        Returns its size, the offset of the first byte in Redis, and whether there is no room.
        """
        key, aside = self._keys.output(job, name), self._keys.aside(job, name)
        end, most = offset + len(data), 4 * self._wire.settings.live_tail
        newest, *_, done = await self._wire.insist(
            ("GET", self._keys.control("epoch")),
            ("MULTI",),
            self._wire.script_text(
                "append_output",
                [self._keys.meta(job), key, aside],
                [epoch, name, offset, end, most, self._keys.bell(run_of(job)), job],
            ),
            ("XADD", key, "NOMKSTREAM", f"{end}-0", "d", data),
            self._wire.script_text("put_back", [key, aside], []),
            ("EXEC",),
        )
        # The job's own key remembers the epoch too, so that an older writer changes nothing once a newer one has
        # written; this question makes it stop even before that. Bytes at an offset are the same whoever sends them.
        if epoch < int(newest or 0):
            raise StaleEpochError(f"a newer controller has taken over (epoch {epoch}, now {int(newest)})")
        decision = done[0]
        if isinstance(decision, Exception):
            raise explain(decision, self._wire.settings.url)
        size, first, full = decision
        return size, first, bool(full)

    async def output(self, job: str, stream: StreamName, offset: int, *, limit: int) -> Output:
        """See `Store.output`."""
        name = SHORT[stream]
        limit = max(1, limit)
        while True:
            size, first, data = await self._read(job, name, offset, limit, enough=limit // 2)
            if data or offset >= size:
                return Output(min(offset, size), data, size)
            found = await asyncio.to_thread(self._archive.read, job, name, offset, limit)
            if found is not None:
                return Output(found[0], found[1], size)
            _, now_first = await self._sizes(job, name)
            if now_first == first:  # nothing moved meanwhile: what was there has been removed by its retention setting
                offset = first if offset < first else size

    async def archive(self, *, now: float) -> None:
        """See `Store.archive`."""
        await self._archive_ended(now - self._wire.settings.archive_after_s)
        [live] = await self._wire.ask(("ZRANGE", self._keys.control("live"), 0, -1))
        for start in range(0, len(live), _PAGE):
            await self._archive_live([member.decode() for member in live[start : start + _PAGE]])

    async def _archive_ended(self, before: float) -> None:
        queue = self._keys.control("unarchived")
        skipped = 0  # jobs that somebody else is moving right now: the next time
        while True:
            [page] = await self._wire.ask(("ZRANGEBYSCORE", queue, "-inf", before, "LIMIT", skipped, _PAGE))
            for job in (member.decode() for member in page):
                if all([await self._move(job, name, keep=0) for name in SHORT.values()]):
                    await self._move_inputs(run_of(job))
                    await self._wire.change(("ZREM", queue, job))
                else:
                    skipped += 1
            if len(page) < _PAGE:
                return

    async def _archive_live(self, jobs: list[str]) -> None:
        tail = self._wire.settings.live_tail
        rows = await self._wire.ask(*(("HMGET", self._keys.meta(job), "out", "out0", "err", "err0") for job in jobs))
        for job, row in zip(jobs, rows, strict=True):
            out, out_first, err, err_first = (int(value or 0) for value in row)
            if max(out - out_first, err - err_first) > 2 * tail:
                for name in SHORT.values():
                    await self._move(job, name, keep=tail)

    async def inputs(self, run: str) -> bytes:
        """See `Store.inputs`."""
        [data] = await self._wire.ask(("GET", self._keys.inputs(run)))
        if data is None:
            found = await asyncio.to_thread(self._archive.read, run, INPUTS, 0, sys.maxsize)
            data = found[1] if found else b""
        return bytes(data)

    async def _move_inputs(self, run: str) -> None:
        """Move the inputs of a run that has ended."""
        ended, data = await self._wire.ask(("HGET", self._keys.run(run), "ended"), ("GET", self._keys.inputs(run)))
        if ended is not None and data is not None:
            await asyncio.to_thread(self._archive.write, run, INPUTS, 0, data)
            await self._wire.change(("UNLINK", self._keys.inputs(run)))

    async def forget(self, run: str, jobs: list[str]) -> None:
        """Remove the output and the inputs of an ended run from Redis and the archive."""
        streams = SHORT.values()
        keys = [
            key for job in jobs for key in (self._keys.meta(job), *(self._keys.output(job, one) for one in streams))
        ]
        await self._wire.change(*(("UNLINK", key) for key in keys))
        await self.forget_archived([run, *jobs])

    async def forget_archived(self, ids: list[str]) -> None:
        """Remove what is archived of these runs and jobs; their records stay."""
        await asyncio.to_thread(self._archive.remove, ids)

    async def expired(self, before: datetime.date) -> list[str]:
        """Return the runs and jobs with something archived that were submitted before that day."""
        return await asyncio.to_thread(self._archive.ids, before)

    async def _sizes(self, job: str, name: Short) -> tuple[int, int]:
        """Return how many bytes there are, and the offset of the first that Redis still has."""
        [(size, first)] = await self._wire.ask(("HMGET", self._keys.meta(job), name, f"{name}0"))
        return int(size or 0), int(first or 0)

    async def _read(self, job: str, name: Short, offset: int, limit: int, *, enough: int) -> _Held:
        """Read what Redis has from an offset on: all, or `enough` up to `limit` bytes.

        Plain commands: a script would copy and hash every byte. The sizes come first, so bytes may be added or moved to
        the archive before those that were asked for are read; what is returned has no hole all the same.
        """
        key = self._keys.output(job, name)
        count = max(1, limit // _ENTRY)
        (size, first), entries = await self._wire.ask(
            ("HMGET", self._keys.meta(job), name, f"{name}0"), ("XRANGE", key, *_behind(offset), "COUNT", count)
        )
        parts = _continued(entries, offset)
        got = sum(map(len, parts))
        while 0 < got < enough and len(entries) == count:
            count = min(_GROWTH * count, -(-(limit - got) * len(parts) // got))
            [entries] = await self._wire.ask(("XRANGE", key, *_behind(offset + got), "COUNT", count))
            more = _continued(entries, offset + got)
            if not more:
                break
            parts += more
            got += sum(map(len, more))
        return _Held(max(int(size or 0), offset + got if got else 0), int(first or 0), b"".join(parts)[:limit])

    def _mover(self, job: str, name: Short) -> "asyncio.Task[None]":
        """Return the task that moves the old part of a live output; there is one at a time."""
        task = self._movers.get((job, name))
        if task is None:
            task = asyncio.create_task(self._move_tail(job, name), name=f"archive {job}")
            self._movers[job, name] = task
            task.add_done_callback(lambda _: self._movers.pop((job, name), None))
        return task

    async def _move_tail(self, job: str, name: Short) -> None:
        try:
            await self._move(job, name, keep=self._wire.settings.live_tail)
        except StoreUnavailableError as error:
            log.error("output cannot be archived", extra={"job": job, "error": str(error)})  # noqa: TRY400
            await asyncio.sleep(_RETRY_S)

    async def _move(self, job: str, name: Short, *, keep: int) -> bool:
        """Move all but the last `keep` bytes, a segment at a time: first safe on disk, then out of Redis.

        Returns False when it cannot: somebody else is at it.
        """
        keys = [self._keys.meta(job), self._keys.output(job, name)]
        while True:
            size, first = await self._sizes(job, name)
            if size - first <= keep:
                return True
            with self._archive.alone(job) as alone:
                if not alone:
                    return False
                segment = min(SEGMENT, size - first - keep)
                _, now_first, data = await self._read(job, name, first, segment, enough=segment)
                if now_first == first:  # else somebody moved this before we held the folder
                    if not data:  # somebody has removed the bytes: nothing can be moved past the hole
                        return False
                    await asyncio.to_thread(self._archive.write, job, name, first, data)
                    await self._wire.insist(self._wire.script("trim_output", keys, [name, first + len(data)]))


def _behind(offset: int) -> tuple[str, str]:
    """Return the range of the entries that end behind an offset."""
    return f"{min(offset, _LAST) + 1}-0", "+"


def _continued(entries: Sequence[Reply], offset: int) -> list[bytes]:
    """Return the bytes of entries from an offset on, as far as they follow each other."""
    parts = []
    for at, (_, data) in entries:
        end = int(at.partition(b"-")[0])
        skip = offset - (end - len(data))
        if skip < 0:
            break
        parts.append(data[skip:])
        offset = end
    return parts
