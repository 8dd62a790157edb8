"""Becomes the interpreter of the script that is among the parameters; the script stays in a file without a name.

The descriptor of the parameters stays open for the script: it can read them again from the beginning.
"""

import contextlib
import json
import os
import sys
import tempfile
from typing import Any


def read_all(number: int) -> "Any":
    """Read the parameters, and leave the descriptor at its beginning."""
    pieces = []
    while True:
        piece = os.read(number, 1 << 16)
        if not piece:
            break
        pieces.append(piece)
    with contextlib.suppress(OSError):  # a pipe cannot go back
        os.lseek(number, 0, os.SEEK_SET)
    return json.loads(b"".join(pieces).decode("utf-8"))


def held(text: str) -> str:
    """Give the path of a file without a name that holds a text."""
    with tempfile.TemporaryFile() as copy:
        copy.write(text.encode("utf-8"))
        copy.flush()
        number = os.dup(copy.fileno())
    os.lseek(number, 0, os.SEEK_SET)
    os.set_inheritable(number, True)  # noqa: FBT003
    return f"/dev/fd/{number}"


def main() -> None:
    """Become the interpreter."""
    params = read_all(int(os.environ["ANYJOB_PARAMS_FD"]))["params"]
    interpreter = params.get("interpreter") or [sys.executable]
    argv = [*interpreter, held(params["script"]), *(params.get("arguments") or [])]
    os.environ.pop("ANYJOB_PARAM_SCRIPT", None)
    try:
        os.execvp(argv[0], argv)  # noqa: S606  that is its purpose
    except OSError as error:
        sys.exit(f"cannot run {argv[0]!r}: {error.strerror}")


main()
