"""What a jobset's members add up to."""

from collections.abc import Mapping

from jobs.lifecycle import TERMINAL, State


def aggregate(counts: Mapping[State, int]) -> str:
    """Return a run's state from the number of its jobs in each state.

    `queued` until the first job leaves the queue, `running` until the last one ends; then `succeeded` if all did,
    `cancelled` if nothing worse happened than that some were cancelled, else `failed`.
    """
    present = {state for state, number in counts.items() if number}
    if present - TERMINAL:
        return "queued" if present <= {State.QUEUED} else "running"
    if present <= {State.SUCCEEDED}:
        return "succeeded"
    if present <= {State.SUCCEEDED, State.CANCELLED}:
        return "cancelled"
    return "failed"
