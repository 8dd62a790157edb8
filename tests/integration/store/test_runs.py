"""Runs: submitted once, found again, summed up."""

import asyncio
import time

import msgspec
import pytest

from jobs.lifecycle import Event, State
from orchestrator.store.connection import StoreSettings
from orchestrator.store.interface import StoreUnavailableError
from orchestrator.store.redis_store import RedisStore
from tests.fixtures.redis import new_id, new_run


async def test_what_was_submitted_is_read_back(store: RedisStore) -> None:
    run, jobs = new_run(3)
    assert await store.submit(run, jobs, b"script and stdin") is True
    assert await store.run_spec(run.id) == run
    assert await store.job_specs(run.id) == jobs
    assert await store.job_spec(jobs[1].id) == jobs[1]
    assert await store.inputs(run.id) == b"script and stdin"
    record = await store.run(run.id, with_jobs=True)
    assert record is not None
    assert (record.kind, record.state, record.counts, record.total) == ("jobset", "queued", {State.QUEUED: 3}, 3)
    assert [(job.id, job.index, job.node, job.state) for job in record.jobs or ()] == [
        (job.id, job.index, job.node, State.QUEUED) for job in jobs
    ]


async def test_all_that_a_job_type_adds_is_read_back(store: RedisStore) -> None:
    run, jobs = new_run(1)
    text = "two\nlines \x00 é"
    full = msgspec.structs.replace(
        run,
        type="backup",
        params={"text": text, "zero": 0, "empty": "", "none": None, "list": [1, "2"]},
        sealed="v1:0a1b2c",
        props={"cost": {"centre": 7}},
        action={"kind": "command", "argv": ["backup", "{{ text }}"]},
        files={"a.tar": 3, "b.tar": 0},
        script_size=2,
        nice=10,
        rlimits={"nofile": (1024, None), "core": (0, 0)},
        inactivity_s=60.0,
        start_timeout_s=5.5,
        success_codes=(0, 3),
        on_output_limit="kill",
        leftovers="leave",
        retry={"count": 2, "on": ["failed"]},
        redact=("pass.*",),
        rerun_of=new_id(),
    )
    await store.submit(full, jobs, b"#!abc")
    assert await store.run_spec(run.id) == full
    assert await store.inputs(run.id) == b"#!abc", "script, then the files"
    for record in (await store.run(run.id, with_jobs=True), *await store.runs(active=True, limit=1, before=None)):
        assert record is not None
        assert (record.type, record.params, record.props, record.rerun_of) == (
            *("backup", full.params),
            *(full.props, full.rerun_of),
        )
        assert b"0a1b2c" not in msgspec.json.encode(record), "a record shows no secret, not even sealed"


async def test_a_run_of_before_there_were_job_types_is_still_read(store: RedisStore) -> None:
    run, jobs = new_run(1)
    await store.submit(run, jobs, b"")
    new = {"params", "sealed", "props", "action", "files", "nice", "rlimits", "inactivity_s", "start_timeout_s"}
    new |= {"success_codes", "on_output_limit", "leftovers", "retry", "redact", "rerun_of"}
    old = {name: value for name, value in msgspec.to_builtins(run).items() if name not in new}
    await store._wire.change(("HSET", store._keys.run(run.id), "spec", msgspec.json.encode(old)))
    assert await store.run_spec(run.id) == run
    record = await store.run(run.id, with_jobs=False)
    assert record is not None
    assert (record.params, record.progress) == ({}, None)


async def test_a_run_submitted_twice_is_one_run(store: RedisStore) -> None:
    run, jobs = new_run(2)
    assert await asyncio.gather(*(store.submit(run, jobs, b"") for _ in range(5))) == [True, False, False, False, False]
    assert len(await store.live_jobs()) == 2
    assert [entry.kind for entry in await store.control("0", block_s=0)] == ["submitted"]
    assert (await store.stats())["queued"] == 2


async def test_an_unknown_run_is_none_and_not_an_error(store: RedisStore) -> None:
    run = new_id()
    assert await store.run(run, with_jobs=True) is None
    assert await store.run_spec(run) is None
    assert await store.job(run) is None
    assert await store.job_spec(run) is None
    assert await store.job_specs(run) == []
    assert await store.inputs(run) == b""
    assert await store.events(run, "0") == []
    assert (await store.output(run, "stdout", 0, limit=10)).size == 0


async def test_runs_are_listed_newest_first_page_by_page(store: RedisStore) -> None:
    ids = []
    for second in range(7):
        run, jobs = new_run(1, at=1_700_000_000.0 + second)
        await store.submit(run, jobs, b"")
        ids.append(run.id)
    newest = ids[::-1]
    first = await store.runs(active=False, limit=3, before=None)
    second = await store.runs(active=False, limit=10, before=first[-1].id)
    assert [run.id for run in first] == newest[:3]
    assert [run.id for run in second] == newest[3:]
    await store.request_cancel([ids[2]], by="root", grace_s=None, now=5.0)
    assert [run.id for run in await store.runs(active=True, limit=10, before=None)] == [
        i for i in newest if i != ids[2]
    ]


