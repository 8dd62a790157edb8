"""Runs and jobs: what was submitted, and how far it is."""

from collections.abc import Sequence
from typing import Final

import msgspec

from jobs.records import JobRecord, JobSpec, RunRecord, RunSpec
from orchestrator.store.keys import check_id, run_of
from orchestrator.store.pipeline import Reply
from orchestrator.store.rows import JOB_COLUMNS, RUN_COLUMNS, job_record, run_record
from orchestrator.store.wire import Wire

_PAGE: Final = 1_000
_RESOLVED: Final = 10


class Runs:
    """See `Store`, whose methods these are."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._keys = wire.keys

    async def submit(self, run: RunSpec, jobs: Sequence[JobSpec], inputs: bytes, *, operation: str) -> bool:
        """See `Store.submit`."""
        shared = ("runs", "ends", "active", "live", "sequence", "control", "totals")
        command = self._wire.script(
            "submit",
            [
                self._keys.run(run.id),
                self._keys.jobs(run.id),
                self._keys.inputs(run.id),
                *(self._keys.control(name) for name in shared),
                *(self._keys.job(job.id) for job in jobs),
            ],
            [
                run.id,
                run.id[::-1],
                operation,
                run.created,
                msgspec.json.encode(run),
                inputs,
                *(part for job in jobs for part in (job.id, job.node, job.index, msgspec.json.encode(job))),
            ],
        )
        [made] = await self._wire.change(command)
        return bool(made)

    async def run_spec(self, run: str) -> RunSpec | None:
        """See `Store.run_spec`."""
        [text] = await self._wire.ask(("HGET", self._keys.run(run), "spec"))
        return None if text is None else msgspec.json.decode(text, type=RunSpec)

    async def job_spec(self, job: str) -> JobSpec | None:
        """See `Store.job_spec`."""
        [text] = await self._wire.ask(("HGET", self._keys.job(job), "spec"))
        return None if text is None else msgspec.json.decode(text, type=JobSpec)

    async def job_specs(self, run: str) -> list[JobSpec]:
        """See `Store.job_specs`."""
        [ids] = await self._wire.ask(("LRANGE", self._keys.jobs(run), 0, -1))
        found: list[JobSpec] = []
        for start in range(0, len(ids), _PAGE):
            jobs = [one.decode() for one in ids[start : start + _PAGE]]
            texts = await self._wire.ask(*(("HGET", self._keys.job(job), "spec") for job in jobs))
            found += [msgspec.json.decode(text, type=JobSpec) for text in texts if text]
        return found

    async def run(self, run: str, *, with_jobs: bool) -> RunRecord | None:
        """See `Store.run`."""
        if not with_jobs:
            [row] = await self._wire.ask(("HMGET", self._keys.run(run), *RUN_COLUMNS))
            return run_record(row, None)
        row, ids = await self._wire.ask(
            ("HMGET", self._keys.run(run), *RUN_COLUMNS), ("LRANGE", self._keys.jobs(run), 0, -1)
        )
        jobs: list[JobRecord] = []
        for start in range(0, len(ids), _PAGE):
            jobs += await self._jobs([one.decode() for one in ids[start : start + _PAGE]])
        return run_record(row, tuple(jobs))

    async def job(self, job: str) -> JobRecord | None:
        """See `Store.job`."""
        return next(iter(await self._jobs([job])), None)

    async def runs(self, *, active: bool, limit: int, before: str | None) -> list[RunRecord]:
        """See `Store.runs`."""
        key = self._keys.control("active" if active else "runs")
        newest = "+" if before is None else f"({check_id(before)}"
        [ids] = await self._wire.ask(("ZREVRANGEBYLEX", key, newest, "-", "LIMIT", 0, limit))
        rows = await self._rows([one.decode() for one in ids])
        return [record for row in rows if (record := run_record(row, None))]

    async def resolve(self, text: str) -> list[str]:
        """See `Store.resolve`."""
        if not text.isalnum() or not text.isascii():
            return []
        part = text.upper()
        beginning, ending = await self._wire.ask(
            ("ZREVRANGEBYLEX", self._keys.control("runs"), f"[{part}~", f"[{part}", "LIMIT", 0, _RESOLVED),
            ("ZRANGEBYLEX", self._keys.control("ends"), f"[{part[::-1]}", f"[{part[::-1]}~"),
        )
        found = {one.decode() for one in beginning} | {one.decode()[::-1] for one in ending}
        return sorted(found, reverse=True)[:_RESOLVED]

    async def _rows(self, runs: Sequence[str]) -> list[Reply]:
        return await self._wire.ask(*(("HMGET", self._keys.run(run), *RUN_COLUMNS) for run in runs)) if runs else []

    async def _jobs(self, jobs: Sequence[str]) -> list[JobRecord]:
        rows = await self._wire.ask(
            *(("HMGET", self._keys.job(job), *JOB_COLUMNS) for job in jobs),
            *(("HMGET", self._keys.meta(job), "out", "err") for job in jobs),
        )
        found = (
            job_record(job, run_of(job), row, sizes)
            for job, row, sizes in zip(jobs, rows[: len(jobs)], rows[len(jobs) :], strict=True)
        )
        return [record for record in found if record]
