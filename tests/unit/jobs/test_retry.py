"""Whether a job is tried again."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.jobtype import Retry, decode_retry, encode
from jobs.lifecycle import State
from jobs.retry import RetryDecision, decide, delay, outcome_error

POLICY = Retry(count=2, delay_s=10, backoff=3, max_delay_s=25, on=("failed", "unreachable"))


def again(policy: Retry | None, state: State, attempt: int = 1, **facts: Any) -> bool:
    return decide(policy, state=state, attempt=attempt, **facts).again


def test_it_is_tried_again_as_often_as_the_type_says_and_later_each_time() -> None:
    decisions = [decide(POLICY, state=State.FAILED, attempt=attempt) for attempt in (1, 2, 3)]
    assert [(d.again, d.after_s) for d in decisions] == [(True, 10), (True, 25), (False, 0)]
    assert decisions[0].why == "failed: attempt 2 of 3"


@pytest.mark.parametrize("state", [State.SUCCEEDED, State.CANCELLED])
def test_success_and_a_persons_cancel_are_never_tried_again(state: State) -> None:
    assert not again(Retry(count=9, on=("failed", "succeeded", "cancelled")), state)


def test_only_the_named_outcomes_are_tried_again() -> None:
    assert not again(POLICY, State.TIMED_OUT)
    assert again(POLICY, State.START_FAILED, reason="unreachable:refused")
    assert not again(POLICY, State.START_FAILED, reason="unfit:no_python")
    assert not again(Retry(count=1, on=("exit:3",)), State.FAILED, exit_code=4)
    assert again(Retry(count=1, on=("exit:3",)), State.FAILED, exit_code=3)
    assert not again(None, State.FAILED)


@pytest.mark.parametrize("word", ["", "succeeded", "cancelled", "exit:256", "exit:", "exit:-1", "Failed", "x" * 1000])
def test_an_outcome_that_is_none_is_refused(word: str) -> None:
    assert outcome_error(word)


@given(
    st.builds(
        Retry,
        count=st.integers(1, 100),
        delay_s=st.floats(0, 1e8),
        backoff=st.floats(1, 100),
        max_delay_s=st.floats(0, 1e8),
        on=st.just(("failed",)),
    ),
    st.integers(1, 10**9),
)
def test_a_delay_is_never_longer_than_the_longest_and_never_shrinks(policy: Retry, attempt: int) -> None:
    assert 0 <= delay(policy, attempt) <= delay(policy, attempt + 1) <= policy.max_delay_s
    assert isinstance(decide(policy, state=State.FAILED, attempt=attempt), RetryDecision)


def test_a_policy_travels_as_json() -> None:
    assert decode_retry(encode(POLICY)) == POLICY
