"""What jobs say of themselves: taken in exactly once, told to watchers, and never more than memory allows."""

import asyncio
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jobs.lifecycle import Event
from jobs.records import RunRecord
from orchestrator.store.interface import StaleEpochError
from orchestrator.store.redis_attempts import NOTED
from orchestrator.store.redis_store import RedisStore
from tests.fixtures.redis import new_id, new_run, running_job

on_a_real_store = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


async def say(store: RedisStore, job: str, start: int, end: int, *, epoch: int, attempt: int = 1, **fields: Any) -> int:
    """Report columns, and a note of each that there is a word for."""
    notes = [{"event": "log", "text": f"{start}-{end}"}]
    if "progress" in fields:
        notes.insert(0, {"event": "progress", "percent": fields["progress"]})
    return await store.report(job, attempt, start=start, end=end, epoch=epoch, now=3.0, fields=fields, notes=notes)


async def told(store: RedisStore, run: str, event: str) -> list[dict[str, Any]]:
    return [dict(entry.fields) for entry in await store.events(run, "0") if entry.fields["event"] == event]


async def summary(store: RedisStore, run: str) -> RunRecord:
    record = await store.run(run, with_jobs=False)
    assert record is not None
    return record


@on_a_real_store
@given(
    pieces=st.lists(st.tuples(st.integers(0, 12), st.integers(0, 6), st.integers(0, 10_000)), max_size=25),
    at_once=st.booleans(),
)
async def test_reports_in_any_order_and_number_are_taken_in_once(
    store: RedisStore, pieces: list[tuple[int, int, int]], at_once: bool
) -> None:
    epoch = await store.begin_epoch()
    job = await running_job(store, epoch)
    calls = [say(store, job, start, start + length, epoch=epoch, progress=part / 100) for start, length, part in pieces]
    answers = await asyncio.gather(*calls) if at_once else [await call for call in calls]
    held, taken, progress = 0, [], None
    for (start, length, part), answer in zip(pieces, answers, strict=True):
        if start == held and length:
            held += length
            taken.append(f"{start}-{held}")
            progress = part / 100
        assert answer == held
    assert [entry["text"] for entry in await told(store, job, "log")] == taken
    assert [entry["percent"] for entry in await told(store, job, "progress")] == (
        [] if progress is None else [progress]
    )
    record = await store.job(job)
    assert record is not None
    assert (record.report_bytes, record.progress) == (held, progress)
    assert (await summary(store, job)).progress == progress
    assert [live.report_bytes for live in await store.live_jobs() if live.spec.id == job] == [held]


async def test_what_a_job_says_is_on_its_record_and_among_the_events(store: RedisStore) -> None:
    epoch = await store.begin_epoch()
    job = await running_job(store, epoch)
    fields = {
        **{"progress": 12.5, "stage": "copy", "note": "a\n\x1b", "result": {"rows": [1, None]}},
        **{"data": {"k": "v"}, "metrics": {"rate": 0.1}},
    }
    notes = [{"event": "progress", "percent": 12.5, "stage": "copy"}, {"event": "result", "value": {"rows": [1, None]}}]
    assert await store.report(job, 1, start=0, end=99, epoch=epoch, now=3.5, fields=fields, notes=notes) == 99
    record = await store.job(job)
    assert record is not None
    assert {name: getattr(record, name) for name in fields} == fields
    events = [dict(entry.fields) for entry in (await store.events(job, "0"))[-2:]]
    assert sorted(events, key=lambda event: event["event"]) == [
        {"job": job, "node": "n1", "at": 3.5, "event": "progress", "percent": 12.5, "stage": "copy"},
        {"job": job, "node": "n1", "at": 3.5, "event": "result", "value": {"rows": [1, None]}},
    ]


async def test_what_a_job_said_last_stays_after_its_end_and_nothing_is_added(store: RedisStore) -> None:
    epoch = await store.begin_epoch()
    job = await running_job(store, epoch)
    await say(store, job, 0, 5, epoch=epoch, progress=80, result="half")
    await store.apply(job, 1, Event.FAILED, epoch=epoch, now=4.0, fields={"exit_code": 1})
    assert await say(store, job, 5, 9, epoch=epoch, progress=100, result="all") == 9, "nobody needs it any more"
    record = await store.job(job)
    assert record is not None
    assert (record.progress, record.result, record.report_bytes) == (80, "half", 5)
    assert len(await told(store, job, "log")) == 1


async def test_another_attempt_and_an_unknown_job_say_nothing(store: RedisStore) -> None:
    epoch = await store.begin_epoch()
    job = await running_job(store, epoch)
    assert await say(store, job, 0, 5, epoch=epoch, attempt=2, progress=80) == 5
    unknown = new_id()
    assert await say(store, unknown, 0, 5, epoch=epoch, progress=80) == 5
    assert await store.job(unknown) is None
    assert await store.events(unknown, "0") == []
    assert (await summary(store, job)).progress is None


