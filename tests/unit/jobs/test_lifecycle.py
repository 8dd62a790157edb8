"""The table of states."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.lifecycle import ACTIVE, TERMINAL, TRANSITIONS, Event, State, advance, sources, target


def test_a_terminal_state_has_no_way_out() -> None:
    assert frozenset({"succeeded", "failed", "timed_out", "cancelled", "start_failed", "expired", "lost"}) == TERMINAL
    assert all(advance(state, event) is None for state in TERMINAL for event in Event)


def test_every_active_state_can_be_cancelled_and_can_end() -> None:
    for state in ACTIVE:
        assert advance(state, Event.CANCELLED) is State.CANCELLED


def test_every_event_but_the_first_leads_to_exactly_one_state() -> None:
    for event in set(Event) - {Event.CREATED}:
        assert {state for (_, known), state in TRANSITIONS.items() if known is event} == {target(event)}
    with pytest.raises(KeyError):
        target(Event.CREATED)


def test_only_a_job_that_may_have_run_can_be_lost() -> None:
    assert State.QUEUED not in sources(Event.LOST)


def test_a_job_that_runs_can_no_longer_fail_to_start() -> None:
    assert State.RUNNING not in sources(Event.START_FAILED)


def test_a_job_is_tried_again_only_from_where_it_may_have_reached_its_node() -> None:
    assert set(sources(Event.RETRIED)) == {State.DISPATCHING, State.CLAIMED, State.RUNNING}
    assert target(Event.RETRIED) is State.QUEUED


@given(st.lists(st.sampled_from(list(Event)), max_size=40))
def test_any_history_ends_at_most_once(events: list[Event]) -> None:
    state, ends = State.QUEUED, 0
    for event in events:
        moved = advance(state, event)
        if moved is not None:
            assert state not in TERMINAL
            state = moved
            ends += state in TERMINAL
    assert ends <= 1
