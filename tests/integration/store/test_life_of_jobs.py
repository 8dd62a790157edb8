"""The life of jobs in the store: assigned, moved, cancelled; whatever comes twice, late or out of order."""

import asyncio

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jobs.lifecycle import TERMINAL, TRANSITIONS, Event, State, advance
from orchestrator.store.interface import StaleEpochError
from orchestrator.store.redis_store import RedisStore
from tests.fixtures.redis import new_run, running_job

MOVES = [event for event in Event if event not in {Event.CREATED, Event.ASSIGNED, Event.RETRIED}]
on_a_real_store = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@on_a_real_store
@given(script=st.lists(st.tuples(st.integers(0, 2), st.sampled_from(MOVES)), max_size=25), at_once=st.booleans())
async def test_events_in_any_order_and_number_make_a_legal_history_whose_counts_add_up(
    store: RedisStore, script: list[tuple[int, Event]], at_once: bool
) -> None:
    epoch = await store.begin_epoch()
    run, jobs = new_run(3)
    ids = [job.id for job in jobs]
    await store.submit(run, jobs, b"")
    await store.assign(ids[:2], dispatcher="main", epoch=epoch, now=1.0)
    calls = [store.apply(ids[index], 1, event, epoch=epoch, now=2.0, fields={}) for index, event in script]
    results = await asyncio.gather(*calls) if at_once else [await call for call in calls]

    expected = [State.DISPATCHING, State.DISPATCHING, State.QUEUED]
    for (index, event), moved in zip(script, results, strict=True):
        following = advance(expected[index], event)
        assert moved is (following is not None)
        expected[index] = following or expected[index]
    record = await store.run(run.id, with_jobs=True)
    assert record is not None
    assert [job.state for job in record.jobs or ()] == expected
    assert record.counts == {state: expected.count(state) for state in set(expected)}
    assert (record.ended is not None) is (set(expected) <= TERMINAL)
    states = dict.fromkeys(ids, State.QUEUED)
    for entry in await store.events(run.id, "0"):
        job, event = str(entry.fields["job"]), Event(str(entry.fields["event"]))
        states[job] = TRANSITIONS[states[job], event]
        assert entry.fields["state"] == states[job]
    assert list(states.values()) == expected
    assert {live.spec.id for live in await store.live_jobs()} >= {
        job for job, state in states.items() if state not in TERMINAL
    }


async def test_a_job_carries_what_its_events_told(store: RedisStore) -> None:
    epoch = await store.begin_epoch()
    job = await running_job(store, epoch)
    fields = {
        "exit_code": 3,
        "reason": None,
        "message": "x\n\x1b",
        "cpu_s": 0.5,
        "max_rss": 1 << 33,
        "dropped_bytes": 7,
    }
    assert await store.apply(job, 1, Event.FAILED, epoch=epoch, now=9.5, fields=fields)
    record = await store.job(job)
    assert record is not None
    assert (record.state, record.started, record.ended, record.exit_code) == (State.FAILED, 2.0, 9.5, 3)
    assert (record.message, record.cpu_s, record.max_rss, record.dropped_bytes) == ("x\n\x1b", 0.5, 1 << 33, 7)
    last = (await store.events(job, "0"))[-1].fields
    assert last == {
        "job": job,
        "node": "n1",
        "event": "failed",
        "state": "failed",
        "at": 9.5,
        "reason": None,
        "message": "x\n\x1b",
        "exit_code": 3,
        "signal": None,
    }


async def test_events_are_read_on_from_where_one_was(store: RedisStore) -> None:
    epoch = await store.begin_epoch()
    job = await running_job(store, epoch)
    every = await store.events(job, "0")
    assert [entry.fields["event"] for entry in every] == ["assigned", "started"]
    assert await store.events(job, every[0].id) == every[1:]
    assert await store.events(job, every[1].id) == []


async def test_the_fields_of_an_event_that_comes_too_late_change_nothing(store: RedisStore) -> None:
    epoch = await store.begin_epoch()
    job = await running_job(store, epoch)
    await store.apply(job, 1, Event.SUCCEEDED, epoch=epoch, now=3.0, fields={"exit_code": 0})
    assert not await store.apply(job, 1, Event.LOST, epoch=epoch, now=4.0, fields={"exit_code": 9, "reason": "gone"})
    record = await store.job(job)
    assert record is not None
    assert (record.state, record.exit_code, record.ended, record.reason) == (State.SUCCEEDED, 0, 3.0, None)


async def test_an_event_of_another_attempt_changes_nothing(store: RedisStore) -> None:
    epoch = await store.begin_epoch()
    job = await running_job(store, epoch)
    assert not await store.apply(job, 2, Event.SUCCEEDED, epoch=epoch, now=3.0, fields={})


async def test_an_event_of_an_unknown_job_changes_nothing(store: RedisStore) -> None:
    epoch = await store.begin_epoch()
    run, [job] = new_run(1)
    assert not await store.apply(job.id, 1, Event.SUCCEEDED, epoch=epoch, now=3.0, fields={})
    assert await store.run(run.id, with_jobs=False) is None


async def test_an_older_epoch_is_refused_everywhere(store: RedisStore) -> None:
    old = await store.begin_epoch()
    job = await running_job(store, old)
    run, [queued] = new_run(1)
    await store.submit(run, [queued], b"")
    new = await store.begin_epoch()
    assert new > old
    with pytest.raises(StaleEpochError):
        await store.assign([queued.id], dispatcher="main", epoch=old, now=1.0)
    with pytest.raises(StaleEpochError):
        await store.apply(job, 1, Event.SUCCEEDED, epoch=old, now=1.0, fields={})
    with pytest.raises(StaleEpochError):
        await store.append_output(job, "stdout", 0, b"x", epoch=old)
    assert [live.state for live in await store.live_jobs()] == [State.RUNNING, State.QUEUED]


