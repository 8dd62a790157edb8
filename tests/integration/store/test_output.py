"""Output: exactly once, readable at every offset, in Redis and in the archive."""

import asyncio
import dataclasses
import hashlib
import itertools
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jobs.lifecycle import Event
from orchestrator.store import redis_output
from orchestrator.store.connection import StoreSettings
from orchestrator.store.interface import StaleEpochError, StoreUnavailableError, StreamName
from orchestrator.store.redis_store import RedisStore
from tests.fixtures.redis import new_id, running_job

on_a_real_store = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


async def read_all(store: RedisStore, job: str, stream: StreamName = "stdout", *, limit: int = 1 << 20) -> bytes:
    data = b""
    while (piece := await store.output(job, stream, len(data), limit=limit)).data:
        assert piece.offset == len(data)
        data += piece.data
    return data


@on_a_real_store
@given(
    data=st.binary(min_size=1, max_size=400),
    sends=st.lists(st.tuples(st.integers(0, 420), st.integers(0, 120)), max_size=40),
    at_once=st.booleans(),
)
async def test_appends_in_any_order_and_number_give_the_same_bytes(
    store: RedisStore, data: bytes, sends: list[tuple[int, int]], at_once: bool
) -> None:
    job = new_id()
    calls = [store.append_output(job, "stdout", at, data[at : at + length], epoch=1) for at, length in sends]
    sizes = await asyncio.gather(*calls) if at_once else [await call for call in calls]
    held = 0
    for (at, length), size in zip(sends, sizes, strict=True):
        end = min(at + length, len(data))
        held = max(held, end) if at <= held else held
        assert size == held
    assert await read_all(store, job) == data[:held]
    while held < len(data):
        held = await store.append_output(job, "stdout", held, data[held : held + 50], epoch=1)
    assert await read_all(store, job, limit=7) == data


async def test_an_overlap_is_kept_once(store: RedisStore) -> None:
    job = new_id()
    await store.append_output(job, "stdout", 0, b"abcdef", epoch=1)
    await store.append_output(job, "stdout", 2, b"cdefgh", epoch=1)
    [entries] = await store._wire.ask(("XRANGE", store._keys.output(job, "out"), "-", "+"))
    assert entries == [[b"6-0", [b"d", b"abcdef"]], [b"8-0", [b"d", b"gh"]]]


async def test_the_two_streams_of_a_job_do_not_mix(store: RedisStore) -> None:
    job = new_id()
    await store.append_output(job, "stdout", 0, b"out", epoch=1)
    await store.append_output(job, "stderr", 0, b"error", epoch=1)
    assert await read_all(store, job, "stdout") == b"out"
    assert await read_all(store, job, "stderr") == b"error"


async def test_a_gap_changes_nothing_and_tells_from_where_to_send_again(store: RedisStore) -> None:
    job = new_id()
    assert await store.append_output(job, "stdout", 0, b"abc", epoch=1) == 3
    assert await store.append_output(job, "stdout", 5, b"fgh", epoch=1) == 3
    assert await read_all(store, job) == b"abc"


async def test_a_read_returns_no_more_than_asked_for_and_begins_where_asked(store: RedisStore) -> None:
    job = new_id()
    for at in range(0, 1000, 10):
        await store.append_output(job, "stdout", at, b"0123456789", epoch=1)
    piece = await store.output(job, "stdout", 13, limit=25)
    assert (piece.offset, piece.data, piece.size) == (13, b"3456789" + b"0123456789" + b"01234567", 1000)
    past = await store.output(job, "stdout", 2000, limit=25)
    assert (past.offset, past.data, past.size) == (1000, b"", 1000)
    assert (await store.output(job, "stdout", 999, limit=0)).data == b"9"


async def test_a_writer_that_has_been_replaced_changes_nothing_once_the_new_one_wrote(store: RedisStore) -> None:
    old, new = await store.begin_epoch(), await store.begin_epoch()
    job = new_id()
    await store.append_output(job, "stdout", 0, b"new", epoch=new)
    with pytest.raises(StaleEpochError):
        await store.append_output(job, "stdout", 3, b"old", epoch=old)
    assert await read_all(store, job) == b"new"


async def test_two_writers_of_one_output_do_not_double_it(store: RedisStore, store_settings: StoreSettings) -> None:
    other = RedisStore(store_settings)
    await other.open()
    job, data = new_id(), bytes(range(256)) * 40

    async def write(writer: RedisStore, step: int) -> None:
        at = 0
        while at < len(data):
            at = await writer.append_output(job, "stdout", at, data[at : at + step], epoch=1)

    await asyncio.gather(write(store, 37), write(other, 101))
    assert await read_all(store, job) == data
    await other.close()


