"""Runs inventory programs as Ansible does: `PROGRAM --list`, and `PROGRAM --host NAME` where it has no `_meta`.

One time limit holds for all of it. What a program printed is kept in the cache directory: it spares the program for a
minute, and it stands in, with a warning, when the program fails. The program gets our environment without `ANYJOB_*`.
"""

import contextlib
import hashlib
import json
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from inventory import ansible_json
from inventory.draft import Draft
from inventory.fields import shown
from inventory.problems import InvalidFilesError, Problem

TIME_LIMIT_S: Final = 30.0
CACHE_S: Final = 60.0
_STDERR_BYTES: Final = 64 << 10
_READ: Final = 1 << 16


class _ProgramError(Exception):
    """The program gave nothing usable; the text says why."""


def read(
    program: Path, *, cache_dir: Path | None, time_limit_s: float = TIME_LIMIT_S, cache_s: float = CACHE_S
) -> Draft:
    """Read what a program tells, or what it told last when it fails now.

    Args:
        program: The executable.
        cache_dir: Where copies are kept (made with mode 0700); None = no copies.
        time_limit_s: Seconds for all calls together.
        cache_s: Seconds for which a copy is used without asking the program; one older than the program never is.

    Raises:
        InvalidFilesError: The program failed and there is no copy.
    """
    copy = None if cache_dir is None else _copy_path(cache_dir, program)
    if copy is not None and _is_fresh(copy, program, cache_s):
        draft = _interpret_copy(copy, program)
        if draft is not None:
            return draft
    try:
        top = _ask(program, time_limit_s)
        draft = ansible_json.read(top, str(program))
        failures = tuple(draft.problems)
    except InvalidFilesError as error:
        draft, top, failures = Draft(), {}, error.problems
    except _ProgramError as error:
        draft, top, failures = Draft(), {}, (Problem(file=str(program), message=str(error)),)
    if not failures:
        if copy is not None:
            _keep(copy, top, draft, program)
        return draft
    kept = None if copy is None else _interpret_copy(copy, program)
    if kept is None or copy is None:
        raise InvalidFilesError(failures)
    age = int(max(0.0, time.time() - copy.stat().st_mtime))
    hint = f"what it told {age} seconds ago is used instead"
    kept.warnings += [
        Problem(file=failure.file, line=failure.line, field=failure.field, message=failure.message, hint=hint)
        for failure in failures
    ]
    return kept


def _ask(program: Path, time_limit_s: float) -> dict[str, Any]:
    deadline = time.monotonic() + time_limit_s
    top = ansible_json.decode(_run(program, ("--list",), deadline, time_limit_s), str(program))
    if "_meta" not in top:
        hostvars = {
            name: ansible_json.decode(_run(program, ("--host", name), deadline, time_limit_s), str(program))
            for name in ansible_json.hosts(top)
            if not name.startswith("-")
        }
        top["_meta"] = {"hostvars": hostvars}
    return top


def _run(program: Path, arguments: Sequence[str], deadline: float, time_limit_s: float) -> bytes:
    """Run the program in a process group of its own, which is killed when the time is over or the output too large."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("ANYJOB_")}
    call = f"{program.name} {' '.join(arguments)}"
    try:
        process = subprocess.Popen(  # noqa: S603 - the admin named this program as an inventory
            [str(program.absolute()), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=program.absolute().parent,
            env=environment,
            start_new_session=True,
        )
    except OSError as error:
        raise _ProgramError(f"cannot be run: {error.strerror}") from error
    with process:
        try:
            output, complaints = _collect(process, deadline)
            code = process.wait(max(0.0, deadline - time.monotonic()))
        except BaseException as error:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            if isinstance(error, TimeoutError | subprocess.TimeoutExpired):
                raise _ProgramError(f"{call} did not end within {time_limit_s:g} seconds") from error
            raise
    if code != 0:
        last = complaints.decode("utf-8", "replace").strip().rpartition("\n")[2]
        ended = f"exit code {code}" if code > 0 else f"signal {-code}"
        raise _ProgramError(f"{call} failed with {ended}" + (f": {shown(last)}" if last else ""))
    return output


def _collect(process: subprocess.Popen[bytes], deadline: float) -> tuple[bytes, bytes]:
    """Read both outputs to their ends: all of the one, the end of the other."""
    output, complaints = bytearray(), bytearray()
    with selectors.DefaultSelector() as selector:
        for stream, buffer in ((process.stdout, output), (process.stderr, complaints)):
            if stream is not None:
                selector.register(stream, selectors.EVENT_READ, buffer)
        while selector.get_map():
            ready = selector.select(max(0.0, deadline - time.monotonic()))
            if not ready or time.monotonic() > deadline:
                raise TimeoutError
            for key, _ in ready:
                data = os.read(key.fd, _READ)
                key.data.extend(data)
                if not data:
                    selector.unregister(key.fileobj)
            del complaints[:-_STDERR_BYTES]
            if len(output) > ansible_json.MAX_BYTES:
                raise _ProgramError(f"printed more than {ansible_json.MAX_BYTES} bytes")
    return bytes(output), bytes(complaints)


def _copy_path(cache_dir: Path, program: Path) -> Path:
    digest = hashlib.sha256(os.fsencode(program.absolute())).hexdigest()[:24]
    return cache_dir / f"inventory-{digest}.json"


def _is_fresh(copy: Path, program: Path, cache_s: float) -> bool:
    try:
        written = copy.stat().st_mtime
        return 0 <= time.time() - written < cache_s and written >= program.stat().st_mtime
    except OSError:
        return False


def _interpret_copy(copy: Path, program: Path) -> Draft | None:
    """Read a kept copy; one that cannot be read any more is none."""
    try:
        draft = ansible_json.read(ansible_json.decode(copy.read_bytes(), str(copy)), str(program))
    except (OSError, InvalidFilesError):
        return None
    return None if draft.problems else draft


def _keep(copy: Path, top: dict[str, Any], draft: Draft, program: Path) -> None:
    """Write the copy in one step; it may hold secrets, so it is for us alone."""
    new = copy.with_suffix(f".{os.getpid()}.{time.monotonic_ns()}.new")
    try:
        copy.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as stream:
            json.dump(top, stream)
        new.replace(copy)
    except OSError as error:
        message = f"the copy of its output cannot be kept in {copy.parent}: {error.strerror}"
        draft.warnings.append(Problem(file=str(program), message=message))
