"""What members add up to."""

import pytest

from jobs.jobset import aggregate
from jobs.lifecycle import State


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ({State.QUEUED: 3}, "queued"),
        ({State.QUEUED: 2, State.SUCCEEDED: 1}, "running"),
        ({State.DISPATCHING: 1}, "running"),
        ({State.RUNNING: 1, State.FAILED: 1}, "running"),
        ({State.SUCCEEDED: 2, State.FAILED: 0}, "succeeded"),
        ({State.SUCCEEDED: 2, State.FAILED: 1}, "failed"),
        ({State.CANCELLED: 2, State.SUCCEEDED: 1}, "cancelled"),
        ({State.CANCELLED: 2, State.LOST: 1}, "failed"),
        ({State.START_FAILED: 1}, "failed"),
        ({State.EXPIRED: 1, State.SUCCEEDED: 5}, "failed"),
        ({State.TIMED_OUT: 1}, "failed"),
    ],
)
def test_the_members_states_add_up(counts: dict[State, int], expected: str) -> None:
    assert aggregate(counts) == expected
