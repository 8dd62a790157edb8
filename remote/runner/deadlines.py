"""When a job is to be ended, why, and when it is made to. Pure: the clock is handed in."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, Optional

AGAIN_S = 2.0  # after a KILL: again, if something was forked in that moment


class Deadlines:
    """The limits of a StartSpec, and the end that was asked for. All times are of one clock, in seconds."""

    def __init__(self, spec: "Dict[str, Any]", now: float) -> None:
        """Take the spec; the job begins now."""
        self.cause: "Optional[str]" = None  #: why the job is being ended
        self._timeout_at = None if spec["timeout_s"] is None else now + spec["timeout_s"]
        self._quiet_s: "Optional[float]" = spec["inactivity_s"]
        self._heard_at = now
        self._kill_at: "Optional[float]" = None

    def hear(self, now: float) -> None:
        """Note that the job has said something."""
        self._heard_at = now

    def overdue(self, now: float) -> "Optional[str]":
        """Return the cause for which the job is to be ended now, if it is not being ended already."""
        if self.cause is None and self._timeout_at is not None and now >= self._timeout_at:
            return "timeout"
        if self.cause is None and self._quiet_s is not None and now >= self._heard_at + self._quiet_s:
            return "inactivity"
        return None

    def end(self, cause: str, grace_s: float, now: float) -> bool:
        """Have the job ended; tell whether it is the first request. A later one can only make its end come earlier."""
        kill_at = now + grace_s
        self._kill_at = kill_at if self._kill_at is None else min(self._kill_at, kill_at)
        is_first = self.cause is None
        self.cause = self.cause or cause
        return is_first

    def must_kill(self, now: float) -> bool:
        """Tell whether the job is to be killed now."""
        if self._kill_at is None or now < self._kill_at:
            return False
        self._kill_at = now + AGAIN_S
        return True

    def next(self) -> "Optional[float]":
        """Return the next moment at which one of these answers changes by itself."""
        moments = [self._kill_at]
        if self.cause is None:
            moments.append(self._timeout_at)
            moments.append(None if self._quiet_s is None else self._heard_at + self._quiet_s)
        known = [moment for moment in moments if moment is not None]
        return min(known) if known else None
