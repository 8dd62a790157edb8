"""What AnyJob keeps, one method per intent. `redis_store.py` is the engine; another one could fill the same protocol.

Every change is idempotent: it may be sent again after a lost reply (same run id, same offset, same event on a job
that is already past it). Every change of a job carries the writer's `epoch`; a lower one than the store has seen
raises `StaleEpochError`.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Literal, NamedTuple, Protocol

from jobs.lifecycle import Event, State
from jobs.records import JobRecord, JobSpec, RunRecord, RunSpec

StreamName = Literal["stdout", "stderr"]


class StoreUnavailableError(Exception):
    """Redis cannot be reached or refuses us; the message names the address (never the password) and the way out."""


class StaleEpochError(Exception):
    """A newer controller has taken over: this process must stop acting."""


class Control(NamedTuple):
    """One entry of the control stream, which the controller reads: what changed in the queue."""

    id: str  #: position in the stream
    kind: Literal["submitted", "ended", "cancelled", "retried"]
    run: str
    job: str | None  #: of all but `submitted`
    node: str | None
    retry_at: float | None = None  #: of `retried`: when the job may be assigned again


class Work(NamedTuple):
    """One entry of a dispatcher's work stream."""

    id: str
    kind: Literal["start", "cancel"]
    job: str
    attempt: int
    grace_s: float | None
    base_out: int = 0  #: of `start`: where this attempt's own byte 0 lies in the job's output
    base_err: int = 0


class Bases(NamedTuple):
    """Where an attempt's own byte 0 lies in the job's output: behind what the attempts before it wrote."""

    out: int
    err: int


class LiveJob(NamedTuple):
    """A job that has not ended, with what is needed to go on with it."""

    spec: JobSpec
    state: State
    attempt: int
    stdout_bytes: int  #: held by the store
    stderr_bytes: int
    cancel_requested: bool
    base_out: int = 0  #: where this attempt's own byte 0 lies among the bytes held
    base_err: int = 0
    report_bytes: int = 0  #: of this attempt's reports, taken in
    retry_at: float | None = None  #: while it is queued again: not before that time


class RunEvent(NamedTuple):
    """One entry of a run's event stream; `fields` is what `follow` sends (JSON types)."""

    id: str
    fields: Mapping[str, object]


class Output(NamedTuple):
    """A piece of a job's output. `offset` is where `data` begins; `next` = `offset + len(data)`."""

    offset: int
    data: bytes
    size: int  #: bytes that the store and the archive hold in all


