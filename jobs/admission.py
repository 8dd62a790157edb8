"""Which waiting jobs may start now. Pure: it is told what happened and answers with job ids.

Each job needs two things: a slot on its node (`max_jobs` of the node) and a place in its run (`fanout`). A job that
lacks one waits in the queue of the thing that it lacks, so that an end wakes exactly the jobs it can help: the cost of
an admission does not depend on how many others wait.
"""

import heapq
from collections import defaultdict, deque
from collections.abc import Iterable
from typing import NamedTuple


class Waiting(NamedTuple):
    """What admission needs to know of a job."""

    job: str
    run: str
    node: str
    max_jobs: int | None  #: of the node; None = no limit
    fanout: int | None  #: of the run; None = no limit
    created: float  #: Unix seconds


class Admission:
    """The queue of a controller, in the order of submission."""

    def __init__(self) -> None:
        self._ready: deque[Waiting] = deque()
        self._by_node: defaultdict[str, deque[Waiting]] = defaultdict(deque)
        self._by_run: defaultdict[str, deque[Waiting]] = defaultdict(deque)
        self._on_node: defaultdict[str, int] = defaultdict(int)
        self._in_run: defaultdict[str, int] = defaultdict(int)
        self._started: dict[str, Waiting] = {}
        self._waiting: dict[str, Waiting] = {}
        self._later: list[tuple[float, str]] = []  #: heap: when a job may be admitted at the earliest

    def submitted(self, jobs: Iterable[Waiting]) -> None:
        """Queue jobs; one that is known already is ignored."""
        for job in jobs:
            if job.job not in self._waiting and job.job not in self._started:
                self._waiting[job.job] = job
                self._ready.append(job)

    def postponed(self, job: Waiting, at: float) -> None:
        """Queue a job that may not start before that time; what its last attempt held is given back."""
        self.ended(job.job)
        self._waiting[job.job] = job
        heapq.heappush(self._later, (at, job.job))

    @property
    def next_at(self) -> float | None:
        """When the next postponed job is due; None = none waits for its time."""
        return self._later[0][0] if self._later else None

    def running(self, job: Waiting) -> None:
        """Take over a job that was started before this controller began."""
        if job.job not in self._started:
            self._waiting.pop(job.job, None)
            self._take(job)

    def ended(self, job: str) -> None:
        """Give back what a job held; a job that was still waiting (cancelled, expired) leaves the queue."""
        self._waiting.pop(job, None)
        held = self._started.pop(job, None)
        if held is None:
            return
        self._give(self._on_node, held.node)
        self._give(self._in_run, held.run)
        self._wake(self._by_node, held.node)
        self._wake(self._by_run, held.run)

    def admit(self, now: float) -> list[str]:
        """Return the jobs that may start now, oldest first, and count them as started."""
        while self._later and self._later[0][0] <= now:
            job_id = heapq.heappop(self._later)[1]
            if job_id in self._waiting:
                self._ready.append(self._waiting[job_id])
        admitted: list[str] = []
        while self._ready:
            job = self._ready.popleft()
            if job.job not in self._waiting:
                continue
            if job.fanout is not None and self._in_run[job.run] >= job.fanout:
                self._by_run[job.run].append(job)
                if self._has_slot(job):
                    self._wake(self._by_node, job.node)
            elif not self._has_slot(job):
                self._by_node[job.node].append(job)
                self._wake(self._by_run, job.run)
            else:
                del self._waiting[job.job]
                self._take(job)
                admitted.append(job.job)
        return admitted

    def overdue(self, before: float) -> list[str]:
        """Return the waiting jobs that were created before that time."""
        overdue: list[str] = []
        for job in self._waiting.values():  # in the order of submission
            if job.created >= before:
                break
            overdue.append(job.job)
        return overdue

    def known(self, job: str) -> Waiting | None:
        """Return a job that waits or has started."""
        return self._waiting.get(job) or self._started.get(job)

    @property
    def waiting(self) -> int:
        """How many jobs wait."""
        return len(self._waiting)

    def reason(self, job: str) -> str | None:
        """Return what a waiting job waits for: `node_busy`, `fanout`, or None if it does not wait."""
        held = self._waiting.get(job)
        if held is None:
            return None
        if any(job == later for _, later in self._later):
            return "retry_delay"
        if held.fanout is not None and self._in_run[held.run] >= held.fanout:
            return "fanout"
        return "node_busy" if not self._has_slot(held) else None

    def _has_slot(self, job: Waiting) -> bool:
        return job.max_jobs is None or self._on_node[job.node] < job.max_jobs

    def _take(self, job: Waiting) -> None:
        self._started[job.job] = job
        self._on_node[job.node] += 1
        self._in_run[job.run] += 1

    @staticmethod
    def _give(counts: defaultdict[str, int], key: str) -> None:
        counts[key] -= 1
        if not counts[key]:
            del counts[key]

    def _wake(self, queues: defaultdict[str, deque[Waiting]], key: str) -> None:
        queue = queues.get(key)
        while queue:
            job = queue.popleft()
            if job.job in self._waiting:
                self._ready.append(job)
                break
        if not queue:
            queues.pop(key, None)
