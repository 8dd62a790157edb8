"""The next attempt of a job: what begins anew, what goes on, and who may not begin one."""

import asyncio

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jobs.lifecycle import TERMINAL, TRANSITIONS, Event, State, advance
from jobs.records import JobRecord
from orchestrator.store.interface import Bases, StaleEpochError
from orchestrator.store.redis_store import RedisStore
from tests.fixtures.redis import new_run, running_job

on_a_real_store = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
ASKED = "asked to cancel"  #: not an event of the job until its dispatcher has done it
STEPS = [*(event for event in Event if event is not Event.CREATED), ASKED]


async def job_of(store: RedisStore, job: str) -> JobRecord:
    record = await store.job(job)
    assert record is not None
    return record


async def once_more(store: RedisStore, job: str, attempt: int, *, epoch: int) -> Bases | None:
    return await store.retry(job, attempt, epoch=epoch, now=5.0, at=9.0, fields={})


class Model:
    """A job as the table of `jobs.lifecycle` has it."""

    def __init__(self) -> None:
        self.state, self.attempt, self.asked = State.QUEUED, 1, False

    def moved(self, event: Event) -> bool:
        following = advance(self.state, event)
        if following is None or (event is Event.RETRIED and self.asked):
            return False
        self.attempt += event is Event.RETRIED
        self.state = following
        return True


async def take(store: RedisStore, job: str, attempt: int, step: Event | str, *, epoch: int) -> bool | None:
    """Do one step; None where the store's answer is about something else."""
    if step == ASKED:
        await store.request_cancel([job], by="root", grace_s=None, now=3.0)
        return None
    if step is Event.ASSIGNED:
        return bool(await store.assign([job], dispatcher="main", epoch=epoch, now=1.0))
    if step is Event.RETRIED:
        return await once_more(store, job, attempt, epoch=epoch) is not None
    return await store.apply(job, attempt, Event(step), epoch=epoch, now=2.0, fields={})


@on_a_real_store
@given(
    script=st.lists(
        st.tuples(
            st.integers(0, 1), st.sampled_from([*STEPS, *3 * [Event.ASSIGNED, Event.RETRIED]]), st.integers(0, 1)
        ),
        max_size=40,
    )
)
async def test_through_any_number_of_attempts_the_counts_add_up_and_the_history_is_legal(
    store: RedisStore, script: list[tuple[int, Event | str, int]]
) -> None:
    epoch = await store.begin_epoch()
    run, jobs = new_run(2)
    await store.submit(run, jobs, b"")
    models = [Model(), Model()]
    for index, step, behind in script:
        model, attempt = models[index], models[index].attempt - behind
        late = behind and step not in {ASKED, Event.ASSIGNED}
        answer = await take(store, jobs[index].id, attempt, step, epoch=epoch)
        if step == ASKED:
            model.asked |= model.state not in TERMINAL
            expected = model.moved(Event.CANCELLED) if model.state is State.QUEUED else None
        else:
            expected = not late and model.moved(Event(step))
        assert step == ASKED or answer is expected
        summary = await store.run(run.id, with_jobs=False)
        assert summary is not None
        states = [one.state for one in models]
        assert summary.counts == {state: states.count(state) for state in set(states)}
    record = await store.run(run.id, with_jobs=True)
    assert record is not None
    assert [(job.state, job.attempt) for job in record.jobs or ()] == [(one.state, one.attempt) for one in models]
    told = dict.fromkeys((job.id for job in jobs), State.QUEUED)
    for entry in await store.events(run.id, "0"):
        job = str(entry.fields["job"])
        told[job] = TRANSITIONS[told[job], Event(str(entry.fields["event"]))]
    assert list(told.values()) == [one.state for one in models]


async def test_an_attempt_begins_anew_and_the_event_keeps_how_the_one_before_ended(store: RedisStore) -> None:
    epoch = await store.begin_epoch()
    job = await running_job(store, epoch)
    fields = {"progress": 40.0, "stage": "copy", "note": "a", "result": 1, "data": {"b": 2}, "metrics": {"c": 3.0}}
    await store.report(job, 1, start=0, end=7, epoch=epoch, now=2.5, fields=fields, notes=[])
    await store.set_link(job, "unknown", since=2.6)
    ended = {"exit_code": 3, "reason": "exit", "message": "exit code 3", "cpu_s": 0.5, "left": (11, 12)}
    waits = {"reason": "retry", "message": "attempt 2 of 3 begins in 4 s"}
    assert await store.retry(job, 1, epoch=epoch, now=5.0, at=9.25, fields=ended, **waits) == Bases(0, 0)
    record = await job_of(store, job)
    fresh = JobRecord(
        id=job,
        run=job,
        index=1,
        node="n1",
        state=State.QUEUED,
        created=record.created,
        attempt=2,
        retry_at=9.25,
        **waits,
    )
    assert record == fresh
    last = (await store.events(job, "0"))[-1].fields
    assert last == {
        **{"job": job, "node": "n1", "event": "retried", "state": "queued", "at": 5.0, "attempt": 1, "retry_at": 9.25},
        **{"signal": None, **ended, "left": [11, 12]},
    }


async def test_what_a_job_waited_for_is_forgotten_when_it_is_assigned(store: RedisStore) -> None:
    epoch = await store.begin_epoch()
    job = await running_job(store, epoch)
    await store.retry(job, 1, epoch=epoch, now=5.0, at=9.0, fields={}, reason="retry", message="soon")
    await store.assign([job], dispatcher="main", epoch=epoch, now=9.0)
    record = await job_of(store, job)
    assert (record.state, record.attempt, record.reason, record.message, record.retry_at) == (
        *(State.DISPATCHING, 2),
        *(None, None, None),
    )


