"""Whether a job is tried again, and after how long. The decision is a value; whoever asks acts on it."""

import re
from dataclasses import dataclass
from typing import Final

from jobs.jobtype import Retry
from jobs.lifecycle import State

#: what `on` may name, beside `exit:CODE`
OUTCOMES: Final = ("failed", "timed_out", "start_failed", "unreachable", "lost", "expired")
MAX_COUNT: Final = 100
EXIT: Final = re.compile(r"exit:(?P<code>[0-9]{1,3})")


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryDecision:
    """`after_s` = seconds until the next attempt; `why` is for people."""

    again: bool
    after_s: float = 0.0
    why: str = ""


def decide(
    policy: Retry | None, *, state: State, attempt: int, reason: str | None = None, exit_code: int | None = None
) -> RetryDecision:
    """Decide for a job whose attempt has ended for certain.

    Args:
        policy: What the job type says; None = never again.
        state: How the attempt ended. Success and a person's cancel are never tried again.
        attempt: The number of the attempt that ended, from 1.
        reason: As the job has it; `unreachable:...` is what makes `start_failed` an `unreachable`.
        exit_code: Of the job's program, if it exited.
    """
    if policy is None:
        return RetryDecision(again=False, why="the job type has no retry")
    matched = sorted(_names(state, reason, exit_code) & set(policy.on))
    if not matched:
        return RetryDecision(again=False, why=f"{state} is not among {', '.join(policy.on)}")
    if attempt > policy.count:
        return RetryDecision(again=False, why=f"attempt {attempt} of {policy.count + 1} was the last")
    why = f"{matched[0]}: attempt {attempt + 1} of {policy.count + 1}"
    return RetryDecision(again=True, after_s=delay(policy, attempt), why=why)


def delay(policy: Retry, attempt: int) -> float:
    """Seconds between the end of an attempt (from 1) and the next one."""
    wait = policy.delay_s
    for _ in range(min(attempt - 1, MAX_COUNT)):
        wait *= policy.backoff
        if wait >= policy.max_delay_s:
            break
    return min(wait, policy.max_delay_s)


def outcome_error(word: str) -> str | None:
    """Say what is wrong with a word of `on`."""
    match = EXIT.fullmatch(word)
    if word in OUTCOMES or (match is not None and int(match["code"]) <= 255):
        return None
    return f"expected one of {', '.join(OUTCOMES)} or exit:CODE, found {word[:80]!a}"


def _names(state: State, reason: str | None, exit_code: int | None) -> set[str]:
    if state in {State.SUCCEEDED, State.CANCELLED}:
        return set()
    names = {str(state)}
    if state == State.START_FAILED and (reason or "").split(":")[0] == "unreachable":
        names.add("unreachable")
    if state == State.FAILED and exit_code is not None:
        names.add(f"exit:{exit_code}")
    return names
