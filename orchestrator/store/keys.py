"""The name of every key, with its hash tag.

Control data (records, queue, events) is small and shares the tag `{c}`, so that one script can change several of its
keys on a cluster too. Output is big and is spread: its keys carry the job's id as the tag. `docs/reference/store.md`
lists the keys with their types and contents.
"""

import datetime
import re
from dataclasses import dataclass
from typing import Final, Literal

from orchestrator.store.interface import StreamName

Short = Literal["out", "err"]  #: a stream's name inside keys and file names
SHORT: Final[dict[StreamName, Short]] = {"stdout": "out", "stderr": "err"}

_DIGITS: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  #: Crockford's base 32
_ID: Final = re.compile(rf"[0-7][{_DIGITS}]{{25}}(-[1-9][0-9]{{0,6}})?")
_CROCKFORD: Final = {digit: value for value, digit in enumerate(_DIGITS)}


def is_id(text: str) -> bool:
    """Tell whether this is a ULID in capitals, with `-N` behind it for a member of a jobset."""
    return _ID.fullmatch(text) is not None


def check_id(text: str) -> str:
    """Return the id of a run or a job as it came; it becomes part of keys and file names.

    Raises:
        ValueError: if it is none.
    """
    if not is_id(text):
        raise ValueError(f"not the id of a run or a job: {text[:60]!r}")
    return text


def run_of(job: str) -> str:
    """Return the run that a job belongs to: the id is `RUN`, or `RUN-N` in a jobset."""
    return check_id(job)[:26]


def day_of(identity: str) -> datetime.date:
    """Return the day (UTC) on which a ULID was made: its first ten digits are milliseconds of Unix time."""
    value = 0
    for digit in check_id(identity)[:10]:
        value = value * 32 + _CROCKFORD[digit]
    return (datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC) + datetime.timedelta(milliseconds=value)).date()


@dataclass(frozen=True, slots=True)
class Keys:
    """Names of keys and channels below one prefix."""

    prefix: str

    def control(self, name: str) -> str:
        """Return a key of control data that exists once, such as `epoch`."""
        return f"{self.prefix}:{{c}}:{name}"

    def run(self, run: str) -> str:
        """Hash: what was submitted and how far it is."""
        return self.control(f"run:{check_id(run)}")

    def jobs(self, run: str) -> str:
        """List: the ids of a run's jobs in their order."""
        return self.control(f"jobs:{check_id(run)}")

    def inputs(self, run: str) -> str:
        """String: script and standard input, one after the other."""
        return self.control(f"inputs:{check_id(run)}")

    def events(self, run: str) -> str:
        """Stream: all that happened to a run's jobs."""
        return self.control(f"events:{check_id(run)}")

    def job(self, job: str) -> str:
        """Hash: one job, its specification and its record."""
        return self.control(f"job:{check_id(job)}")

    def work(self, dispatcher: str) -> str:
        """Stream: what a dispatcher is to do."""
        return self.control(f"work:{dispatcher}")

    def meta(self, job: str) -> str:
        """Hash: how much output of a job there is, and from where on Redis has it."""
        return f"{self.prefix}:{{{check_id(job)}}}:meta"

    def output(self, job: str, stream: Short) -> str:
        """Stream: output; an entry's id is the offset of its end."""
        return f"{self.prefix}:{{{check_id(job)}}}:{stream}"

    def aside(self, job: str, stream: Short) -> str:
        """Stream: output while an append that may not happen is refused; exists only within a transaction."""
        return f"{self.output(job, stream)}:aside"

    def bell(self, run: str) -> str:
        """Channel: rung when a run has news."""
        return f"{self.prefix}:bell:{check_id(run)}"

    def moving(self, job: str) -> list[str]:
        """Return the keys of a job's move in the order of `lua/move.lua`."""
        run = run_of(job)
        shared = ("live", "active", "control", "unarchived", "done", "totals")
        return [
            self.control("epoch"),
            self.job(job),
            self.run(run),
            self.events(run),
            *(self.control(name) for name in shared),
        ]