async def test_reports_of_the_next_attempt_begin_at_their_own_byte_0(store: RedisStore) -> None:
    epoch = await store.begin_epoch()
    job = await running_job(store, epoch)
    assert await say(store, job, 0, 50, epoch=epoch, progress=80) == 50
    await store.retry(job, 1, epoch=epoch, now=4.0, at=4.0, fields={})
    assert await say(store, job, 50, 60, epoch=epoch, progress=90) == 60
    await store.assign([job], dispatcher="main", epoch=epoch, now=5.0)
    assert await say(store, job, 0, 7, epoch=epoch, attempt=2, progress=10) == 7
    assert [live.report_bytes for live in await store.live_jobs()] == [7]
    assert [entry["percent"] for entry in await told(store, job, "progress")] == [10]


async def test_the_progress_of_a_run_is_the_mean_of_its_jobs_through_ends_and_attempts(store: RedisStore) -> None:
    epoch = await store.begin_epoch()
    run, jobs = new_run(4)
    ids = [job.id for job in jobs]
    await store.submit(run, jobs, b"")
    await store.assign(ids, dispatcher="main", epoch=epoch, now=1.0)
    assert (await summary(store, run.id)).progress is None
    await say(store, ids[0], 0, 1, epoch=epoch, progress=33.33)
    await say(store, ids[1], 0, 1, epoch=epoch, progress=50.0)
    await say(store, ids[2], 0, 1, epoch=epoch, stage="none told")
    assert (await summary(store, run.id)).progress == 20.83
    await say(store, ids[0], 1, 2, epoch=epoch, progress=10.0)
    assert (await summary(store, run.id)).progress == 15.0
    await store.apply(ids[0], 1, Event.FAILED, epoch=epoch, now=2.0, fields={})
    assert (await summary(store, run.id)).progress == 37.5
    await store.retry(ids[1], 1, epoch=epoch, now=3.0, at=3.0, fields={})
    assert (await summary(store, run.id)).progress == 25.0
    await store.request_cancel([ids[1]], by="root", grace_s=None, now=4.0)
    for job in ids[2:]:
        await store.apply(job, 1, Event.SUCCEEDED, epoch=epoch, now=5.0, fields={})
    assert (await summary(store, run.id)).progress == 100.0


async def test_a_job_that_never_stops_talking_is_muted_once_and_its_columns_go_on(store: RedisStore) -> None:
    epoch = await store.begin_epoch()
    job = await running_job(store, epoch)
    line = "x" * 100_000
    for turn in range(15):
        notes = [{"event": "log", "text": line}, {"event": "progress", "percent": turn}]
        await store.report(
            job, 1, start=turn, end=turn + 1, epoch=epoch, now=3.0, fields={"progress": turn}, notes=notes
        )
    assert len(await told(store, job, "log")) == NOTED // (len(line) + 150)
    [muted] = await told(store, job, "muted")
    assert "1 MiB" in muted["message"]
    assert [entry["percent"] for entry in await told(store, job, "progress")] == [14]
    record = await store.job(job)
    assert record is not None
    assert (record.progress, record.report_bytes) == (14, 15)


async def test_who_reads_on_from_an_event_gets_the_reports_after_it(store: RedisStore) -> None:
    epoch = await store.begin_epoch()
    job = await running_job(store, epoch)
    await say(store, job, 0, 1, epoch=epoch, progress=5)
    last = (await store.events(job, "0"))[-1]
    await say(store, job, 1, 2, epoch=epoch, progress=6)
    assert [entry.fields["event"] for entry in await store.events(job, last.id)] == ["log", "progress"]


async def test_an_older_controller_reports_nothing(store: RedisStore) -> None:
    old = await store.begin_epoch()
    job = await running_job(store, old)
    await store.begin_epoch()
    with pytest.raises(StaleEpochError):
        await say(store, job, 0, 1, epoch=old, progress=5)
    assert await told(store, job, "log") == []


@pytest.mark.parametrize("name", [*Event, "link", "muted"])
async def test_a_report_cannot_pass_for_an_event_of_our_own(store: RedisStore, name: str) -> None:
    epoch = await store.begin_epoch()
    job = await running_job(store, epoch)
    with pytest.raises(ValueError, match=f"not the name of something that a job tells: {name}"):
        await store.report(job, 1, start=0, end=1, epoch=epoch, now=3.0, fields={}, notes=[{"event": name}])


@pytest.mark.parametrize("key", ["job", "node", "at", "state"])
async def test_a_report_cannot_speak_for_another_job_or_of_states(store: RedisStore, key: str) -> None:
    epoch = await store.begin_epoch()
    job = await running_job(store, epoch)
    with pytest.raises(ValueError, match=f"not a key of something that a job tells: {key}"):
        await store.report(job, 1, start=0, end=1, epoch=epoch, now=3.0, fields={}, notes=[{"event": "log", key: 1}])


@pytest.mark.parametrize("name", ["state", "exit_code", "attempt", "report_bytes", "colour"])
async def test_a_report_writes_only_columns_of_reports(store: RedisStore, name: str) -> None:
    epoch = await store.begin_epoch()
    job = await running_job(store, epoch)
    with pytest.raises(ValueError, match=f"may write: {name}"):
        await store.report(job, 1, start=0, end=1, epoch=epoch, now=3.0, fields={name: 1}, notes=[])
