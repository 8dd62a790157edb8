"""The records that travel between the submitter, the store and the dispatcher, parsed once at the border.

A *run* is what one request makes: a job (one node) or a jobset (several). What its jobs share is kept once, in
`RunSpec`.
"""

from typing import Any

import msgspec

from inventory.route import Route
from jobs.jobtype import Leftovers, OutputLimit
from jobs.lifecycle import State


class Terminal(msgspec.Struct, frozen=True, kw_only=True):
    """The size and kind of the pseudo-terminal that a job wants."""

    rows: int = 24
    cols: int = 80
    term: str = "xterm-256color"


class Request(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a person asked for, as it comes from a face (see `docs/reference/local-api.md`)."""

    target: str
    exclude: str | None = None
    limit: str | None = None
    inventory: tuple[str, ...] = ()
    argv: tuple[str, ...] = ()
    interpreter: tuple[str, ...] | None = None
    script_size: int = 0
    stdin_size: int = 0
    script_name: str | None = None
    env: dict[str, str] = {}
    cwd: str | None = None
    umask: int | None = None
    tty: Terminal | None = None
    run_as: str | None = None
    timeout_s: float | None = None
    grace_s: float | None = None
    fanout: int | None = None
    login_user: str | None = None
    connect_timeout_s: float | None = None
    source: str = "cli"
    type: str | None = None  #: of a job type; None = the command or script above
    words: tuple[str, ...] = ()  #: of a command line: target, implicit parameters, NAME=VALUE; see `jobs.words`
    params: dict[str, Any] = {}  #: as the person gave them, secrets among them: never written anywhere
    props: dict[str, Any] = {}
    confirm: str | None = None  #: what the person typed where the job type asks for confirmation
    files: dict[str, int] = {}  #: file inputs (name → size) that follow script and stdin, in this order
    rerun_of: str | None = None  #: the run that this one repeats


class RunSpec(msgspec.Struct, frozen=True, kw_only=True):
    """What all jobs of a run share. `id` is a ULID made by the submitter; submitted twice, it is one run."""

    id: str
    type: str  #: `command`, `script`, or the name of a job type
    title: str  #: what a list shows
    user: str  #: who submitted it
    source: str
    created: float
    nodes: str  #: folded, for people
    total: int
    argv: tuple[str, ...] | None  #: None = the script alone
    interpreter: tuple[str, ...] | None = None
    script_size: int = 0
    stdin_size: int = 0
    env: dict[str, str] = {}
    cwd: str | None = None
    umask: int = 0o022
    tty: Terminal | None = None
    run_as_user: str | None = None
    run_as_group: str | None = None
    timeout_s: float | None = None
    grace_s: float = 10.0
    max_output: int = 1 << 30
    fanout: int | None = None
    connect_timeout_s: float | None = None
    params: dict[str, Any] = {}  #: plain values; a secret is never among them
    sealed: str | None = None  #: the secrets, sealed with the site's key: opaque here
    props: dict[str, Any] = {}
    action: dict[str, Any] | None = None  #: what the job type runs, as `jobs.jobtype` writes it; None = `argv`
    files: dict[str, int] = {}  #: file inputs (name → size) that follow script and stdin in `inputs`, in this order
    nice: int | None = None
    rlimits: dict[str, tuple[int | None, int | None]] = {}  #: (soft, hard) by name; None = unlimited
    inactivity_s: float | None = None
    start_timeout_s: float | None = None
    success_codes: tuple[int, ...] = (0,)
    on_output_limit: OutputLimit = "gap"
    leftovers: Leftovers = "kill"
    retry: dict[str, Any] | None = None  #: as `jobs.jobtype` writes it
    redact: tuple[str, ...] = ()  #: regular expressions of what is masked in output
    rerun_of: str | None = None  #: the run that this one repeats


class JobSpec(msgspec.Struct, frozen=True, kw_only=True):
    """What one job of a run adds: its node."""

    id: str
    run: str
    index: int  #: 1-based place in the run
    node: str
    route: Route
    max_jobs: int | None = None  #: of the node


class JobRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A job as it is now."""

    id: str
    run: str
    index: int
    node: str
    state: State
    created: float
    reason: str | None = None
    message: str | None = None
    attempt: int = 1
    started: float | None = None
    ended: float | None = None
    exit_code: int | None = None
    signal: int | None = None
    stdout_bytes: int = 0
    stderr_bytes: int = 0
    dropped_bytes: int = 0
    cpu_s: float | None = None
    max_rss: int | None = None
    link: str = "connected"
    link_since: float | None = None
    progress: float | None = None  #: 0 to 100; from here to `metrics`: what this attempt told, the last of each
    stage: str | None = None
    note: str | None = None  #: message of the last progress
    result: Any | None = None  #: JSON of at most 16 KiB
    data: dict[str, Any] | None = None
    metrics: dict[str, float] = {}
    left: tuple[int, ...] = ()  #: pids of children that were left running on the node
    retry_at: float | None = None  #: while it is queued again: not before that time
    report_bytes: int = 0  #: of this attempt's reports, taken in


class RunRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A run as it is now; `jobs` is None where only the summary was asked for."""

    id: str
    kind: str  #: `job` or `jobset`
    type: str
    title: str
    user: str
    source: str
    created: float
    nodes: str
    total: int
    state: str  #: of `jobs.jobset.aggregate`
    counts: dict[State, int]
    ended: float | None = None
    cancelled_by: str | None = None
    params: dict[str, Any] = {}
    props: dict[str, Any] = {}
    rerun_of: str | None = None
    progress: float | None = None  #: 0 to 100, the mean of its jobs (an ended one is 100); None = no job told any
    jobs: tuple[JobRecord, ...] | None = None


def token(job_id: str, attempt: int) -> str:
    """Return what a node is told: the name of one attempt of one job."""
    return f"{job_id}.{attempt}"
