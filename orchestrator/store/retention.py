"""What is forgotten, and when: records some time after their run ended, output sooner."""

import datetime
from typing import Final

from orchestrator.store.keys import run_of
from orchestrator.store.redis_output import OutputStore
from orchestrator.store.wire import Wire

_PAGE: Final = 100


async def prune(wire: Wire, output: OutputStore, *, now: float) -> int:
    """See `Store.prune`."""
    await _prune_output(wire, output, now - wire.settings.keep_output_s)
    gone = 0
    while True:
        done = wire.keys.control("done")
        [members] = await wire.ask(
            ("ZRANGEBYSCORE", done, "-inf", f"({now - wire.settings.keep_records_s}", "LIMIT", 0, _PAGE)
        )
        for run in (member.decode() for member in members):
            await _forget_run(wire, output, run)
            gone += 1
        if len(members) < _PAGE:
            return gone


async def _forget_run(wire: Wire, output: OutputStore, run: str) -> None:
    """Remove a run; its record goes last, so that a prune that was cut short finds it again."""
    keys = wire.keys
    [members] = await wire.ask(("LRANGE", keys.jobs(run), 0, -1))
    jobs = [member.decode() for member in members]
    await output.forget(run, jobs)
    shared = ("runs", "ends", "done", "unarchived")
    await wire.change(
        wire.script(
            "prune_run",
            [
                keys.run(run),
                keys.jobs(run),
                keys.inputs(run),
                keys.events(run),
                *(keys.control(name) for name in shared),
                *(keys.job(job) for job in jobs),
            ],
            [run, run[::-1], *jobs],
        )
    )


async def _prune_output(wire: Wire, output: OutputStore, before: float) -> None:
    """Remove archived output of jobs that ended before that time; a job that still runs may be older than that."""
    ids = await output.expired(
        datetime.datetime.fromtimestamp(before, datetime.UTC).date() + datetime.timedelta(days=1)
    )
    for start in range(0, len(ids), _PAGE):
        page = ids[start : start + _PAGE]
        ends = await wire.ask(
            *(("HGET", wire.keys.job(one), "ended") for one in page),
            *(("HMGET", wire.keys.run(run_of(one)), "spec", "ended") for one in page),
        )
        expired = [
            one
            for one, ended, (known, run_ended) in zip(page, ends[: len(page)], ends[len(page) :], strict=True)
            if not known or float(ended or run_ended or "inf") < before
        ]
        await output.forget_archived(expired)