@on_a_real_store
@given(
    data=st.binary(min_size=1, max_size=300),
    sends=st.lists(st.tuples(st.booleans(), st.integers(0, 320), st.integers(0, 150)), min_size=1, max_size=40),
)
async def test_two_writers_that_send_anything_leave_the_same_bytes_and_nothing_else(
    store: RedisStore, store_settings: StoreSettings, data: bytes, sends: list[tuple[bool, int, int]]
) -> None:
    other = RedisStore(store_settings)
    await other.open()
    job = new_id()
    sizes = await asyncio.gather(
        *(
            (store if ours else other).append_output(job, "stdout", at, data[at : at + length], epoch=1)
            for ours, at, length in sends
        )
    )
    await other.close()
    assert await read_all(store, job) == data[: max(sizes)]
    key = store._keys.output(job, "out")
    [entries, aside] = await store._wire.ask(("XRANGE", key, "-", "+"), ("EXISTS", store._keys.aside(job, "out")))
    ends = [0, *(int(at.partition(b"-")[0]) for at, _ in entries)]
    assert [end - start for start, end in itertools.pairwise(ends)] == [len(entry) for _, (_, entry) in entries]
    assert ends[-1] == max(sizes)
    assert not aside


async def test_a_refused_append_changes_nothing_and_the_next_one_goes_on(store: RedisStore) -> None:
    job = new_id()
    assert await store.append_output(job, "stdout", 5, b"gap", epoch=1) == 0
    assert await store.append_output(job, "stdout", 0, b"", epoch=1) == 0
    [keys] = await store._wire.ask(("KEYS", f"*{job}*"))
    assert keys == []
    await store.append_output(job, "stdout", 0, b"abc", epoch=1)
    for at, data in ((9, b"gap"), (0, b"abc"), (1, b"b"), (3, b"")):
        assert await store.append_output(job, "stdout", at, data, epoch=1) == 3
    assert await store.append_output(job, "stdout", 3, b"def", epoch=1) == 6
    assert await read_all(store, job) == b"abcdef"
    [keys] = await store._wire.ask(("KEYS", f"*{job}*"))
    assert sorted(keys) == [store._keys.meta(job).encode(), store._keys.output(job, "out").encode()]


@pytest.mark.parametrize("ours", ["meta", "output"])
async def test_a_key_of_another_program_is_named_and_nothing_is_changed(store: RedisStore, ours: str) -> None:
    job = new_id()
    await store.append_output(job, "stdout", 0, b"abc", epoch=1)
    key = store._keys.meta(job) if ours == "meta" else store._keys.output(job, "out")
    await store._wire.change(("SET", key, "theirs"))
    with pytest.raises(StoreUnavailableError, match="Another program uses our prefix"):
        await store.append_output(job, "stdout", 3, b"def", epoch=1)
    theirs, length, size = await store._wire.ask(
        ("GET", key),
        ("XLEN", store._keys.output(job, "out")) if ours == "meta" else ("ECHO", "1"),
        ("HGET", store._keys.meta(job), "out") if ours == "output" else ("ECHO", "3"),
    )
    assert (theirs, int(length), int(size)) == (b"theirs", 1, 3)


@pytest.mark.parametrize("entry", [100, 30 << 10, 128 << 10, 256 << 10])
async def test_every_byte_leaves_redis_once_whatever_the_size_of_its_piece(store: RedisStore, entry: int) -> None:
    job, data = new_id(), bytes(1 << 20)
    for at in range(0, len(data), entry):
        await store.append_output(job, "stdout", at, data[at : at + entry], epoch=1)

    async def sent() -> int:
        [figures] = await store._wire.ask(("INFO", "stats"))
        return int(figures.partition(b"total_net_output_bytes:")[2].split()[0])

    before = await sent()
    assert await read_all(store, job, limit=256 << 10) == data
    most = 1.3 if entry > 1000 else 1.6  # the names of small entries count as well
    assert await sent() - before < most * len(data)


@pytest.fixture
async def small(store_settings: StoreSettings, monkeypatch: pytest.MonkeyPatch) -> RedisStore:
    """A store that keeps 1,000 bytes of a stream in Redis and 300 in a file."""
    monkeypatch.setattr(redis_output, "SEGMENT", 300)
    opened = RedisStore(dataclasses.replace(store_settings, live_tail=1_000, archive_after_s=100.0))
    await opened.open()
    yield opened
    await opened.close()


async def held(store: RedisStore, job: str) -> int:
    size, first = (await store._wire.ask(("HMGET", store._keys.meta(job), "out", "out0")))[0]
    return int(size or 0) - int(first or 0)


