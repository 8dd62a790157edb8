from typing import Any

import pytest

from orchestrator.cli.exitcode import RcMode, exit_code
from tests.unit.orchestrator.cli.runs import job

OK = job(state="succeeded")
FAILED = job(state="failed", exit_code=7)
KILLED = job(state="failed", exit_code=None, signal=9)
UNREACHABLE = job(state="start_failed", reason="unreachable:host_key")
UNFIT = job(state="start_failed", reason="unfit:no_python")
NO_PROGRAM = job(state="start_failed", reason="no_such_program")
NOT_EXECUTABLE = job(state="start_failed", reason="not_executable")
CANCELLED = job(state="cancelled", signal=15)
TIMED_OUT = job(state="timed_out", signal=15)
EXPIRED = job(state="expired")
LOST = job(state="lost", reason="lost_supervisor")

#: docs/reference/exit-codes.md: frozen, other people's scripts depend on it
ONE = [
    (OK, 0), (FAILED, 7), (KILLED, 137), (NO_PROGRAM, 127), (NOT_EXECUTABLE, 126), (UNREACHABLE, 4),
    (CANCELLED, 5), (TIMED_OUT, 124), (UNFIT, 3), (EXPIRED, 3), (LOST, 3), (job(state="failed", exit_code=255), 255),
]  # fmt: skip
SEVERAL = [
    ([OK, OK], 0), ([OK, FAILED], 2), ([FAILED, FAILED], 3), ([OK, KILLED], 2), ([FAILED, LOST, UNFIT], 3),
    ([OK, UNREACHABLE], 4), ([FAILED, UNREACHABLE], 4), ([UNREACHABLE, UNREACHABLE], 4),
    ([OK, CANCELLED], 5), ([UNREACHABLE, CANCELLED, TIMED_OUT], 5),
    ([OK, TIMED_OUT], 124), ([FAILED, TIMED_OUT], 124), ([TIMED_OUT, UNREACHABLE], 4),
]  # fmt: skip


@pytest.mark.parametrize(("one", "code"), ONE)
def test_one_job_gives_its_own_code(one: dict[str, Any], code: int) -> None:
    assert exit_code([one]) == code


@pytest.mark.parametrize(("jobs", "code"), SEVERAL)
def test_several_jobs_give_the_code_of_the_table(jobs: list[dict[str, Any]], code: int) -> None:
    assert exit_code(jobs) == code


@pytest.mark.parametrize(
    ("jobs", "code"),
    [([OK, OK], 0), ([OK, FAILED, job(state="failed", exit_code=3)], 7), ([FAILED, KILLED], 137),
     ([FAILED, UNREACHABLE], 255), ([OK, TIMED_OUT], 124), ([FAILED], 7)],
)  # fmt: skip
def test_max_is_the_largest_code_as_clush_has_it(jobs: list[dict[str, Any]], code: int) -> None:
    assert exit_code(jobs, RcMode.MAX) == code


def test_first_is_the_code_of_the_job_that_failed_first() -> None:
    early, late = job(state="failed", exit_code=4, ended=10.0), job(state="failed", exit_code=9, ended=20.0)
    assert exit_code([OK, late, early], RcMode.FIRST) == 4
    assert exit_code([OK], RcMode.FIRST) == 0
