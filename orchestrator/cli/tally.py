"""A followed run as it is known now: the snapshot, moved on by each event. Pure."""

import json
from typing import Any, Final

from jobs.lifecycle import TERMINAL
from remote.runner.frames import Frame

ENDED: Final = frozenset(str(state) for state in TERMINAL)
_TOLD: Final = ("progress", "stage", "note")  #: of a job's own progress; its other reports change no fact
_FACTS: Final = ("state", "reason", "message", "exit_code", "signal", "link", "attempt")


class Tally:
    """Which job is where. `run` is the whole document (see *Run and job* in the local API), kept up to date."""

    def __init__(self) -> None:
        self.run: dict[str, Any] = {}
        self.jobs: dict[str, dict[str, Any]] = {}
        self.ended = False

    def note(self, frame: Frame) -> None:
        """Take account of a frame of `follow`."""
        match frame.header["t"]:
            case "snapshot" | "end":
                self.run = json.loads(frame.payload)
                self.jobs = {job["id"]: job for job in self.run["jobs"]}
                self.ended = frame.header["t"] == "end"
            case "event":
                self._event(frame.header)

    def counts(self) -> dict[str, int]:
        """Return the number of jobs in each state."""
        counts: dict[str, int] = {}
        for job in self.jobs.values():
            counts[job["state"]] = counts.get(job["state"], 0) + 1
        return counts

    def active(self) -> list[dict[str, Any]]:
        """Return the jobs that have not ended."""
        return [job for job in self.jobs.values() if job["state"] not in ENDED]

    def _event(self, header: dict[str, Any]) -> None:
        job = self.jobs.get(header.get("job", ""))
        if job is None:
            return
        facts = _TOLD if header.get("event") == "progress" else _FACTS if {"state", "link"} & header.keys() else ()
        job.update({name: header[name] for name in facts if header.get(name) is not None})
        if header.get("event") == "started":
            job["started"] = header.get("at")
        elif job["state"] in ENDED and job.get("ended") is None:
            job["ended"] = header.get("at")
