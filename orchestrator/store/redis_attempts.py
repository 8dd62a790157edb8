"""What belongs to one attempt of a job: what it says on its report channel, and that another one follows it."""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from jobs.lifecycle import Event, State, sources
from orchestrator.store.interface import Bases
from orchestrator.store.keys import run_of
from orchestrator.store.redis_queue import Queue
from orchestrator.store.rows import OF_ATTEMPT, REPORTED, columns, note, reported
from orchestrator.store.wire import Wire

NOTED: Final = 1 << 20  #: bytes of what an attempt may tell the watchers beside its progress; Redis keeps it in memory
_MUTED: Final = f"this attempt has told more than {NOTED >> 20} MiB: what it logs from here on is not kept"


class Attempts:
    """See `Store`, whose methods these are."""

    def __init__(self, wire: Wire, queue: Queue) -> None:
        self._wire = wire
        self._keys = wire.keys
        self._queue = queue

    async def retry(  # noqa: PLR0913  one event is one row
        self,
        job: str,
        attempt: int,
        *,
        epoch: int,
        now: float,
        at: float,
        fields: Mapping[str, object],
        reason: str | None = None,
        message: str | None = None,
    ) -> Bases | None:
        """See `Store.retry`."""
        columns(fields)  # the event shall tell nothing that the end of a job could not
        allowed = sources(Event.RETRIED)
        # Output has a hash tag of its own. An older controller's late bytes would be taken for the new attempt's.
        fence = self._wire.script("fence_output", [self._keys.meta(job)], [epoch])
        [(out, err)] = await self._wire.insist(fence)
        told = note(
            job, Event.RETRIED, now, fields, **{**fields, "state": State.QUEUED, "attempt": attempt, "retry_at": at}
        )
        command = self._wire.script(
            "retry",
            self._keys.moving(job),
            [
                *(epoch, job, run_of(job), self._queue.operation(), attempt, at, told, self._keys.bell(run_of(job))),
                *(out, err, len(allowed), *allowed, len(OF_ATTEMPT), *OF_ATTEMPT),
                *columns({"reason": reason, "message": message}),
            ],
        )
        [moved] = await self._wire.insist(command)
        return Bases(out, err) if moved else None

    async def report(  # noqa: PLR0913  one piece of the report channel is one row
        self,
        job: str,
        attempt: int,
        *,
        start: int,
        end: int,
        epoch: int,
        now: float,
        fields: Mapping[str, object],
        notes: Sequence[Mapping[str, object]],
    ) -> int:
        """See `Store.report`."""
        progress = [reported(job, now, told) for told in notes if told.get("event") == "progress"]
        others = [reported(job, now, told) for told in notes if told.get("event") != "progress"]
        command = self._wire.script(
            "report",
            self._keys.moving(job),
            [
                *(epoch, job, attempt, start, end, self._keys.bell(run_of(job)), NOTED),
                msgspec.json.encode({"job": job, "event": "muted", "at": now, "message": _MUTED}),
                progress[-1] if progress else b"",
                len(others),
                *others,
                *columns(fields, REPORTED),
            ],
        )
        [held] = await self._wire.insist(command)
        return int(held)
