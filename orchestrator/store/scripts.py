"""The scripts of `lua/`: each is one change of several keys, named, described and addressed by its hash.

A script's header says what it does (first line), then `KEYS`, `ARGV` and `Returns`; `Uses NAME` puts the library
`lua/NAME.lua` before it.
"""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

LUA: Final = Path(__file__).parent / "lua"
_SECTIONS: Final = ("KEYS", "ARGV", "Returns")
_COMMENT: Final = re.compile(r"^--.*", re.MULTILINE)


class ScriptHeaderError(Exception):
    """A script does not describe itself; the message names the file and what is missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """One script, ready to be loaded."""

    name: str
    text: str  #: what Redis runs: with its libraries before it, and empty lines instead of comments
    header: str  #: the comment at its top, without the dashes
    sha: str  #: the name that EVALSHA knows it by


def load(folder: Path = LUA) -> dict[str, Script]:
    """Read all scripts.

    Raises:
        ScriptHeaderError: when one lacks a part of its header.
    """
    texts = {path.stem: path.read_text() for path in sorted(folder.glob("*.lua"))}
    headers = {name: _header(text) for name, text in texts.items()}
    libraries = {name for name, header in headers.items() if header.startswith("Library:")}
    scripts = {}
    for name in texts.keys() - libraries:
        missing = [section for section in _SECTIONS if f"\n{section} " not in headers[name]]
        if missing:
            raise ScriptHeaderError(f"{folder / name}.lua: the header lacks {', '.join(missing)}")
        used = [line.split()[1] for line in headers[name].splitlines() if line.startswith("Uses ")]
        if unknown := set(used) - libraries:
            raise ScriptHeaderError(f"{folder / name}.lua: no such library: {', '.join(sorted(unknown))}")
        text = _COMMENT.sub("", "\n".join(texts[part] for part in (*used, name)))
        sha = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
        scripts[name] = Script(name=name, text=text, header=headers[name], sha=sha)
    return scripts


def _header(text: str) -> str:
    lines = []
    for line in text.splitlines():
        if not line.startswith("--"):
            break
        lines.append(line.removeprefix("--").removeprefix(" "))
    return "\n".join(lines)
