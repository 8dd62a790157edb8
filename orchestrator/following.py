"""How a run is watched: its state now, then its output and events as they come, each exactly once, until it ends.

Level-triggered: the store's bell only says *which* jobs have news; what they are is read from the follower's own
offsets. So a follower that is slow, or that comes back later, misses nothing and holds nobody up.
"""

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator, Container, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from inventory.nodeset import fold
from jobs.jobset import aggregate
from jobs.lifecycle import TERMINAL
from jobs.records import RunRecord
from orchestrator.store.interface import RunEvent, Store, StreamName

PIECE = 256 << 10  #: bytes read of one stream in one turn: a flood must not hold up a quiet job
TURN = 16  #: streams read at once; with PIECE the bound on a follower's memory
STREAMS: tuple[StreamName, StreamName] = ("stdout", "stderr")
_Key = tuple[str, StreamName]  #: a stream of a job
_ENDED = frozenset(str(state) for state in TERMINAL)


class Snapshot(NamedTuple):
    """The run with its jobs, at the beginning."""

    run: RunRecord


class Chunk(NamedTuple):
    """Bytes of one stream of one job."""

    job: str
    node: str
    stream: StreamName
    offset: int
    data: bytes


class End(NamedTuple):
    """The run with its jobs, after its last event."""

    run: RunRecord


Item = Snapshot | Chunk | RunEvent | End


@dataclass
class Position:
    """What a follower has seen of a run."""

    offsets: dict[tuple[str, StreamName], int] = field(default_factory=dict)
    event: str = "0"


async def follow(store: Store, run: RunRecord, position: Position, *, output: bool = True) -> AsyncIterator[Item]:
    """Yield what happens to the jobs in `run` from `position` on, and `End` when all of them have ended."""
    reader = _Reader(store, run, position, output=output)
    live = {job.id for job in run.jobs or () if job.state not in TERMINAL}
    yield Snapshot(run)
    async with store.bell(run.id) as bell:
        await anext(bell)  # comes at once, and tells of every job: they are looked at anyway
        news = asyncio.ensure_future(anext(bell))
        reader.add(reader.jobs)
        try:
            while True:
                chunks, events = await asyncio.gather(reader.turn(), store.events(run.id, position.event))
                for chunk in chunks:
                    yield chunk
                # What a job printed is read to its end after the event that ends it, and told before.
                ended = [str(event.fields["job"]) for event in events if event.fields.get("state") in _ENDED]
                async for chunk in reader.rest(ended):
                    yield chunk
                for event in events:
                    position.event = event.id
                    if event.fields["job"] in reader.jobs:
                        yield event
                live.difference_update(ended)
                if not live and not reader.waiting:
                    break
                if news.done() or not (reader.waiting or events):
                    rung = await news
                    news = asyncio.ensure_future(anext(bell))
                    reader.add(rung)
        finally:
            news.cancel()
    final = await store.run(run.id, with_jobs=True)
    yield End(run if final is None else narrowed(final, reader.jobs))


def narrowed(run: RunRecord, jobs: Container[str]) -> RunRecord:
    """Return a run as if it had these jobs alone: with their counts, state and nodes."""
    kept = tuple(job for job in run.jobs or () if job.id in jobs)
    if len(kept) == len(run.jobs or ()):
        return run
    counts = Counter(job.state for job in kept)
    nodes = fold([job.node for job in kept])
    ends = [job.ended for job in kept]
    ended = None if None in ends else max((end for end in ends if end is not None), default=None)
    return msgspec.structs.replace(
        run, jobs=kept, total=len(kept), counts=dict(counts), state=aggregate(counts), nodes=nodes, ended=ended
    )


class _Reader:
    """Reads the output of a run's jobs, a piece of each stream in turn."""

    def __init__(self, store: Store, run: RunRecord, position: Position, *, output: bool) -> None:
        self.jobs = {job.id: job.node for job in run.jobs or ()}
        self.waiting: deque[_Key] = deque()
        self._store = store
        self._offsets = position.offsets
        self._output = output

    def add(self, jobs: Iterable[str]) -> None:
        """Look at these jobs' streams."""
        known = set(self.waiting)
        wanted = [job for job in jobs if job in self.jobs and self._output]
        self.waiting.extend(key for job in wanted for stream in STREAMS if (key := (job, stream)) not in known)

    async def turn(self) -> list[Chunk]:
        """Read one piece of each of the next streams; those that may have more go to the end of the queue."""
        return await self._read(self.waiting)

    async def rest(self, jobs: Iterable[str]) -> AsyncIterator[Chunk]:
        """Read all that is left of jobs that have ended."""
        waiting = deque((job, stream) for job in jobs if job in self.jobs and self._output for stream in STREAMS)
        while waiting:
            for chunk in await self._read(waiting):
                yield chunk

    async def _read(self, waiting: deque[_Key]) -> list[Chunk]:
        streams = [waiting.popleft() for _ in range(min(TURN, len(waiting)))]
        pieces = await asyncio.gather(
            *(self._store.output(*stream, self._offsets.get(stream, 0), limit=PIECE) for stream in streams)
        )
        chunks = []
        for (job, stream), piece in zip(streams, pieces, strict=True):
            if piece.data:
                self._offsets[job, stream] = piece.offset + len(piece.data)
                chunks.append(Chunk(job, self.jobs[job], stream, piece.offset, piece.data))
            if self._offsets.get((job, stream), 0) < piece.size:
                waiting.append((job, stream))
        return chunks
