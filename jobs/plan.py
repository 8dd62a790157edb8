"""From a request to a plan: the run and the jobs that it will make. Pure: nodes, time and id are handed in."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from inventory.route import Route
from jobs.records import JobSpec, Request, RunSpec

ULID = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}")
_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ACCOUNT = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}\$?")
MAX_COMMAND_BYTES = 48 * 1024  #: argv and environment travel in one frame header of the node protocol
MAX_INPUT_BYTES = 16 * 1024 * 1024  #: script and standard input, each; they are kept in Redis and in the spool


class RequestError(Exception):
    """A request cannot be carried out as it stands; `problems` holds every (field, message) at once."""

    def __init__(self, problems: Sequence[tuple[str, str]]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(f"{field}: {message}" for field, message in self.problems))


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedNode:
    """A node that a request's target selected."""

    name: str
    route: Route
    max_jobs: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Defaults:
    """What the settings say where a request says nothing."""

    grace_s: float
    max_output: int
    fanout: int | None


@dataclass(frozen=True, slots=True)
class Plan:
    """What `submit` writes in one step."""

    run: RunSpec
    jobs: tuple[JobSpec, ...]


def plan(  # noqa: PLR0913  everything that a plan depends on, named
    request: Request,
    *,
    run_id: str,
    user: str,
    nodes: Sequence[PlannedNode],
    folded: str,
    defaults: Defaults,
    now: float,
) -> Plan:
    """Expand a request on the nodes that its target selected.

    One node makes a plain job whose id is the run's; several make a jobset with members `RUN-1` to `RUN-N`.

    Raises:
        RequestError: with every field that is wrong.
    """
    problems = check(request)
    if not ULID.fullmatch(run_id):
        problems.append(("id", f"expected a ULID of 26 characters, found {run_id[:40]!r}"))
    if problems:
        raise RequestError(problems)
    run = _run(request, run_id=run_id, user=user, folded=folded, total=len(nodes), defaults=defaults, now=now)
    return Plan(run=run, jobs=members(run_id, nodes))


def members(run_id: str, nodes: Sequence[PlannedNode]) -> tuple[JobSpec, ...]:
    """Return a run's jobs: one whose id is the run's, or `RUN-1` to `RUN-N`."""
    single = len(nodes) == 1
    return tuple(
        JobSpec(
            id=run_id if single else f"{run_id}-{index}",
            run=run_id,
            index=index,
            node=node.name,
            route=node.route,
            max_jobs=node.max_jobs,
        )
        for index, node in enumerate(nodes, start=1)
    )


def _run(  # noqa: PLR0913  everything that a run depends on, named
    request: Request, *, run_id: str, user: str, folded: str, total: int, defaults: Defaults, now: float
) -> RunSpec:
    account, _, group = (request.run_as or "").partition(":")
    return RunSpec(
        id=run_id,
        type="script" if request.script_size else "command",
        title=title(request),
        user=user,
        source=request.source,
        created=now,
        nodes=folded,
        total=total,
        argv=_argv(request),
        interpreter=request.interpreter,
        script_size=request.script_size,
        stdin_size=request.stdin_size,
        env=request.env,
        cwd=request.cwd,
        umask=0o022 if request.umask is None else request.umask,
        tty=request.tty,
        run_as_user=account or None,
        run_as_group=group or None,
        timeout_s=request.timeout_s,
        grace_s=defaults.grace_s if request.grace_s is None else request.grace_s,
        max_output=defaults.max_output,
        fanout=defaults.fanout if request.fanout is None else request.fanout,
        connect_timeout_s=request.connect_timeout_s,
    )


def _argv(request: Request) -> tuple[str, ...] | None:
    if request.script_size:
        return request.argv or None
    if len(request.argv) == 1:
        return ("/bin/sh", "-c", request.argv[0])
    return request.argv


def title(request: Request) -> str:
    """Return one line that tells people what a request runs."""
    words = [request.script_name or "script", *request.argv] if request.script_size else list(request.argv)
    text = " ".join(words) if len(words) == 1 else " ".join(map(_quoted, words))
    line = " ".join(text.split())
    return line if len(line) <= 200 else line[:199] + "…"


def _quoted(word: str) -> str:
    return word if re.fullmatch(r"[\w@%+=:,./-]+", word) else "'" + word.replace("'", "'\\''") + "'"


def check(request: Request) -> list[tuple[str, str]]:
    """Return every (field, message) that is wrong with a request, before any node is looked at."""
    problems: list[tuple[str, str]] = []
    if not request.argv and not request.script_size:
        problems.append(("argv", "nothing to run: give a command after --, or --script FILE"))
    if any("\0" in word for word in request.argv):
        problems.append(("argv", "a NUL character cannot be part of an argument"))
    if request.interpreter is not None and not request.script_size:
        problems.append(("interpreter", "only a script has an interpreter: give --script FILE too"))
    problems += _check_environment(request)
    if request.cwd is not None and (not request.cwd.startswith("/") or "\0" in request.cwd):
        problems.append(("cwd", f"expected an absolute path on the node, found {request.cwd!r}"))
    problems += [
        (field, f"more than {MAX_INPUT_BYTES >> 20} MiB; copy the data to the nodes first")
        for field in ("script_size", "stdin_size")
        if not 0 <= getattr(request, field) <= MAX_INPUT_BYTES
    ]
    problems += check_limits(request)
    return problems


def _check_environment(request: Request) -> list[tuple[str, str]]:
    problems: list[tuple[str, str]] = []
    size = sum(len(word.encode()) + 3 for word in request.argv)
    size += sum(len(name.encode()) + len(value.encode()) + 6 for name, value in request.env.items())
    if size > MAX_COMMAND_BYTES:
        problems.append(
            ("argv", f"command and environment are {size} bytes, {MAX_COMMAND_BYTES} fit; use --script or --stdin")
        )
    for name, value in request.env.items():
        if not _ENV_NAME.fullmatch(name):
            problems.append(
                ("env", f"{name!r} is not a variable name (letters, digits and _; not beginning with a digit)")
            )
        if "\0" in value:
            problems.append(("env", f"the value of {name} contains a NUL character"))
    return problems


def check_limits(request: Request) -> list[tuple[str, str]]:
    """Return every (field, message) that is wrong with limits and accounts."""
    problems: list[tuple[str, str]] = []
    if request.umask is not None and not 0 <= request.umask <= 0o777:
        problems.append(("umask", f"expected 0 to 0777, found {request.umask:#o}"))
    for field in ("timeout_s", "connect_timeout_s"):
        value = getattr(request, field)
        if value is not None and not 0 < value < 10**9:
            problems.append((field, f"expected more than 0 seconds, found {value:g}"))
    if request.grace_s is not None and not 0 <= request.grace_s < 10**6:
        problems.append(("grace_s", f"expected 0 seconds or more, found {request.grace_s:g}"))
    if request.fanout is not None and request.fanout < 1:
        problems.append(("fanout", f"expected 1 or more, found {request.fanout}"))
    if request.run_as is not None:
        account, colon, group = request.run_as.partition(":")
        names = [account, group] if colon else [account]
        problems += [
            ("run_as", f"{name!r} is not an account name; give USER or USER:GROUP by name, not by number")
            for name in names
            if not _ACCOUNT.fullmatch(name)
        ]
    return problems
