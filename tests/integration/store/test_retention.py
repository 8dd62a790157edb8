"""What is forgotten, and when."""

import dataclasses
from collections.abc import AsyncIterator

import pytest

from jobs.lifecycle import Event
from orchestrator.store.connection import DAY, StoreSettings
from orchestrator.store.redis_store import RedisStore
from tests.fixtures.redis import new_id, new_run

START = 1_700_000_000.0


@pytest.fixture
async def kept(store_settings: StoreSettings) -> AsyncIterator[RedisStore]:
    """A store that keeps output for 10 days and records for 20."""
    opened = RedisStore(
        dataclasses.replace(store_settings, archive_after_s=60.0, keep_output_s=10 * DAY, keep_records_s=20 * DAY)
    )
    await opened.open()
    yield opened
    await opened.close()


async def ended_run(store: RedisStore, *, submitted: float, ended: float, total: int = 2) -> list[str]:
    """Run jobs with output from one moment to another; return the ids of the run and of its jobs."""
    epoch = await store.begin_epoch()
    run, jobs = new_run(total, at=submitted)
    await store.submit(run, jobs, b"the script")
    await store.assign([job.id for job in jobs], dispatcher="main", epoch=epoch, now=submitted)
    for job in jobs:
        await store.append_output(job.id, "stdout", 0, b"hello", epoch=epoch)
        await store.apply(job.id, 1, Event.SUCCEEDED, epoch=epoch, now=ended, fields={})
    return [run.id, *(job.id for job in jobs)]


async def output_of(store: RedisStore, job: str) -> bytes:
    return (await store.output(job, "stdout", 0, limit=100)).data


async def keys_of(store: RedisStore) -> set[bytes]:
    [keys] = await store._wire.ask(("KEYS", f"{store._settings.prefix}:*"))
    return set(keys)


async def test_output_goes_before_the_record(kept: RedisStore) -> None:
    run, job, _ = await ended_run(kept, submitted=START, ended=START + 60)
    await kept.archive(now=START + DAY)
    assert await kept.prune(now=START + 9 * DAY) == 0
    assert await output_of(kept, job) == b"hello"
    assert await kept.prune(now=START + 12 * DAY) == 0
    gone = await kept.output(job, "stdout", 2, limit=10)
    assert (gone.offset, gone.data, gone.size) == (5, b"", 5), "that there were 5 bytes is still known"
    record = await kept.run(run, with_jobs=True)
    assert record is not None
    assert [one.stdout_bytes for one in record.jobs or ()] == [5, 5]


async def test_a_pruned_run_leaves_no_key_and_no_file(kept: RedisStore, store_settings: StoreSettings) -> None:
    run, *_ = await ended_run(kept, submitted=START, ended=START + 60)
    await kept.archive(now=START + DAY)
    await kept.trim_control(await kept.control_position())
    assert await kept.prune(now=START + 19 * DAY) == 0
    assert await kept.prune(now=START + 21 * DAY) == 1
    assert await kept.run(run, with_jobs=True) is None
    assert await kept.runs(active=False, limit=10, before=None) == []
    assert await kept.resolve(run) == []
    assert not [key for key in await keys_of(kept) if run.encode() in key]
    assert list(store_settings.archive_dir.iterdir()) == []


async def test_a_run_whose_output_was_never_archived_is_pruned_too(kept: RedisStore) -> None:
    run, *_ = await ended_run(kept, submitted=START, ended=START + 60)
    assert await kept.prune(now=START + 30 * DAY) == 1
    assert not [key for key in await keys_of(kept) if run.encode() in key]


async def test_a_job_that_runs_for_months_keeps_all_its_output(kept: RedisStore) -> None:
    epoch = await kept.begin_epoch()
    run, jobs = new_run(2, at=START)
    first, second = (job.id for job in jobs)
    await kept.submit(run, jobs, b"the script")
    await kept.assign([first, second], dispatcher="main", epoch=epoch, now=START)
    await kept.append_output(first, "stdout", 0, b"hello", epoch=epoch)
    await kept.apply(second, 1, Event.SUCCEEDED, epoch=epoch, now=START + 1, fields={})
    kept._output._archive.write(first, "out", 0, b"hello")
    assert await kept.prune(now=START + 200 * DAY) == 0
    assert await kept.inputs(run.id) == b"the script"
    assert kept._output._archive.read(first, "out", 0, 10) == (0, b"hello")


async def test_the_age_of_output_counts_from_the_end_of_its_job(kept: RedisStore) -> None:
    _, job, _ = await ended_run(kept, submitted=START, ended=START + 50 * DAY)
    await kept.archive(now=START + 51 * DAY)
    await kept.prune(now=START + 59 * DAY)
    assert await output_of(kept, job) == b"hello"
    await kept.prune(now=START + 61 * DAY)
    assert await output_of(kept, job) == b""


async def test_the_inputs_of_an_ended_run_move_to_the_archive(kept: RedisStore) -> None:
    run, *_ = await ended_run(kept, submitted=START, ended=START + 60)
    await kept.archive(now=START + DAY)
    assert kept._keys.inputs(run).encode() not in await keys_of(kept)
    assert await kept.inputs(run) == b"the script"


async def test_files_of_runs_that_nobody_knows_any_more_go_too(kept: RedisStore, store_settings: StoreSettings) -> None:
    kept._output._archive.write(new_id(START), "out", 0, b"left behind")
    await kept.prune(now=START + 5 * DAY)
    assert list(store_settings.archive_dir.iterdir()) != []
    await kept.prune(now=START + 12 * DAY)
    assert list(store_settings.archive_dir.iterdir()) == []


async def test_more_runs_than_a_page_are_pruned_in_one_go(kept: RedisStore) -> None:
    for _ in range(130):
        run, [job] = new_run(1, at=START)
        await kept.submit(run, [job], b"")
        await kept.request_cancel([job.id], by="root", grace_s=None, now=START)
    assert await kept.prune(now=START + 30 * DAY) == 130
    assert await kept.runs(active=False, limit=10, before=None) == []