class Store(Protocol):
    """All that is kept. Times are Unix seconds; offsets and sizes are bytes.

    While the engine is away, `assign`, `apply`, `retry`, `report`, `set_link`, `append_output` and reads that block
    wait for it: what runs on the nodes must not be forgotten. Everything else raises StoreUnavailableError after
    some seconds. Ids are ULIDs in capitals, with `-N` behind them for the members of a jobset; another one raises
    ValueError.
    """

    async def open(self) -> None:
        """Connect, load the scripts, make or read the cluster id. Raises StoreUnavailableError."""

    async def close(self) -> None:
        """Finish what is being written, then disconnect."""

    async def cluster(self) -> str:
        """Return the installation's random id, made at the first use."""

    async def begin_epoch(self) -> int:
        """Raise the epoch by one and return it: from now on lower ones are refused."""

    # --- submit and query

    async def submit(self, run: RunSpec, jobs: Sequence[JobSpec], inputs: bytes) -> bool:
        """Keep a run, its jobs and its inputs (script, then stdin) in one step; False if its id is known already."""

    async def run_spec(self, run: str) -> RunSpec | None:
        """Return what was submitted."""

    async def job_spec(self, job: str) -> JobSpec | None:
        """Return one job of what was submitted."""

    async def job_specs(self, run: str) -> list[JobSpec]:
        """Return all jobs of what was submitted, in order; none for an unknown run."""

    async def inputs(self, run: str) -> bytes:
        """Return script, stdin and files, one after the other; `RunSpec` has their sizes."""

    async def run(self, run: str, *, with_jobs: bool) -> RunRecord | None:
        """Return a run as it is now."""

    async def job(self, job: str) -> JobRecord | None:
        """Return a job as it is now."""

    async def runs(self, *, active: bool, limit: int, before: str | None) -> list[RunRecord]:
        """Return summaries, newest first, older than the run `before`."""

    async def resolve(self, text: str) -> list[str]:
        """Return the ids of runs (newest first, at most 10) that begin or end with `text`, case-insensitive."""

    # --- controller and dispatcher

    async def control(self, after: str, *, block_s: float) -> list[Control]:
        """Return what changed after that position ("0" = from the start), waiting up to `block_s` for the first."""

    async def control_position(self) -> str:
        """Return the end of the control stream: take it *before* `live_jobs`, read on from it after."""

    async def trim_control(self, before: str) -> None:
        """Forget entries up to that position."""

    async def live_jobs(self) -> list[LiveJob]:
        """Return every job that has not ended, in the order of submission."""

    async def assign(self, jobs: Sequence[str], *, dispatcher: str, epoch: int, now: float) -> list[str]:
        """Move queued jobs to `dispatching` and hand them to a dispatcher; return those that were still queued."""

    async def work(self, dispatcher: str, after: str, *, block_s: float) -> list[Work]:
        """Return the dispatcher's entries after that position, waiting up to `block_s` for the first."""

    async def trim_work(self, dispatcher: str, before: str) -> None:
        """Forget entries up to that position."""

    async def apply(  # noqa: PLR0913  one event is one row
        self, job: str, attempt: int, event: Event, *, epoch: int, now: float, fields: Mapping[str, object]
    ) -> bool:
        """Move a job along `jobs.lifecycle.TRANSITIONS`; False if it is past that already (nothing changes then).

        `fields` are columns of `JobRecord`, but not those that `report` writes. The same step counts the run's states,
        ends the run with its last job, writes the run's event, tells the controller of an end, and rings the run's
        bell. For `Event.RETRIED` there is `retry`.
        """

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
        """Put a job back into the queue for its next attempt, to be assigned at `at` or later (`Event.RETRIED`).

        Only after this attempt has ended or has provably never started, and all its output and reports have been
        taken in. `fields` tell how it ended: they stand in the event, and the job's columns begin anew, except
        `reason` and `message`, which say what it waits for. The new attempt's output goes behind the old one.

        Returns where it begins, or None when the job is past this attempt, or a person has asked to cancel it: then
        nothing has changed, and the end of this attempt is to be applied.
        """

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
        """Take in what an attempt said between two byte offsets of its report channel, and ring the run's bell.

        `fields` are the columns of `JobRecord` from `progress` to `metrics`, each replaced as a whole. `notes` become
        events of the run; each has a name in `event` that is not one of `jobs.lifecycle`, and none of the keys `job`,
        `node`, `at`, `state`. A job has one `progress` event, the last. When an attempt has told 1 MiB of others, one
        event `muted` says so, and later ones are dropped.

        Exactly once: only a piece that begins where the store stands is taken. Returns the offset where it stands
        then, from which to go on; `end` for a job that has ended or is on another attempt, where nothing changes.
        """

    async def set_link(self, job: str, link: str, *, since: float) -> None:
        """Note that a job's node cannot be reached (`unknown`), or can again (`connected`), and ring the run's bell."""

    async def append_output(self, job: str, stream: StreamName, offset: int, data: bytes, *, epoch: int) -> int:
        """Add output and ring the run's bell; return the size now held.

        Exactly once: an overlap is trimmed, a repetition ignored. A gap changes nothing, so the returned size
        tells from where to send again. Waits while too much of this output has not been archived yet.
        """

    async def request_cancel(
        self, jobs: Sequence[str], *, by: str, grace_s: float | None, now: float
    ) -> tuple[int, int, int]:
        """Cancel queued jobs, ask the dispatchers of the others; return (cancelled, requested, ended before)."""

    # --- watchers

    async def output(self, job: str, stream: StreamName, offset: int, *, limit: int) -> Output:
        """Return output from `offset`: at least one byte if there is any, about `limit` at most; Redis or archive."""

    async def events(self, run: str, after: str) -> list[RunEvent]:
        """Return the run's events after that id ("0" = all)."""

    def bell(self, run: str) -> AbstractAsyncContextManager[AsyncIterator[frozenset[str]]]:
        """Watch a run: each item is the set of job ids (and `""` for an event) with news since the last one.

        The first item comes at once; after a lost connection to Redis an item with every job comes. One Redis
        connection serves all bells of the process.
        """

    # --- upkeep

    async def archive(self, *, now: float) -> None:
        """Move output to compressed files: of jobs that ended a while ago, and the old part of long outputs.

        What hinders it (a full disk, Redis away) is logged; the next call goes on from there. So it is with `prune`.
        """

    async def prune(self, *, now: float) -> int:
        """Remove runs and output that are older than the retention settings; return how many runs went."""

    async def stats(self) -> dict[str, object]:
        """Return figures for people: memory, server kind and version, queue length, active runs."""
