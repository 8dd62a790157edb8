"""How a run is watched: its state now, then its output and events as they come, each exactly once, until it ends.

Level-triggered: the store's bell only says *which* jobs have news; what they are is read from the follower's own
offsets. So a follower that is slow, or that comes back later, misses nothing and holds nobody up.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from jobs.lifecycle import TERMINAL
from jobs.records import JobRecord, RunRecord
from orchestrator.store.interface import RunEvent, Store, StreamName

PIECE = 256 << 10  #: bytes read of one stream in one turn: a flood must not hold up a quiet job
TURN = 16  #: streams read at once; with PIECE the bound on a follower's memory
STREAMS: tuple[StreamName, StreamName] = ("stdout", "stderr")
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
    jobs = {job.id: job for job in run.jobs or ()}
    live = {job.id for job in jobs.values() if job.state not in TERMINAL}
    waiting: deque[tuple[str, StreamName]] = deque()
    yield Snapshot(run)
    async with store.bell(run.id) as bell:
        news = asyncio.ensure_future(anext(bell))
        _add(waiting, jobs if output else ())
        try:
            while True:
                events, chunks = await asyncio.gather(
                    store.events(run.id, position.event), _turn(store, jobs, position, waiting)
                )
                # What a job printed is read to its end after the event that ends it, and told before.
                ended = [str(event.fields["job"]) for event in events if event.fields.get("state") in _ENDED]
                rest = deque((job, stream) for job in ended if output and job in jobs for stream in STREAMS)
                while chunks or rest:
                    for chunk in chunks:
                        yield chunk
                    chunks = await _turn(store, jobs, position, rest)
                for event in events:
                    position.event = event.id
                    if event.fields["job"] in jobs:
                        yield event
                live.difference_update(ended)
                if not live and not waiting:
                    break
                if news.done() or not (waiting or events):
                    rung = await news
                    news = asyncio.ensure_future(anext(bell))
                    _add(waiting, [job for job in rung if job in jobs and output])
        finally:
            news.cancel()
    final = await store.run(run.id, with_jobs=True)
    yield End(run if final is None else final)


def _add(waiting: deque[tuple[str, StreamName]], jobs: Iterable[str]) -> None:
    known = set(waiting)
    waiting.extend(key for job in jobs for stream in STREAMS if (key := (job, stream)) not in known)


async def _turn(
    store: Store, jobs: Mapping[str, JobRecord], position: Position, waiting: deque[tuple[str, StreamName]]
) -> list[Chunk]:
    """Read one piece of each of the next streams; those that may have more go to the end of the queue."""
    turn = [waiting.popleft() for _ in range(min(TURN, len(waiting)))]
    offsets = [position.offsets.get(stream, 0) for stream in turn]
    pieces = await asyncio.gather(
        *(store.output(job, name, offset, limit=PIECE) for (job, name), offset in zip(turn, offsets, strict=True))
    )
    chunks = []
    for stream, piece in zip(turn, pieces, strict=True):
        if piece.data:
            position.offsets[stream] = piece.offset + len(piece.data)
            chunks.append(Chunk(stream[0], jobs[stream[0]].node, stream[1], piece.offset, piece.data))
        if position.offsets.get(stream, 0) < piece.size:
            waiting.append(stream)
    return chunks
