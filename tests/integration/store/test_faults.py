"""What the store does when Redis dies, forgets, or does not answer."""

import asyncio
import contextlib
import dataclasses
import itertools
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from jobs.lifecycle import Event, State
from orchestrator.store.connection import StoreSettings
from orchestrator.store.embedded import EmbeddedRedis
from orchestrator.store.interface import Bases, StoreUnavailableError
from orchestrator.store.redis_store import RedisStore
from tests.fixtures.redis import new_id, new_run, running_job


class Line:
    """A unix socket in front of Redis that can lose replies: what was asked is done, the answer never comes."""

    def __init__(self, front: Path, back: Path) -> None:
        self._front, self._back = front, back
        self.lose_next = False
        self.spare = 0  #: replies that come through before the one that is lost
        self.lost = 0
        self._server: asyncio.Server | None = None
        self._serving: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"unix://{self._front}"

    async def __aenter__(self) -> "Line":
        self._server = await asyncio.start_unix_server(self._serve, self._front)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._serving.add(asyncio.current_task())
        back_reader, back_writer = await asyncio.open_unix_connection(self._back)

        async def copy(source: asyncio.StreamReader, target: asyncio.StreamWriter, *, replies: bool) -> None:
            while data := await source.read(1 << 16):
                if replies and self.lose_next and self.spare:
                    self.spare -= 1
                elif replies and self.lose_next:
                    self.lose_next = False
                    self.lost += 1
                    return
                target.write(data)
                await target.drain()

        tasks = [
            asyncio.create_task(copy(reader, back_writer, replies=False)),
            asyncio.create_task(copy(back_reader, writer, replies=True)),
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for end in (writer, back_writer):
                end.transport.abort()


@pytest.fixture
async def line(redis_server: EmbeddedRedis, tmp_path: Path) -> AsyncIterator[Line]:
    """A line to the session's Redis."""
    async with Line(tmp_path / "line.sock", Path(redis_server.url.removeprefix("unix://"))) as opened:
        yield opened


@pytest.fixture
async def far(line: Line, store_settings: StoreSettings) -> AsyncIterator[RedisStore]:
    """A store at the other end of the line."""
    opened = RedisStore(dataclasses.replace(store_settings, url=line.url))
    await opened.open()
    yield opened
    await opened.close()


async def test_every_change_whose_reply_is_lost_happens_once_and_says_so(far: RedisStore, line: Line) -> None:
    epoch = await far.begin_epoch()
    run, jobs = new_run(3)
    first, second, third = (job.id for job in jobs)
    line.lose_next = True
    assert await far.submit(run, jobs, b"in") is True
    line.lose_next = True
    assert await far.assign([first, second], dispatcher="main", epoch=epoch, now=1.0) == [first, second]
    line.lose_next = True
    assert await far.apply(first, 1, Event.STARTED, epoch=epoch, now=2.0, fields={}) is True
    line.lose_next = True
    assert await far.append_output(first, "stdout", 0, b"hello", epoch=epoch) == 5
    line.lose_next = True
    assert await far.request_cancel([second, third], by="root", grace_s=None, now=3.0) == (1, 1, 0)
    line.lose_next = True
    await far.set_link(first, "unknown", since=3.5)
    line.lose_next = True
    assert await far.apply(first, 1, Event.SUCCEEDED, epoch=epoch, now=4.0, fields={}) is True
    assert line.lost == 7

    assert (await far.output(first, "stdout", 0, limit=100)).data == b"hello"
    told = [(entry.fields["job"], entry.fields["event"]) for entry in await far.events(run.id, "0")]
    assert told == [
        (first, "assigned"),
        (second, "assigned"),
        (first, "started"),
        (third, "cancelled"),
        (first, "link"),
        (first, "succeeded"),
    ]
    work = [(entry.kind, entry.job) for entry in await far.work("main", "0", block_s=0)]
    assert work == [("start", first), ("start", second), ("cancel", second)]
    control = [entry.kind for entry in await far.control("0", block_s=0)]
    assert control == ["submitted", "cancelled", "ended"]
    record = await far.run(run.id, with_jobs=False)
    assert record is not None
    assert record.counts == {State.SUCCEEDED: 1, State.DISPATCHING: 1, State.CANCELLED: 1}


async def test_an_attempt_and_a_report_whose_reply_is_lost_happen_once_and_say_so(far: RedisStore, line: Line) -> None:
    epoch = await far.begin_epoch()
    job = await running_job(far, epoch)
    await far.append_output(job, "stdout", 0, b"first", epoch=epoch)
    said = {"epoch": epoch, "now": 3.0, "fields": {"progress": 5.0}, "notes": [{"event": "log", "text": "x"}]}
    line.lose_next = True
    assert await far.report(job, 1, start=0, end=4, **said) == 4
    line.lose_next, line.spare = True, 1
    assert await far.retry(job, 1, epoch=epoch, now=4.0, at=4.0, fields={}) == Bases(5, 0)
    line.lose_next = True
    assert await far.assign([job], dispatcher="main", epoch=epoch, now=5.0) == [job]
    assert line.lost == 3

    told = [entry.fields["event"] for entry in await far.events(job, "0")]
    assert told == ["assigned", "started", "log", "retried", "assigned"]
    work = [(entry.kind, entry.attempt, entry.base_out) for entry in await far.work("main", "0", block_s=0)]
    assert work == [("start", 1, 0), ("start", 2, 5)]
    assert [entry.kind for entry in await far.control("0", block_s=0)] == ["submitted", "retried"]
    record = await far.run(job, with_jobs=False)
    assert record is not None
    assert record.counts == {State.DISPATCHING: 1}


async def test_an_attempt_that_was_begun_by_half_can_be_begun_again(far: RedisStore, line: Line) -> None:
    """Output and queue are changed one after the other; a process that dies between them leaves nothing behind."""
    epoch = await far.begin_epoch()
    job = await running_job(far, epoch)
    line.lose_next = True
    await far._wire.change(far._wire.script("fence_output", [far._keys.meta(job)], [epoch]))
    assert await far.append_output(job, "stdout", 0, b"first", epoch=epoch) == 5
    assert await far.retry(job, 1, epoch=epoch, now=4.0, at=4.0, fields={}) == Bases(5, 0)


async def test_output_whose_replies_are_lost_again_and_again_is_byte_identical(far: RedisStore, line: Line) -> None:
    job, data = new_id(), bytes(range(256)) * 8
    at = 0
    for step in itertools.cycle((1, 40, 7, 130)):
        line.lose_next = at % 3 == 0
        await asyncio.gather(
            far.append_output(job, "stdout", at, data[at : at + step], epoch=1),
            far.append_output(job, "stdout", max(0, at - 5), data[max(0, at - 5) : at + 2 * step], epoch=1),
        )
        at = (await far.output(job, "stdout", len(data), limit=1)).size
        if at == len(data):
            break
    line.lose_next = False
    assert line.lost > 3
    assert (await far.output(job, "stdout", 0, limit=1 << 20)).data == data


async def test_a_late_repetition_of_an_operation_answers_as_the_first_time(store: RedisStore) -> None:
    epoch = await store.begin_epoch()
    job = await running_job(store, epoch)
    assert await store.apply(job, 1, Event.SUCCEEDED, epoch=epoch, now=2.0, fields={})
    assert not await store.apply(job, 1, Event.SUCCEEDED, epoch=epoch, now=2.0, fields={}), "another operation"


async def test_scripts_that_redis_has_forgotten_are_loaded_again(store: RedisStore) -> None:
    job = new_id()
    data = bytes(range(256)) * 4

    async def forget() -> None:
        for _ in range(20):
            await store._wire.ask(("SCRIPT", "FLUSH"))
            await asyncio.sleep(0)

    async def write() -> None:
        at = 0
        while at < len(data):
            at = await store.append_output(job, "stdout", at, data[at : at + 3], epoch=1)

    await asyncio.gather(forget(), write())
    assert (await store.output(job, "stdout", 0, limit=1 << 20)).data == data


async def test_callers_that_are_cancelled_do_not_mix_up_the_replies_of_others(store: RedisStore) -> None:
    run, jobs = new_run(200)
    await store.submit(run, jobs, b"")
    wrong = []

    async def ask(index: int) -> None:
        record = await store.job(jobs[index].id)
        if record is None or record.id != jobs[index].id or record.index != jobs[index].index:
            wrong.append(index)

    for turn in range(50):
        tasks = [asyncio.create_task(ask((turn * 7 + index) % 200)) for index in range(200)]
        for _ in range(turn % 4):
            await asyncio.sleep(0)
        for task in tasks[:: 2 + turn % 3]:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert not [one for one in results if isinstance(one, Exception)]
    assert wrong == []


@pytest.fixture
async def mortal(tmp_path: Path) -> AsyncIterator[EmbeddedRedis]:
    """A server that a test may kill."""
    server = EmbeddedRedis(tmp_path / "r")
    await server.start()
    yield server
    await server.stop()


async def test_a_redis_that_is_killed_again_and_again_loses_and_doubles_nothing(
    mortal: EmbeddedRedis, tmp_path: Path
) -> None:
    store = RedisStore(StoreSettings(url=mortal.url, archive_dir=tmp_path / "archive"))
    await store.open()
    epoch = await store.begin_epoch()
    run, jobs = new_run(20)
    ids = [job.id for job in jobs]
    await store.submit(run, jobs, b"")
    done = asyncio.Event()

    async def live(job: str) -> None:
        assert await store.assign([job], dispatcher="main", epoch=epoch, now=1.0) == [job]
        assert await store.apply(job, 1, Event.STARTED, epoch=epoch, now=2.0, fields={})
        at = 0
        for number in range(100):
            line = b"%s %03d\n" % (job.encode(), number)
            at = await store.append_output(job, "stdout", at, line, epoch=epoch)
        assert await store.apply(job, 1, Event.SUCCEEDED, epoch=epoch, now=3.0, fields={"exit_code": 0})

    async def kill() -> None:
        for _ in range(3):
            killed = mortal.pid
            assert killed is not None
            os.kill(killed, signal.SIGKILL)
            while mortal.pid in {killed, None}:
                await asyncio.sleep(0.01)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(done.wait(), 0.02)

    async with asyncio.TaskGroup() as group:
        killer = group.create_task(kill())
        await asyncio.gather(*(live(job) for job in ids))
        done.set()
        await killer
    for job in ids:
        expected = b"".join(b"%s %03d\n" % (job.encode(), number) for number in range(100))
        assert (await store.output(job, "stdout", 0, limit=1 << 20)).data == expected
    told = [(entry.fields["job"], entry.fields["event"]) for entry in await store.events(run.id, "0")]
    assert sorted(told) == sorted((job, event) for job in ids for event in ("assigned", "started", "succeeded"))
    record = await store.run(run.id, with_jobs=False)
    assert record is not None
    assert record.counts == {State.SUCCEEDED: 20}
    await store.close()


async def test_a_question_to_a_redis_that_stays_away_ends_with_the_address_and_the_way_out(
    mortal: EmbeddedRedis, tmp_path: Path
) -> None:
    store = RedisStore(StoreSettings(url=mortal.url, archive_dir=tmp_path / "archive", patience_s=0.2))
    await store.open()
    await mortal.stop()
    with pytest.raises(StoreUnavailableError, match=r"unix://.*redis\.sock cannot be reached.*redis\.url"):
        await store.runs(active=False, limit=1, before=None)
    await store.archive(now=1.0)
    assert await store.prune(now=1.0) == 0
    await store.close()


async def test_a_change_of_a_running_job_and_a_waiting_dispatcher_outlast_any_absence(
    mortal: EmbeddedRedis, tmp_path: Path
) -> None:
    store = RedisStore(StoreSettings(url=mortal.url, archive_dir=tmp_path / "archive", patience_s=0.1))
    await store.open()
    epoch = await store.begin_epoch()
    job = await running_job(store, epoch)
    position = await store.control_position()
    waiting = asyncio.create_task(store.control(position, block_s=0.5))
    await mortal.stop()
    ending = asyncio.create_task(store.apply(job, 1, Event.SUCCEEDED, epoch=epoch, now=5.0, fields={}))
    await asyncio.sleep(1.0)
    assert not ending.done()
    assert not waiting.done()
    await mortal.start()
    assert await ending is True
    await waiting
    assert [entry.kind for entry in await store.control(position, block_s=5)] == ["ended"]
    await store.close()


async def test_a_store_closes_while_redis_is_away_and_tells_those_who_wait(
    mortal: EmbeddedRedis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.store.pipeline._CLOSE_S", 0.1)
    store = RedisStore(StoreSettings(url=mortal.url, archive_dir=tmp_path / "archive"))
    await store.open()
    await mortal.stop()
    waiting = asyncio.create_task(store.append_output(new_id(), "stdout", 0, b"x", epoch=1))
    await asyncio.sleep(0)
    await store.close()
    with pytest.raises(StoreUnavailableError, match="closed before Redis answered"):
        await waiting
    with pytest.raises(StoreUnavailableError, match="not open"):
        await store.runs(active=False, limit=1, before=None)


async def test_what_is_being_written_is_finished_before_the_store_closes(store_settings: StoreSettings) -> None:
    store = RedisStore(store_settings)
    await store.open()
    job = new_id()
    writing = [
        asyncio.create_task(store.append_output(job, "stdout", at, b"0123456789", epoch=1))
        for at in range(0, 5_000, 10)
    ]
    await asyncio.sleep(0)
    await store.close()
    assert [await one for one in writing] == list(range(10, 5_010, 10))


async def test_a_full_redis_holds_changes_back_and_goes_on_when_there_is_room(
    mortal: EmbeddedRedis, tmp_path: Path
) -> None:
    store = RedisStore(StoreSettings(url=mortal.url, archive_dir=tmp_path / "archive"))
    await store.open()
    epoch = await store.begin_epoch()
    job = await running_job(store, epoch)
    await store._wire.change(("CONFIG", "SET", "maxmemory", "1"))
    run, jobs = new_run(1)
    with pytest.raises(StoreUnavailableError, match=r"takes no changes for now.*maxmemory"):
        await store.submit(run, jobs, b"")
    writing = asyncio.create_task(store.append_output(job, "stdout", 0, b"hello", epoch=epoch))
    await asyncio.sleep(0.1)
    assert not writing.done()
    assert (await store.output(job, "stdout", 0, limit=9)).size == 0
    await store._wire.change(("CONFIG", "SET", "maxmemory", "0"))
    assert await writing == 5
    said = {"fields": {"progress": 5}, "notes": [{"event": "progress", "percent": 5}]}
    changes = [
        store.report(job, 1, start=0, end=1, epoch=epoch, now=4.0, **said),
        store.retry(job, 1, epoch=epoch, now=5.0, at=5.0, fields={}),
        store.assign([job], dispatcher="main", epoch=epoch, now=6.0),
        store.apply(job, 2, Event.SUCCEEDED, epoch=epoch, now=7.0, fields={}),
    ]
    for change, answer in zip(changes, [1, Bases(5, 0), [job], True], strict=True):
        before = await store.job(job)
        await store._wire.change(("CONFIG", "SET", "maxmemory", "1"))
        going = asyncio.create_task(change)
        await asyncio.sleep(0.1)
        assert not going.done()
        assert await store.job(job) == before
        await store._wire.change(("CONFIG", "SET", "maxmemory", "0"))
        assert await going == answer
    await store.close()
