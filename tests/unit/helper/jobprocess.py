"""A job's process as the runner makes it: parameters in memory on one descriptor, reports through a pipe on another."""

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from jobs.reports import Problem, Report, parse

ROOT = Path(__file__).parents[3]
HELPER = ROOT / "remote/helper"
REPORT = str(HELPER / "anyjob-report")


class Ended(NamedTuple):
    """What became of it."""

    code: int
    out: str
    err: str
    lines: list[bytes]

    @property
    def said(self) -> list[Report | Problem]:
        return [parse(line) for line in self.lines]


def run(
    argv: Sequence[str | Path],
    *,
    params: Mapping[str, Any] | None = None,
    props: Mapping[str, Any] | None = None,
    secrets: Mapping[str, str] | None = None,
    env: Mapping[str, str] | None = None,
    stdin: str = "",
) -> Ended:
    """Run a program as a job. Its reports must fit into a pipe."""
    memory = os.memfd_create("params")
    os.write(memory, json.dumps({"params": params or {}, "props": props or {}, "secrets": secrets or {}}).encode())
    given = os.open(f"/proc/self/fd/{memory}", os.O_RDONLY)
    reports, end = os.pipe()
    environment = {
        "PATH": f"{os.environ['PATH']}:{HELPER}",
        "PYTHONPATH": str(HELPER),
        "PYTHONDONTWRITEBYTECODE": "1",
        "HOME": "/",
        "LANG": "C.UTF-8",
        "ANYJOB_FD": "7",
        "ANYJOB_PARAMS_FD": "8",
        **{f"ANYJOB_PARAM_{name.upper()}": str(value) for name, value in (params or {}).items()},
        **(env or {}),
    }
    # as with the runner, these are descriptors of one digit: some shells know no others
    program = ["sh", "-c", f'exec 7>/dev/fd/{end} 8</dev/fd/{given}; exec "$@"', "sh", *map(str, argv)]
    try:
        process = subprocess.run(
            program, env=environment, input=stdin.encode(), capture_output=True, pass_fds=(end, given), check=False
        )
    finally:
        for fd in (end, given, memory):
            os.close(fd)
    with os.fdopen(reports, "rb") as file:
        lines = file.read().splitlines()
    return Ended(process.returncode, process.stdout.decode(), process.stderr.decode(), lines)
