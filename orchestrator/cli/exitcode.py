"""The exit code of `anyjob exec`, `follow` and `wait`: one function, frozen by its tests.

The table for people is `docs/reference/exit-codes.md`.
"""

import enum
from collections.abc import Mapping, Sequence
from typing import Any, Final

OK: Final = 0
TOOL_ERROR: Final = 1
USAGE: Final = 2  #: click's own
SOME_FAILED: Final = 2
ALL_FAILED: Final = 3
UNREACHABLE: Final = 4
CANCELLED: Final = 5
TIMED_OUT: Final = 124
NOT_EXECUTABLE: Final = 126
NOT_FOUND: Final = 127
SIGNALLED: Final = 128
INTERRUPTED: Final = 130
PIPE_CLOSED: Final = 141
NO_CODE: Final = 255  #: in `max` and `first`: a job that has no exit code of its own, as ssh and clush

Job = Mapping[str, Any]


class RcMode(enum.StrEnum):
    """How many jobs' ends become one number."""

    ANY = "any"  #: the table
    MAX = "max"  #: the largest exit code, as clush -S and pdsh -S
    FIRST = "first"  #: the exit code of the job that failed first


def exit_code(jobs: Sequence[Job], mode: RcMode = RcMode.ANY) -> int:
    """Return the exit code for jobs that have all ended."""
    failed = [job for job in jobs if job["state"] != "succeeded"]
    if mode is RcMode.MAX:
        return max((_own_code(job) for job in jobs), default=OK)
    if mode is RcMode.FIRST:
        first = min(failed, key=lambda job: job.get("ended") or float("inf"), default=None)
        return OK if first is None else _own_code(first)
    if len(jobs) == 1 and (code := _single(jobs[0])) is not None:
        return code
    return _summary(failed, total=len(jobs))


def _summary(failed: Sequence[Job], *, total: int) -> int:
    states = {job["state"] for job in failed}
    if not failed:
        return OK
    if "cancelled" in states:
        return CANCELLED
    if any((job.get("reason") or "").startswith("unreachable") for job in failed):
        return UNREACHABLE
    if "timed_out" in states:
        return TIMED_OUT
    return ALL_FAILED if len(failed) == total else SOME_FAILED


def _single(job: Job) -> int | None:
    """Return what a shell would have said of the one job, None where only the table has a word for it."""
    if job["state"] in ("cancelled", "timed_out"):
        return None
    if job.get("signal"):
        return SIGNALLED + int(job["signal"])
    if job.get("exit_code") is not None:
        return int(job["exit_code"])
    return {"no_such_program": NOT_FOUND, "not_executable": NOT_EXECUTABLE}.get(job.get("reason") or "")


def _own_code(job: Job) -> int:
    if job["state"] == "succeeded":
        return job.get("exit_code") or OK
    code = TIMED_OUT if job["state"] == "timed_out" else _single(job)
    return NO_CODE if code is None or code == OK else code
