"""What is measured, and what is made of several measurements."""

import math
import os
import statistics
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final, Self

_TICK: Final = os.sysconf("SC_CLK_TCK")
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_LOOK_S: Final = 0.01


class Metric(StrEnum):
    """What a number means; its text heads the column."""

    WALL = "wall s"  #: of the whole tool, its start included
    INSIDE = "inside s"  #: without the start of an interpreter: what a process that is already there sees
    P50 = "p50 ms"
    P99 = "p99 ms"
    RATE = "MB/s"
    CPU = "client CPU s"  #: user and system time of the tool; for AnyJob command, daemon and Redis together
    RSS = "peak RSS MB"  #: of the tool's processes, added up (what they share counts for each)
    DAEMON_RSS = "daemon MB"  #: the daemon's own peak
    REDIS_RSS = "Redis MB"


Sample = Mapping[Metric, float]  #: one repetition


@dataclass(slots=True)
class Series:
    """The repetitions of one subject: what was measured each time, or why it could not be."""

    name: str
    samples: list[Sample] = field(default_factory=list)
    missing: str | None = None

    def values(self, metric: Metric) -> list[float]:
        """Return the metric's values, in order."""
        return [sample[metric] for sample in self.samples if metric in sample]


def spread(values: Sequence[float]) -> tuple[float, float, float]:
    """Return median, least and greatest."""
    return statistics.median(values), min(values), max(values)


def paired_ratio(ours: Series, anchor: Series, metric: Metric) -> float | None:
    """Return the median of the ratios within each repetition: what slows a repetition slows both."""
    pairs = list(zip(ours.values(metric), anchor.values(metric), strict=False))
    return statistics.median(mine / theirs for mine, theirs in pairs) if pairs else None


def exponent(points: Iterable[tuple[float, float]]) -> float:
    """Return b of the best y = a·x^b (least squares of the logarithms): 1 is linear, 2 quadratic."""
    logs = [(math.log(x), math.log(y)) for x, y in points]
    return statistics.linear_regression(*zip(*logs, strict=True)).slope


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that is not exceeded by this share of them."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def latencies(seconds: Sequence[float]) -> dict[Metric, float]:
    """Return p50 and p99; with fewer than a hundred values the latter is simply the greatest."""
    return {Metric.P50: percentile(seconds, 0.5) * 1e3, Metric.P99: percentile(seconds, 0.99) * 1e3}


def cpu_s(pid: int) -> float:
    """Return the CPU seconds that a process and its ended children have used (proc(5): utime to cstime)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(int(ticks) for ticks in fields[11:15]) / _TICK


def forget_peak(pid: int) -> None:
    """Let the peak of a process's memory begin anew (proc(5): clear_refs)."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def peak_mb(pid: int) -> float:
    """Return the most memory that a process has had in RAM."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise ProcessLookupError(pid)


def children(pid: int) -> list[int]:
    """Return the child processes; none of a process that has gone."""
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


class Clock:
    """Wall time and CPU time of a block: ours, and that of other processes that run all the while."""

    def __init__(self, pids: Iterable[int] = ()) -> None:
        self._pids = tuple(pids)
        self.wall = self.cpu = 0.0

    def __enter__(self) -> Self:
        self._before = time.process_time() + sum(cpu_s(pid) for pid in self._pids)
        self._began = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self.wall = time.perf_counter() - self._began
        self.cpu = time.process_time() + sum(cpu_s(pid) for pid in self._pids) - self._before


class TreeMemory:
    """Looks all the time at how much memory a process and its descendants have in RAM, for a twentieth of a core."""

    def __init__(self, pid: int) -> None:
        self.peak_mb = 0.0
        self._pid = pid
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._look, name="memory", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _look(self) -> None:
        while True:
            began = time.perf_counter()
            self.peak_mb = max(self.peak_mb, _tree_pages(self._pid) * _PAGE / (1 << 20))
            if self._end.wait(max(_LOOK_S, 20 * (time.perf_counter() - began))):
                return


def _tree_pages(pid: int) -> int:
    try:
        own = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except OSError:
        return 0
    return own + sum(_tree_pages(child) for child in children(pid))