async def test_a_run_is_found_by_its_beginning_and_by_its_end_in_any_case(store: RedisStore) -> None:
    ids = [f"01JD{number:06d}ABCDEFGHJK{end}" for number, end in enumerate(["XXXXYZ", "XXXXYY", "WWWWYZ"])]
    for one in ids:
        run, jobs = new_run(1, run=one)
        await store.submit(run, jobs, b"")
    assert await store.resolve("01jd") == ids[::-1]
    assert await store.resolve("xxyz") == [ids[0]]
    assert await store.resolve("YZ") == [ids[2], ids[0]]
    assert await store.resolve(ids[1]) == [ids[1]]
    assert await store.resolve("ABCD") == []
    assert await store.resolve("*") == []


async def test_at_most_ten_runs_answer_to_a_beginning(store: RedisStore) -> None:
    ids = sorted(new_id(1_700_000_000.0 + second) for second in range(12))
    for one in ids:
        run, jobs = new_run(1, run=one)
        await store.submit(run, jobs, b"")
    assert await store.resolve(ids[0][:4]) == ids[::-1][:10]


async def test_a_summary_of_ten_times_the_jobs_costs_no_more_than_linearly_more(store: RedisStore) -> None:
    """Counted in commands, which does not depend on how busy the machine is."""
    costs = []
    for total in (100, 1_000):
        run, jobs = new_run(total)
        await store.submit(run, jobs, b"")
        await store.run(run.id, with_jobs=True)
        before = await _commands(store)
        record = await store.run(run.id, with_jobs=True)
        assert record is not None
        assert len(record.jobs or ()) == total
        costs.append(await _commands(store) - before)
        before = await _commands(store)
        await store.run(run.id, with_jobs=False)
        assert await _commands(store) - before <= 3
    assert costs[1] <= 10 * costs[0]


async def _commands(store: RedisStore) -> int:
    [info] = await store._wire.ask(("INFO", "stats"))
    return int(info.split(b"total_commands_processed:")[1].split()[0])


async def test_a_thousand_jobs_are_summed_up_in_the_runs_own_counts(store: RedisStore) -> None:
    run, jobs = new_run(1_000)
    epoch = await store.begin_epoch()
    await store.submit(run, jobs, b"")
    ids = [job.id for job in jobs]
    assert await store.assign(ids, dispatcher="main", epoch=epoch, now=1.0) == ids
    await asyncio.gather(*(store.apply(one, 1, Event.STARTED, epoch=epoch, now=2.0, fields={}) for one in ids))
    await asyncio.gather(
        *(
            store.apply(one, 1, Event.FAILED if index % 10 == 0 else Event.SUCCEEDED, epoch=epoch, now=3.0, fields={})
            for index, one in enumerate(ids)
        )
    )
    record = await store.run(run.id, with_jobs=False)
    assert record is not None
    assert record.counts == {State.SUCCEEDED: 900, State.FAILED: 100}
    assert (record.state, record.ended, record.jobs) == ("failed", 3.0, None)
    assert await store.live_jobs() == []


@pytest.mark.parametrize("name", ["runs", "control", "live", "totals", "sequence"])
async def test_a_foreign_value_in_a_key_is_named_and_nothing_is_half_done(store: RedisStore, name: str) -> None:
    key = store._keys.control(name)
    await store._wire.change(("RPUSH", key, "foreign"))
    run, jobs = new_run(2)
    with pytest.raises(StoreUnavailableError, match=rf"{name} holds a list.*redis\.prefix"):
        await store.submit(run, jobs, b"x")
    assert await store.run(run.id, with_jobs=True) is None
    await store._wire.change(("DEL", key))
    assert await store.submit(run, jobs, b"x") is True


async def test_a_foreign_value_stops_one_job_and_not_the_others(store: RedisStore) -> None:
    epoch = await store.begin_epoch()
    (bad, [bad_job]), (good, [good_job]) = new_run(1), new_run(1)
    await store.submit(bad, [bad_job], b"")
    await store.submit(good, [good_job], b"")
    await store._wire.change(("SET", store._keys.events(bad.id), "foreign"))
    results = await asyncio.gather(
        *(store.assign([job], dispatcher="main", epoch=epoch, now=time.time()) for job in (bad_job.id, good_job.id)),
        return_exceptions=True,
    )
    assert isinstance(results[0], StoreUnavailableError)
    assert results[1] == [good_job.id]
    assert [live.state for live in await store.live_jobs()] == [State.QUEUED, State.DISPATCHING]


async def test_two_installations_on_one_redis_do_not_see_each_other(
    store: RedisStore, store_settings: StoreSettings
) -> None:
    other = RedisStore(StoreSettings(url=store_settings.url, archive_dir=store_settings.archive_dir, prefix="other"))
    await other.open()
    run, jobs = new_run(1)
    await store.submit(run, jobs, b"")
    assert await other.runs(active=False, limit=10, before=None) == []
    assert await other.cluster() != await store.cluster()
    await other.close()


async def test_the_cluster_id_stays(store: RedisStore, store_settings: StoreSettings) -> None:
    again = RedisStore(store_settings)
    await again.open()
    assert await again.cluster() == await store.cluster()
    await again.close()