async def test_output_goes_on_behind_that_of_the_attempt_before_and_everybody_is_told_where(store: RedisStore) -> None:
    epoch = await store.begin_epoch()
    job = await running_job(store, epoch)
    await store.append_output(job, "stdout", 0, b"first", epoch=epoch)
    await store.append_output(job, "stderr", 0, b"oh", epoch=epoch)
    assert await once_more(store, job, 1, epoch=epoch) == Bases(5, 2)
    [waiting] = await store.live_jobs()
    assert (waiting.state, waiting.attempt, waiting.retry_at) == (State.QUEUED, 2, 9.0)
    await store.assign([job], dispatcher="main", epoch=epoch, now=9.0)
    work = (await store.work("main", "0", block_s=0))[-1]
    assert (work.kind, work.attempt, work.base_out, work.base_err) == ("start", 2, 5, 2)
    assert await store.append_output(job, "stdout", work.base_out, b"second", epoch=epoch) == 11
    [live] = await store.live_jobs()
    assert (live.base_out, live.base_err, live.stdout_bytes, live.stderr_bytes, live.retry_at) == (5, 2, 11, 2, None)
    assert (await store.output(job, "stdout", 0, limit=100)).data == b"firstsecond"
    assert await once_more(store, job, 2, epoch=epoch) == Bases(11, 2)


async def test_the_controller_is_told_of_the_next_attempt_and_when_it_is_due(store: RedisStore) -> None:
    epoch = await store.begin_epoch()
    job = await running_job(store, epoch)
    position = await store.control_position()
    await once_more(store, job, 1, epoch=epoch)
    [entry] = await store.control(position, block_s=0)
    assert (entry.kind, entry.run, entry.job, entry.node, entry.retry_at) == ("retried", job, job, "n1", 9.0)
    assert [run.id for run in await store.runs(active=True, limit=5, before=None)] == [job]
    assert (await store.stats())["queued"] == 1


async def test_a_job_that_somebody_wants_cancelled_is_not_tried_again(store: RedisStore) -> None:
    epoch = await store.begin_epoch()
    job = await running_job(store, epoch)
    await store.request_cancel([job], by="root", grace_s=None, now=3.0)
    assert await once_more(store, job, 1, epoch=epoch) is None
    assert await store.apply(job, 1, Event.FAILED, epoch=epoch, now=5.0, fields={"exit_code": 1})
    assert (await job_of(store, job)).attempt == 1


async def test_a_job_that_waits_for_its_next_attempt_is_cancelled_at_once(store: RedisStore) -> None:
    epoch = await store.begin_epoch()
    job = await running_job(store, epoch)
    await store.retry(job, 1, epoch=epoch, now=5.0, at=9.0, fields={}, reason="retry", message="soon")
    assert await store.request_cancel([job], by="alice", grace_s=None, now=6.0) == (1, 0, 0)
    record = await job_of(store, job)
    assert (record.state, record.reason, record.retry_at, record.ended) == (State.CANCELLED, "cancelled", None, 6.0)
    assert await store.live_jobs() == []


async def test_an_attempt_is_followed_by_one_other_however_many_ask(store: RedisStore) -> None:
    epoch = await store.begin_epoch()
    job = await running_job(store, epoch)
    answers = await asyncio.gather(*(once_more(store, job, 1, epoch=epoch) for _ in range(5)))
    assert sorted(answer is None for answer in answers) == [False, True, True, True, True]
    assert (await job_of(store, job)).attempt == 2


async def test_what_ended_is_not_tried_again(store: RedisStore) -> None:
    epoch = await store.begin_epoch()
    job = await running_job(store, epoch)
    await store.apply(job, 1, Event.SUCCEEDED, epoch=epoch, now=3.0, fields={})
    assert await once_more(store, job, 1, epoch=epoch) is None
    assert (await job_of(store, job)).state is State.SUCCEEDED


async def test_an_older_controller_can_neither_begin_an_attempt_nor_add_to_a_later_one(store: RedisStore) -> None:
    old = await store.begin_epoch()
    job = await running_job(store, old)
    await store.append_output(job, "stdout", 0, b"first", epoch=old)
    new = await store.begin_epoch()
    with pytest.raises(StaleEpochError):
        await once_more(store, job, 1, epoch=old)
    assert await once_more(store, job, 1, epoch=new) == Bases(5, 0)
    with pytest.raises(StaleEpochError):
        await store.append_output(job, "stdout", 5, b"late bytes of the first attempt", epoch=old)
    assert (await store.output(job, "stdout", 0, limit=100)).data == b"first"


async def test_late_bytes_of_an_older_controller_are_refused_by_the_output_itself(store: RedisStore) -> None:
    """The question for the epoch goes another way than the bytes: what is under way may overtake it."""
    old = await store.begin_epoch()
    job = await running_job(store, old)
    new = await store.begin_epoch()
    await once_more(store, job, 1, epoch=new)
    keys = [store._keys.meta(job), store._keys.output(job, "out")]
    late = store._wire.script("append_output", keys, [old, "out", 0, b"late", 1 << 20, store._keys.bell(job), job])
    with pytest.raises(StaleEpochError):
        await store._wire.change(late)


async def test_only_retry_makes_an_attempt_and_only_of_what_a_job_can_tell(store: RedisStore) -> None:
    epoch = await store.begin_epoch()
    job = await running_job(store, epoch)
    with pytest.raises(ValueError, match="by `retry`"):
        await store.apply(job, 1, Event.RETRIED, epoch=epoch, now=3.0, fields={})
    with pytest.raises(ValueError, match="may write: colour"):
        await store.retry(job, 1, epoch=epoch, now=3.0, at=4.0, fields={"colour": 1})
    assert (await job_of(store, job)).attempt == 1
