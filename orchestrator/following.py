"""How a run is watched: its state now, then its output and events as they come, each exactly once, until it ends.

Level-triggered: the store's bell only says *which* jobs have news; what they are is read from the follower's own
offsets. So a follower that is slow, or that comes back later, misses nothing and holds nobody up.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Coroutine, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from jobs.lifecycle import TERMINAL
from jobs.records import JobRecord, RunRecord
from orchestrator.store.interface import Output, RunEvent, Store, StreamName

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
    jobs = {job.id: job for job in run.jobs or ()}
    live = {job.id for job in jobs.values() if job.state not in TERMINAL}
    waiting: deque[_Key] = deque()
    yield Snapshot(run)
    async with store.bell(run.id) as bell:
        await anext(bell)  # comes at once, and tells of every job: they are looked at anyway
        news = asyncio.ensure_future(anext(bell))
        _add(waiting, jobs if output else ())
        try:
            while True:
                turn = _turn(waiting)
                pieces, events = await asyncio.gather(
                    asyncio.gather(*_reads(store, position, turn)), store.events(run.id, position.event)
                )
                chunks = _chunks(jobs, position, waiting, zip(turn, pieces, strict=True))
                # What a job printed is read to its end after the event that ends it, and told before.
                ended = [str(event.fields["job"]) for event in events if event.fields.get("state") in _ENDED]
                rest = deque((job, stream) for job in ended if output and job in jobs for stream in STREAMS)
                while chunks or rest:
                    for chunk in chunks:
                        yield chunk
                    turn = _turn(rest)
                    pieces = await asyncio.gather(*_reads(store, position, turn))
                    chunks = _chunks(jobs, position, rest, zip(turn, pieces, strict=True))
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


def _add(waiting: deque[_Key], jobs: Iterable[str]) -> None:
    known = set(waiting)
    waiting.extend(key for job in jobs for stream in STREAMS if (key := (job, stream)) not in known)


def _turn(waiting: deque[_Key]) -> list[_Key]:
    """Take the streams that are read next, at once."""
    return [waiting.popleft() for _ in range(min(TURN, len(waiting)))]


def _reads(store: Store, position: Position, turn: Iterable[_Key]) -> list[Coroutine[None, None, Output]]:
    return [store.output(*stream, position.offsets.get(stream, 0), limit=PIECE) for stream in turn]


def _chunks(
    jobs: Mapping[str, JobRecord], position: Position, waiting: deque[_Key], read: Iterable[tuple[_Key, Output]]
) -> list[Chunk]:
    """Return what was read; streams that may have more go to the end of the queue."""
    chunks = []
    for stream, piece in read:
        if piece.data:
            position.offsets[stream] = piece.offset + len(piece.data)
            chunks.append(Chunk(stream[0], jobs[stream[0]].node, stream[1], piece.offset, piece.data))
        if position.offsets.get(stream, 0) < piece.size:
            waiting.append(stream)
    return chunks
