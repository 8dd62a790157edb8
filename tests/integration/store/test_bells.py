"""Bells: who watches hears of news, once, and of nothing else."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator

import pytest

from jobs.lifecycle import Event
from orchestrator.store import bells
from orchestrator.store.connection import StoreSettings
from orchestrator.store.redis_store import RedisStore
from tests.fixtures.redis import new_run


async def clients(store: RedisStore) -> int:
    """Count the subscribed connections of this store's channels' server that hear at least one of its bells."""
    [channels] = await store._wire.ask(("PUBSUB", "CHANNELS", f"{store._settings.prefix}:*"))
    return len(channels)


async def quiet(store: RedisStore, run: str, bell: AsyncIterator[frozenset[str]]) -> None:
    """Take items until the subscription is known to be there and nothing more is waiting."""
    channel = store._keys.bell(run)
    while (await store._wire.ask(("PUBSUB", "NUMSUB", channel)))[0][1] == 0:
        await asyncio.sleep(0.001)
    await store._wire.change(("PUBLISH", channel, "marker"))
    while "marker" not in await anext(bell):
        pass


async def test_the_first_item_comes_at_once_with_everything(store: RedisStore) -> None:
    run, jobs = new_run(3)
    await store.submit(run, jobs, b"")
    async with store.bell(run.id) as bell:
        assert await anext(bell) == {"", *(job.id for job in jobs)}


async def test_what_the_first_item_tells_is_not_told_again(store: RedisStore) -> None:
    run, jobs = new_run(3)
    await store.submit(run, jobs, b"")
    for _ in range(2):  # the first watcher waits for the connection as well
        async with store.bell(run.id) as bell:
            await anext(bell)
            await store._wire.change(("PUBLISH", store._keys.bell(run.id), "marker"))
            assert await anext(bell) == {"marker"}


async def test_a_watcher_whose_subscription_does_not_come_begins_all_the_same(
    store: RedisStore, store_settings: StoreSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bells, "_CONFIRM_S", 0.05)
    await store._wire.change(("ACL", "SETUSER", "deaf", "on", "nopass", "~*", "resetchannels", "+@all"))
    deaf = RedisStore(dataclasses.replace(store_settings, url=store_settings.url.replace("://", "://deaf:none@")))
    await deaf.open()
    run, jobs = new_run(1)
    await store.submit(run, jobs, b"")
    async with deaf.bell(run.id) as bell:
        assert await anext(bell) == {"", jobs[0].id}
    await deaf.close()
    await store._wire.change(("ACL", "DELUSER", "deaf"))


async def test_output_rings_with_its_job_and_an_event_with_nothing(store: RedisStore) -> None:
    epoch = await store.begin_epoch()
    run, jobs = new_run(2)
    await store.submit(run, jobs, b"")
    async with store.bell(run.id) as bell:
        await quiet(store, run.id, bell)
        await store.append_output(jobs[1].id, "stdout", 0, b"x", epoch=epoch)
        assert await anext(bell) == {jobs[1].id}
        await store.assign([jobs[0].id], dispatcher="main", epoch=epoch, now=1.0)
        assert await anext(bell) == {""}
        await store.set_link(jobs[0].id, "unknown", since=1.0)
        assert await anext(bell) == {""}
        said = {"fields": {"progress": 5}, "notes": []}
        await store.report(jobs[0].id, 1, start=0, end=1, epoch=epoch, now=1.0, **said)
        assert await anext(bell) == {""}
        await store.retry(jobs[0].id, 1, epoch=epoch, now=1.0, at=1.0, fields={})
        assert await anext(bell) == {""}


async def test_rings_that_come_while_nobody_listens_are_one_item(store: RedisStore) -> None:
    epoch = await store.begin_epoch()
    run, jobs = new_run(3)
    await store.submit(run, jobs, b"")
    async with store.bell(run.id) as bell, store.bell(run.id) as late:
        await quiet(store, run.id, bell)
        for at in range(200):
            await store.append_output(jobs[0].id, "stdout", at, b"x", epoch=epoch)
        await store.append_output(jobs[2].id, "stdout", 0, b"x", epoch=epoch)
        heard: set[str] = set()
        while jobs[2].id not in heard:
            heard |= await anext(bell)
        assert heard == {jobs[0].id, jobs[2].id}
        assert await anext(late) - {"marker"} == {"", *(job.id for job in jobs)}, "two hundred rings are one item"


async def test_a_bell_hears_only_its_own_run(store: RedisStore) -> None:
    (one, [job]), (other, [other_job]) = new_run(1), new_run(1)
    epoch = await store.begin_epoch()
    await store.submit(one, [job], b"")
    await store.submit(other, [other_job], b"")
    async with store.bell(one.id) as bell, store.bell(other.id) as other_bell:
        await quiet(store, one.id, bell)
        await quiet(store, other.id, other_bell)
        await store.append_output(other_job.id, "stdout", 0, b"x", epoch=epoch)
        assert await anext(other_bell) == {other_job.id}
        await store.append_output(job.id, "stdout", 0, b"x", epoch=epoch)
        assert await anext(bell) == {job.id}


async def test_one_connection_serves_all_and_nothing_is_left_when_they_are_gone(store: RedisStore) -> None:
    runs = [new_run(1) for _ in range(20)]
    for run, jobs in runs:
        await store.submit(run, jobs, b"")
    async with asyncio.TaskGroup() as group:
        done = asyncio.Event()
        heard = [asyncio.Event() for _ in runs]

        async def watch(run: str, ready: asyncio.Event) -> None:
            async with store.bell(run) as bell:
                await quiet(store, run, bell)
                ready.set()
                await done.wait()

        for (run, _), ready in zip(runs, heard, strict=True):
            group.create_task(watch(run.id, ready))
        for ready in heard:
            await ready.wait()
        [listed] = await store._wire.ask(("CLIENT", "LIST", "TYPE", "pubsub"))
        ours = [line for line in listed.splitlines() if b"sub=21 " in line]
        assert len(ours) == 1, "twenty bells and the channel that keeps the connection"
        done.set()
    while await clients(store) > 1:
        await asyncio.sleep(0.01)


async def test_news_during_a_lost_connection_are_not_missed(store: RedisStore) -> None:
    epoch = await store.begin_epoch()
    run, jobs = new_run(2)
    await store.submit(run, jobs, b"")
    async with store.bell(run.id) as bell:
        await quiet(store, run.id, bell)
        connection = store._bells._connection
        assert connection is not None
        await connection.disconnect(nowait=True)
        await store.append_output(jobs[0].id, "stdout", 0, b"x", epoch=epoch)
        assert await anext(bell) == {"", *(job.id for job in jobs)}
        await store.append_output(jobs[1].id, "stdout", 0, b"x", epoch=epoch)
        assert await anext(bell) == {jobs[1].id}


async def test_a_watcher_that_hears_nothing_looks_again_by_itself(store: RedisStore, monkeypatch) -> None:
    monkeypatch.setattr(bells, "REFRESH_S", 0.05)
    run, jobs = new_run(1)
    await store.submit(run, jobs, b"")
    async with store.bell(run.id) as bell:
        for _ in range(4):
            assert await anext(bell) == {"", jobs[0].id}


async def test_a_watcher_that_is_cancelled_leaves_the_others_listening(store: RedisStore) -> None:
    epoch = await store.begin_epoch()
    run, [job] = new_run(1)
    await store.submit(run, [job], b"")

    async def watch() -> None:
        async with store.bell(run.id) as bell:
            async for _ in bell:
                pass

    async with store.bell(run.id) as bell:
        await quiet(store, run.id, bell)
        for _ in range(10):
            task = asyncio.create_task(watch())
            await asyncio.sleep(0.001)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        await store.apply(job.id, 1, Event.EXPIRED, epoch=epoch, now=1.0, fields={})
        assert await anext(bell) == {""}
