import os
import subprocess

import pytest

from tests.bench.measure import (
    Clock,
    Metric,
    Series,
    TreeMemory,
    children,
    cpu_s,
    exponent,
    latencies,
    paired_ratio,
    peak_mb,
    percentile,
)


@pytest.mark.parametrize(("power", "factor"), [(1, 3.0), (2, 0.5), (0, 7.0)])
def test_the_exponent_of_a_power_is_found_whatever_its_factor(power: int, factor: float) -> None:
    assert exponent([(x, factor * x**power) for x in (16, 64, 256)]) == pytest.approx(power)


def test_p99_of_few_values_is_the_greatest() -> None:
    assert latencies([0.003, 0.001, 0.002]) == {Metric.P50: 2.0, Metric.P99: 3.0}


def test_a_percentile_is_one_of_the_values() -> None:
    assert percentile(range(1, 101), 0.99) == 99


def test_a_slow_repetition_of_both_does_not_change_their_ratio() -> None:
    ours = Series("ours", [{Metric.WALL: 2.0}, {Metric.WALL: 20.0}, {Metric.WALL: 2.0}])
    anchor = Series("anchor", [{Metric.WALL: 1.0}, {Metric.WALL: 10.0}, {Metric.WALL: 1.0}])
    assert paired_ratio(ours, anchor, Metric.WALL) == 2.0


def test_what_was_not_measured_has_no_ratio() -> None:
    assert paired_ratio(Series("ours", [{Metric.WALL: 2.0}]), Series("anchor", missing="no"), Metric.WALL) is None


def test_a_process_is_measured_with_its_children() -> None:
    command = ["sh", "-c", 'sh -c "while :; do :; done" & sleep 60']
    with subprocess.Popen(command, start_new_session=True) as process:
        try:
            with TreeMemory(process.pid) as memory:
                while len(children(process.pid)) < 2 or not any(cpu_s(pid) for pid in children(process.pid)):
                    pass
            assert memory.peak_mb > peak_mb(process.pid)
        finally:
            os.killpg(process.pid, 9)


def test_the_clock_counts_what_others_use() -> None:
    with subprocess.Popen(["sh", "-c", "while :; do :; done"]) as process:
        try:
            with Clock([process.pid]) as alone:
                while cpu_s(process.pid) < 0.05:
                    pass
            assert alone.cpu >= 0.05
        finally:
            process.kill()
