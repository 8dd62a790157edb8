"""The life of a job: its states, the events that move it, and the table of which event may follow which state.

Rule: everything that touches a transition lives in this file. `docs/reference/states.md` is generated from the table,
and the store's `apply_event` script is handed `sources(event)`, so nothing else can know a different life.

```
queued -> dispatching -> claimed -> running -> succeeded | failed | timed_out | cancelled | lost
   |          |             |
   +----------+-------------+--> start_failed | expired | cancelled

dispatching, claimed, running -> queued: for the next attempt
```

At most once stands: the next attempt has a token of its own, and `Event.RETRIED` is applied only after the attempt
before has ended on its node or has provably never started there. What is unknown is never tried again.

A terminal state is written once. That a node cannot be reached is not a state: it is `link`, beside the state.
"""

import enum
import functools
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final


class State(enum.StrEnum):
    """Where a job is now."""

    QUEUED = "queued"  #: admitted when slots and limits allow; `reason` tells what it waits for
    DISPATCHING = "dispatching"  #: START is on its way; whether it arrived is not known
    CLAIMED = "claimed"  #: the node has claimed the token durably
    RUNNING = "running"  #: the job's program runs
    SUCCEEDED = "succeeded"  #: it exited with a success code
    FAILED = "failed"  #: it exited with another code, or by a signal
    TIMED_OUT = "timed_out"  #: AnyJob ended it at its run-time limit
    CANCELLED = "cancelled"  #: somebody cancelled it
    START_FAILED = "start_failed"  #: none of its code ran; `reason` tells why
    EXPIRED = "expired"  #: it waited longer than its start limit
    LOST = "lost"  #: it is proven that the evidence of its end is gone


class Event(enum.StrEnum):
    """What happened to a job."""

    CREATED = "created"  #: it was submitted
    ASSIGNED = "assigned"  #: the controller gave it to a dispatcher
    CLAIMED = "claimed"  #: the node claimed its token
    STARTED = "started"  #: its program was started
    RETRIED = "retried"  #: its attempt ended, or never started; it goes back to the queue for the next one
    SUCCEEDED = "succeeded"  #: it ended with a success code
    FAILED = "failed"  #: it ended with another code, or by a signal
    TIMED_OUT = "timed_out"  #: it was ended at its run-time limit
    CANCELLED = "cancelled"  #: it was ended, or never started, because somebody cancelled it
    START_FAILED = "start_failed"  #: it could not be started
    EXPIRED = "expired"  #: its start limit passed while it waited
    LOST = "lost"  #: its node proved that it is gone without an outcome


_BEFORE_RUN = (State.DISPATCHING, State.CLAIMED)
_ON_NODE = (*_BEFORE_RUN, State.RUNNING)

TRANSITIONS: Final[Mapping[tuple[State, Event], State]] = MappingProxyType(
    {
        (State.QUEUED, Event.ASSIGNED): State.DISPATCHING,
        (State.DISPATCHING, Event.CLAIMED): State.CLAIMED,
        **{(state, Event.STARTED): State.RUNNING for state in _BEFORE_RUN},
        **{(state, Event.RETRIED): State.QUEUED for state in _ON_NODE},
        **{(state, Event.SUCCEEDED): State.SUCCEEDED for state in _ON_NODE},
        **{(state, Event.FAILED): State.FAILED for state in _ON_NODE},
        **{(state, Event.TIMED_OUT): State.TIMED_OUT for state in _ON_NODE},
        **{(state, Event.CANCELLED): State.CANCELLED for state in (State.QUEUED, *_ON_NODE)},
        **{(state, Event.START_FAILED): State.START_FAILED for state in (State.QUEUED, *_BEFORE_RUN)},
        (State.QUEUED, Event.EXPIRED): State.EXPIRED,
        **{(state, Event.LOST): State.LOST for state in _ON_NODE},
    }
)

TERMINAL: Final = frozenset(State) - {state for state, _ in TRANSITIONS}
ACTIVE: Final = frozenset(State) - TERMINAL


def advance(state: State, event: Event) -> State | None:
    """Return the state after `event`, or None when the event may not follow `state` (a duplicate, or too late)."""
    return TRANSITIONS.get((state, event))


@functools.cache
def sources(event: Event) -> tuple[State, ...]:
    """Return the states that `event` may follow."""
    return tuple(state for state, known in TRANSITIONS if known is event)


def target(event: Event) -> State:
    """Return the one state that `event` leads to.

    Raises:
        KeyError: for `Event.CREATED`, which begins a job instead of moving it.
    """
    for (_, known), state in TRANSITIONS.items():
        if known is event:
            return state
    raise KeyError(event)
