"""What a node is told about a job: the StartSpec of `docs/reference/node-protocol.md`, and the inputs beside it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from remote.errors import UnsendableError

MAX_INPUT: Final = (
    16 << 20
)  #: bytes of a script, an input or a bundle; the node keeps them on its disk until the job has ended
MAX_PARAMS: Final = 1 << 20  #: bytes of the parameters, as JSON
MAX_SECRETS: Final = 48 << 10  #: bytes of the secrets, as JSON; they are never on the node's disk
_LIMITS: Final = {"params": MAX_PARAMS, "secrets": MAX_SECRETS}


@dataclass(frozen=True, slots=True, kw_only=True)
class Terminal:
    """The pseudo-terminal that a job wants."""

    rows: int
    cols: int
    term: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PythonBundle:
    """A zip file with Python code, and the function in it that is the job. A node that lacks the file asks for it."""

    sha256: str  #: of the zip file, hexadecimal
    size: int  #: bytes
    function: str  #: `module:function`, or `directory/file.py:function`


@dataclass(frozen=True, slots=True, kw_only=True)
class StartSpec:
    """What a node must know to start a job. Which inputs there are is told by what is handed over."""

    argv: Sequence[str] | None  #: program and arguments, without a shell; with a script its arguments, or None
    interpreter: Sequence[str] | None = (
        None  #: runs the script or bundle; None = the script's own first line, a python3
    )
    bundle: PythonBundle | None = None  #: runs this; then there is no argv and no script
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: str | None = None  #: None = the user's home directory
    umask: int = 0o022
    nice: int | None = None  #: -20 (first) to 19 (last); None = as the login
    rlimits: Mapping[str, tuple[int | None, int | None]] = field(default_factory=dict)  #: soft, hard; None = unlimited
    new_privs: bool = False  #: whether set-user-id programs such as sudo may gain privileges
    tty: Terminal | None = None
    user: str | None = None  #: None = the login user
    group: str | None = None
    secret_files: Sequence[str] = ()  #: names of secrets that the job gets as files, too
    timeout_s: float | None = None  #: run-time limit, enforced on the node
    inactivity_s: float | None = None  #: ended when it writes and reports nothing for so long
    grace_s: float = 10.0  #: between TERM and KILL at these limits
    max_output: int = 1 << 30  #: bytes kept per stream
    on_output_limit: Literal["gap", "block", "kill"] = "gap"  #: what happens to a job that writes more
    leftovers: Literal["kill", "wait", "leave"] = "kill"  #: what happens to processes that outlive the job's own


def pack_inputs(
    script: bytes | None, stdin: bytes | None, params: bytes | None, secrets: Mapping[str, str] | None
) -> dict[str, bytes | None]:
    """Return the inputs by their names on the wire.

    Raises:
        UnsendableError: when one is too large. The text holds nothing of what is in it.
    """
    inputs = {
        "script": script,
        "stdin": stdin,
        "params": params,
        "secrets": None if secrets is None else json.dumps(dict(secrets), ensure_ascii=False).encode(),
    }
    for name, data in inputs.items():
        limit = _LIMITS.get(name, MAX_INPUT)
        if data is not None and len(data) > limit:
            raise UnsendableError(f"{name} has {len(data):,} bytes; a node takes {limit:,}")
    return inputs