async def test_output_is_read_across_the_border_of_the_archive_at_every_offset(small: RedisStore) -> None:
    epoch = await small.begin_epoch()
    job = await running_job(small, epoch)
    data = bytes(number % 251 for number in range(2_500))
    for at in range(0, len(data), 170):
        await small.append_output(job, "stdout", at, data[at : at + 170], epoch=epoch)
    while await held(small, job) > 2_000:
        await small.archive(now=0.0)
    assert await held(small, job) >= 1_000
    for offset in range(len(data)):
        piece = await small.output(job, "stdout", offset, limit=64)
        assert piece.offset == offset
        assert piece.data
        assert data[offset:].startswith(piece.data)
        assert piece.size == len(data)
    assert await read_all(small, job, limit=33) == data


async def test_a_flood_leaves_redis_bounded_and_every_byte_in_order(small: RedisStore) -> None:
    epoch = await small.begin_epoch()
    job = await running_job(small, epoch)
    digest, at, most = hashlib.sha256(), 0, 0
    for number in range(400):
        chunk = b"%06d\n" % number * 20
        at = await small.append_output(job, "stdout", at, chunk, epoch=epoch)
        digest.update(chunk)
        most = max(most, await held(small, job))
    assert most <= 4 * 1_000 + 140
    assert hashlib.sha256(await read_all(small, job)).digest() == digest.digest()


async def test_an_archive_that_cannot_be_written_holds_the_writer_back_until_it_can(
    small: RedisStore, store_settings: StoreSettings
) -> None:
    epoch = await small.begin_epoch()
    job = await running_job(small, epoch)
    store_settings.archive_dir.write_text("a file where the folder should be")
    data = b"0123456789" * 600

    async def write() -> None:
        at = 0
        while at < len(data):
            at = await small.append_output(job, "stdout", at, data[at : at + 100], epoch=epoch)

    writer = asyncio.create_task(write())
    while await held(small, job) < 4_000:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.3)
    assert not writer.done()
    assert await held(small, job) <= 4_100
    store_settings.archive_dir.unlink()
    await writer
    assert await read_all(small, job) == data


async def test_a_reader_follows_while_the_output_moves_to_the_archive(small: RedisStore) -> None:
    epoch = await small.begin_epoch()
    job = await running_job(small, epoch)
    data = bytes(number % 253 for number in range(30_000))

    async def write() -> None:
        for at in range(0, len(data), 100):
            await small.append_output(job, "stdout", at, data[at : at + 100], epoch=epoch)
        await small.apply(job, 1, Event.SUCCEEDED, epoch=epoch, now=10.0, fields={})
        await small.archive(now=1_000.0)

    async def read(step: int) -> bytes:
        got = b""
        while len(got) < len(data):
            got += (await small.output(job, "stdout", len(got), limit=step)).data
        return got

    _, first, second = await asyncio.gather(write(), read(64), read(5_000))
    assert first == second == data


async def test_ended_output_moves_after_its_time_and_is_read_all_the_same(small: RedisStore, tmp_path: Path) -> None:
    epoch = await small.begin_epoch()
    job = await running_job(small, epoch)
    await small.append_output(job, "stdout", 0, b"hello", epoch=epoch)
    await small.append_output(job, "stderr", 0, b"oh", epoch=epoch)
    await small.archive(now=1_000_000.0)
    assert await held(small, job) == 5, "a running job's output stays"
    await small.apply(job, 1, Event.SUCCEEDED, epoch=epoch, now=50.0, fields={})
    await small.archive(now=149.0)
    assert await held(small, job) == 5
    await small.archive(now=150.0)
    assert await held(small, job) == 0
    assert await read_all(small, job) == b"hello"
    assert await read_all(small, job, "stderr") == b"oh"
    [keys] = await small._wire.ask(("EXISTS", small._keys.output(job, "out"), small._keys.output(job, "err")))
    assert keys == 0
    record = await small.job(job)
    assert record is not None
    assert (record.stdout_bytes, record.stderr_bytes) == (5, 2)
    assert await small.append_output(job, "stdout", 0, b"hello", epoch=epoch) == 5, "a late repetition is still one"


async def test_two_daemons_that_archive_at_once_lose_nothing(small: RedisStore, store_settings: StoreSettings) -> None:
    other = RedisStore(dataclasses.replace(store_settings, live_tail=1_000, archive_after_s=100.0))
    await other.open()
    epoch = await small.begin_epoch()
    contents = {}
    for _ in range(10):
        job = await running_job(small, epoch)
        contents[job] = job.encode() * 90
        await small.append_output(job, "stdout", 0, contents[job], epoch=epoch)
        await small.apply(job, 1, Event.SUCCEEDED, epoch=epoch, now=10.0, fields={})
    for _ in range(2):
        await asyncio.gather(small.archive(now=1_000.0), other.archive(now=1_000.0))
    for job, data in contents.items():
        assert await read_all(other, job) == data
        assert await held(small, job) == 0
    await other.close()
