"""The controller's half of getting the runner onto a node: the bundle, the first stage, and the one fixed command.

`docs/reference/node-protocol.md`, "Getting the runner there", has the conversation.
"""

import functools
import hashlib
import json
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from remote.runner.first_stage import FILES, PACKAGE

KNOWN_PYTHONS: Final = (
    "python3",
    "/usr/bin/python3",
    "/usr/local/bin/python3",
    "/usr/libexec/platform-python",
    "python",
)

_RUNNER: Final = Path(__file__).with_name("runner")
_HELPER: Final = Path(__file__).with_name("helper")
_HELPER_FILES: Final = ("anyjob.py", "anyjob-report")  #: what jobs find on their paths

# Reads one line from standard input, byte by byte (what follows belongs to others), and executes it. No quote, no
# backslash, no dollar: it goes through two shells. At an end of file it exits.
_PROGRAM: Final = "import posix,sys;exec(bytes().join(iter(lambda:posix.read(0,1)or sys.exit(),chr(10).encode())))"

# The line that it reads: valid in Python 2, imports only what is built in, takes the working directory (where a hostile
# os.py may lie) off the path, and reads the rest in one piece.
_OPENING: Final = """\
import sys,posix
if sys.version_info<(3,6):
 m="\\0AJ1 NONCE unfit python_too_old %s %s\\n"%(sys.version.split()[0],sys.executable)
 posix.write(1,m if bytes is str else m.encode("utf-8","replace"))
 raise SystemExit
sys.path[:]=[p for p in sys.path if p[:1]=="/"]
s=b""
while len(s)<SIZE:
 d=posix.read(0,SIZE-len(s))
 if not d:raise SystemExit
 s+=d
exec(compile(s,"first_stage","exec"))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """The runner as it is sent: `data` is compressed and `size` bytes long; `sha256` is of what it unpacks to."""

    data: bytes
    size: int
    sha256: str


@functools.cache
def bundle() -> Bundle:
    """Return the runner of this version of AnyJob; the same bytes each time.

    It unpacks to a JSON object: full module name → source text, and `files/NAME` → text of a file for jobs.

    Raises:
        FileNotFoundError: AnyJob is not installed completely.
    """
    sources = {_module(path): path.read_text(encoding="utf-8") for path in _RUNNER.glob("*.py")}
    sources |= {FILES + name: text for name, text in helper_files().items()}
    text = json.dumps(sources, sort_keys=True, ensure_ascii=False).encode()
    data = zlib.compress(text, 9)
    return Bundle(data=data, size=len(data), sha256=hashlib.sha256(text).hexdigest())


def helper_files() -> dict[str, str]:
    """Return what jobs find on their paths, name → text.

    Raises:
        FileNotFoundError: AnyJob is not installed completely.
    """
    missing = [str(_HELPER / name) for name in _HELPER_FILES if not (_HELPER / name).is_file()]
    if missing:
        raise FileNotFoundError(f"{', '.join(missing)}: missing in this installation; install AnyJob again")
    return {name: (_HELPER / name).read_text(encoding="utf-8") for name in _HELPER_FILES}


def _module(path: Path) -> str:
    return PACKAGE if path.stem == "__init__" else f"{PACKAGE}.{path.stem}"


def command(pythons: Sequence[str] = KNOWN_PYTHONS) -> str:
    """Return what the controller executes on a node: run the first of `pythons` that the node has.

    Raises:
        ValueError: there is none, or a name holds more than letters, digits and `_./+-`, or begins with `-`.
    """
    for python in pythons or ("",):
        if not re.fullmatch(r"[A-Za-z0-9_./+][A-Za-z0-9_./+-]*", python):
            raise ValueError(f"python: expected the name or path of an interpreter, found {python!r}")
    return (
        f"sh -c 'for p in {' '.join(pythons)}; do command -v $p >/dev/null 2>&1 && "
        f'exec $p -E -s -S -c "{_PROGRAM}"; done; '
        f'printf "\\0AJ1 - nopython\\n"\''
    )


def first_stage(*, nonce: str, cluster: str, spool: str | None) -> bytes:
    """Return what the controller writes first on the channel's standard input.

    Args:
        nonce: 32 hex digits made for this connection.
        cluster: name of the cluster, which is a directory of the spool.
        spool: absolute directory on the node that holds the clusters' spools; None = the default for the login user.

    Raises:
        ValueError: an argument that is not of this form.
    """
    if not re.fullmatch(r"[0-9a-f]{32}", nonce):
        raise ValueError(f"nonce: expected 32 hex digits, found {nonce!r}")
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}", cluster):
        raise ValueError(f"cluster: expected letters, digits, '_', '-' and '.', found {cluster!r}")
    if spool is not None and not re.fullmatch(r"/[^\x00-\x1f\x7f]*", spool):
        raise ValueError(f"remote.spool: expected an absolute path, found {spool!r}")
    runner = bundle()
    config = {"cluster": cluster, "spool": spool, "nonce": nonce, "hash": runner.sha256, "size": runner.size}
    body = _first_stage_source() + f"main({config!a})\n".encode()
    opening = _OPENING.replace("NONCE", nonce).replace("SIZE", str(len(body)))
    return f"exec({opening!r})\n".encode() + body


@functools.cache
def _first_stage_source() -> bytes:
    return (_RUNNER / "first_stage.py").read_bytes()