async def test_two_controllers_assign_a_job_once(store: RedisStore) -> None:
    epoch = await store.begin_epoch()
    run, jobs = new_run(50)
    await store.submit(run, jobs, b"")
    ids = [job.id for job in jobs]
    first, second = await asyncio.gather(
        store.assign(ids, dispatcher="a", epoch=epoch, now=1.0), store.assign(ids, dispatcher="b", epoch=epoch, now=1.0)
    )
    assert sorted(first + second) == sorted(ids)
    assert len(await store.work("a", "0", block_s=0)) + len(await store.work("b", "0", block_s=0)) == 50


async def test_work_waits_for_its_first_entry(store: RedisStore) -> None:
    epoch = await store.begin_epoch()
    run, [job] = new_run(1)
    await store.submit(run, [job], b"")
    waiting = asyncio.create_task(store.work("main", "0", block_s=60))
    await asyncio.sleep(0)
    await store.assign([job.id], dispatcher="main", epoch=epoch, now=1.0)
    [entry] = await waiting
    assert (entry.kind, entry.job, entry.attempt, entry.grace_s) == ("start", job.id, 1, None)
    await store.trim_work("main", entry.id)
    assert await store.work("main", "0", block_s=0) == []


async def test_a_wait_that_nothing_ends_is_empty(store: RedisStore) -> None:
    assert await store.control("0", block_s=0.05) == []
    assert await store.control_position() == "0"
    assert await store.work("main", "0", block_s=0.05) == []


async def test_a_cancelled_wait_leaves_the_next_one_its_answer(store: RedisStore) -> None:
    run, [job] = new_run(1)
    for _ in range(20):
        waiting = asyncio.create_task(store.control("0", block_s=60))
        await asyncio.sleep(0.002)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
    await store.submit(run, [job], b"")
    assert [entry.run for entry in await store.control("0", block_s=60)] == [run.id]


async def test_the_controller_is_told_of_submissions_ends_and_cancellations(store: RedisStore) -> None:
    epoch = await store.begin_epoch()
    job = await running_job(store, epoch)
    position = await store.control_position()
    await store.apply(job, 1, Event.SUCCEEDED, epoch=epoch, now=3.0, fields={})
    run, [queued] = new_run(1)
    await store.submit(run, [queued], b"")
    await store.request_cancel([queued.id], by="root", grace_s=None, now=4.0)
    entries = await store.control(position, block_s=0)
    assert [(entry.kind, entry.run, entry.job, entry.node) for entry in entries] == [
        ("ended", job, job, "n1"),
        ("submitted", run.id, None, None),
        ("cancelled", run.id, queued.id, "n1"),
    ]
    await store.trim_control(entries[1].id)
    assert await store.control("0", block_s=0) == entries[2:]


async def test_cancel_ends_what_waits_asks_for_what_runs_and_leaves_what_has_ended(store: RedisStore) -> None:
    epoch = await store.begin_epoch()
    run, jobs = new_run(3)
    queued, running, ended = (job.id for job in jobs)
    await store.submit(run, jobs, b"")
    await store.assign([running, ended], dispatcher="main", epoch=epoch, now=1.0)
    await store.apply(ended, 1, Event.SUCCEEDED, epoch=epoch, now=2.0, fields={})
    assert await store.request_cancel([queued, running, ended], by="alice", grace_s=2.5, now=3.0) == (1, 1, 1)
    record = await store.run(run.id, with_jobs=True)
    assert record is not None
    assert [job.state for job in record.jobs or ()] == [State.CANCELLED, State.DISPATCHING, State.SUCCEEDED]
    assert record.cancelled_by == "alice"
    last = (await store.work("main", "0", block_s=0))[-1]
    assert (last.kind, last.job, last.grace_s) == ("cancel", running, 2.5)
    assert [(live.spec.id, live.cancel_requested) for live in await store.live_jobs()] == [(running, True)]
    assert await store.request_cancel([queued, running, ended], by="bob", grace_s=None, now=4.0) == (0, 1, 2)


async def test_live_jobs_come_in_the_order_of_submission_with_what_is_held(store: RedisStore) -> None:
    epoch = await store.begin_epoch()
    job = await running_job(store, epoch)
    run, jobs = new_run(12, at=1_000_000_000.0)  # an older id, submitted later
    await store.submit(run, jobs, b"")
    await store.append_output(job, "stdout", 0, b"12345", epoch=epoch)
    await store.append_output(job, "stderr", 0, b"123", epoch=epoch)
    live = await store.live_jobs()
    assert [one.spec.id for one in live] == [job, *(one.id for one in jobs)]
    assert (live[0].stdout_bytes, live[0].stderr_bytes, live[0].cancel_requested) == (5, 3, False)


async def test_a_link_is_noted_once_and_not_after_the_end(store: RedisStore) -> None:
    epoch = await store.begin_epoch()
    job = await running_job(store, epoch)
    before = len(await store.events(job, "0"))
    for _ in range(3):
        await store.set_link(job, "unknown", since=5.5)
    record = await store.job(job)
    assert record is not None
    assert (record.link, record.link_since) == ("unknown", 5.5)
    [event] = (await store.events(job, "0"))[before:]
    assert (event.fields["event"], event.fields["link"], event.fields["node"]) == ("link", "unknown", "n1")
    await store.set_link(job, "connected", since=6.5)
    await store.apply(job, 1, Event.SUCCEEDED, epoch=epoch, now=7.0, fields={})
    await store.set_link(job, "unknown", since=8.0)
    record = await store.job(job)
    assert record is not None
    assert (record.link, record.link_since) == ("connected", 6.5)
