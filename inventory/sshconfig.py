"""Reads the `Host` entries of an OpenSSH client configuration as data (ssh_config(5)).

As in OpenSSH the first value of a keyword wins, `Include` is followed and `Host` has patterns and negations. A node is
each name of a `Host` line that is no pattern. Nothing is ever run: a block `Match exec` is left out with a warning, and
a host with a `ProxyCommand` is kept but disabled.
"""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from glob import glob
from pathlib import Path
from typing import Final, NamedTuple

from inventory.draft import Draft, Fields, Setting
from inventory.fields import PORTS, absolute_path, host_error, name_error, parse_hops, shown, user_error
from inventory.model import Origin
from inventory.problems import InvalidFilesError, Problem
from inventory.yamlfile import MAX_BYTES, decode

_MAX_INCLUDES: Final = 16  #: OpenSSH's own limit of depth
_LINE: Final = re.compile(r"\s*([A-Za-z0-9]+)(?:\s*=\s*|\s+)(.*?)\s*")
_HOST_LINE: Final = re.compile(r"^\s*(?:Host|Match)(?:\s+|\s*=\s*)\S", re.IGNORECASE | re.MULTILINE)
_USED: Final = ("hostname", "port", "user", "identityfile", "proxyjump", "proxycommand")
_MATCH_BY_NAME: Final = ("host", "originalhost")


class _Line(NamedTuple):
    keyword: str
    argument: str
    origin: Origin


@dataclass(slots=True)
class _Block:
    """Lines under one `Host` or `Match`; `conditions` are pattern lists that all have to match the name."""

    conditions: tuple[tuple[str, ...], ...]
    lines: list[_Line] = field(default_factory=list)


def looks_like(text: str) -> bool:
    """Whether a text has a `Host` or `Match` line."""
    return _HOST_LINE.search(text) is not None


def read(path: Path) -> Draft:
    """Read a file; mistakes are in the draft's `problems`, what is left out in its `warnings`."""
    reader = _Reader()
    reader.file(path, (), 0)
    for name, origin in reader.names.items():
        mistake = name_error(name)
        if mistake:
            hint = "it is left out of the inventory"
            reader.draft.warnings.append(Problem(file=origin.file, line=origin.line, message=mistake, hint=hint))
        else:
            _node(reader.draft, name, origin, reader.lines_of(name))
    return reader.draft


class _Reader:
    def __init__(self) -> None:
        self.draft = Draft()
        self.names: dict[str, Origin] = {}
        self._blocks: list[_Block] = []

    def lines_of(self, name: str) -> Iterator[_Line]:
        for block in self._blocks:
            if all(_matches(patterns, name) for patterns in block.conditions):
                yield from block.lines

    def file(self, path: Path, outer: tuple[tuple[str, ...], ...], depth: int) -> None:
        """Read a file whose blocks count only under the conditions `outer` (those of its Include line)."""
        try:
            with path.open("rb") as stream:
                text = decode(stream.read(MAX_BYTES + 1), str(path))
        except OSError as error:
            self.draft.problems.append(Problem(file=str(path), message=f"cannot be read: {error.strerror}"))
            return
        except InvalidFilesError as error:
            self.draft.problems += error.problems
            return
        self._blocks.append(_Block(outer))
        for number, line in enumerate(text.split("\n"), 1):
            if line.strip() and not line.lstrip().startswith("#"):
                self._line(line, Origin(str(path), number), outer, depth)

    def _line(self, line: str, origin: Origin, outer: tuple[tuple[str, ...], ...], depth: int) -> None:
        match = _LINE.fullmatch(line)
        if match is None:
            self._problem(origin, f"{shown(line.strip())} is not of the form 'Keyword value'")
            return
        keyword, argument = match[1].lower(), match[2]
        try:
            words = tuple(shlex.split(argument, comments=True)) if keyword in ("host", "match", "include") else ()
        except ValueError as error:
            self._problem(origin, str(error))
            return
        if keyword == "host":
            self._blocks.append(_Block((*outer, words)))
            for word in words:
                if not set("*?!") & set(word):
                    self.names.setdefault(word, origin)
        elif keyword == "match":
            self._blocks.append(_Block((*outer, *self._match(words, origin))))
        elif keyword == "include":
            self._include(words, origin, depth)
        else:
            self._blocks[-1].lines.append(_Line(keyword, argument, origin))

    def _match(self, words: tuple[str, ...], origin: Origin) -> tuple[tuple[str, ...], ...]:
        """Give the conditions of a Match line: names are compared, whatever else it asks makes it match nothing."""
        if [word.lower() for word in words] == ["all"]:
            return ()
        pairs = list(zip(words[::2], words[1::2], strict=False))
        if len(words) % 2 == 0 and all(key.lower() in _MATCH_BY_NAME for key, _ in pairs):
            return tuple(tuple(value.split(",")) for _, value in pairs)
        message = f"'Match {shown(' '.join(words))[1:-1]}' is left out"
        hint = "only host and originalhost are compared, and no command is run"
        self.draft.warnings.append(Problem(file=origin.file, line=origin.line, message=message, hint=hint))
        return ((),)

    def _include(self, words: tuple[str, ...], origin: Origin, depth: int) -> None:
        if depth >= _MAX_INCLUDES:
            self._problem(
                origin, f"Include is nested deeper than {_MAX_INCLUDES} levels", "does a file include itself?"
            )
            return
        block = self._blocks[-1]
        for word in words:
            try:
                pattern = absolute_path(word, Path(origin.file).parent)
            except ValueError as error:
                self._problem(origin, str(error))
                continue
            for name in sorted(glob(pattern)):  # noqa: PTH207 - the pattern may be absolute
                self.file(Path(name), block.conditions, depth + 1)
        self._blocks.append(_Block(block.conditions))

    def _problem(self, origin: Origin, message: str, hint: str = "") -> None:
        self.draft.problems.append(Problem(file=origin.file, line=origin.line, message=message, hint=hint))


def _matches(patterns: tuple[str, ...], name: str) -> bool:
    """Compare as OpenSSH does: a negated pattern that matches refuses the whole list."""
    found = False
    for pattern in patterns:
        negated = pattern.startswith("!")
        expression = re.escape(pattern.removeprefix("!")).replace(r"\*", ".*").replace(r"\?", ".")
        if re.fullmatch(expression, name, re.IGNORECASE):
            if negated:
                return False
            found = True
    return found


def _node(draft: Draft, name: str, origin: Origin, lines: Iterator[_Line]) -> None:
    fields = draft.node(name, origin)
    seen: set[str] = set()
    for line in lines:
        way = "proxy" if line.keyword in ("proxyjump", "proxycommand") else line.keyword
        if line.keyword not in _USED or (way in seen and way != "identityfile"):
            continue
        seen.add(way)
        try:
            _take(fields, name, line, draft)
        except ValueError as error:
            problem = Problem(file=line.origin.file, line=line.origin.line, field=line.keyword, message=str(error))
            if problem not in draft.problems:
                draft.problems.append(problem)


def _take(fields: Fields, name: str, line: _Line, draft: Draft) -> None:
    words = shlex.split(line.argument, comments=True)
    text = words[0] if words else ""
    match line.keyword:
        case "hostname":
            fields["host"] = Setting(_checked(host_error(host := text.replace("%h", name)), host), line.origin)
        case "user":
            fields["user"] = Setting(_checked(user_error(text), text), line.origin)
        case "port":
            if not re.fullmatch(r"[0-9]{1,5}", text) or not PORTS[0] <= int(text) <= PORTS[1]:
                raise ValueError(f"expected a port from {PORTS[0]} to {PORTS[1]}, found {shown(text)}")
            fields["port"] = Setting(int(text), line.origin)
        case "identityfile":
            _identity(fields, text, line, draft)
        case "proxyjump":
            hops = tuple(hop.strip() for hop in text.split(",")) if parse_hops(text) else ()
            fields["jump"] = Setting(hops, line.origin)
        case _:
            _proxy_command(fields, name, text, line, draft)


def _identity(fields: Fields, text: str, line: _Line, draft: Draft) -> None:
    if text.lower() == "none":
        return
    path = text.replace("%d", "~", 1) if text.startswith("%d") else text
    if "%" in path or "${" in path:
        _warn(draft, line, f"the key {shown(text)} is left out: its name has to be computed")
        return
    before = fields["identity"].value if "identity" in fields else ()
    fields["identity"] = Setting((*before, absolute_path(path, Path(line.origin.file).parent)), line.origin)


def _proxy_command(fields: Fields, name: str, text: str, line: _Line, draft: Draft) -> None:
    if text.lower() == "none":
        return
    fields["disabled"] = Setting("needs a ProxyCommand, which is never run (use ProxyJump)", line.origin)
    _warn(draft, line, f"{name} needs a ProxyCommand, which is never run", "use ProxyJump")


def _warn(draft: Draft, line: _Line, message: str, hint: str = "") -> None:
    problem = Problem(file=line.origin.file, line=line.origin.line, field=line.keyword, message=message, hint=hint)
    if problem not in draft.warnings:
        draft.warnings.append(problem)


def _checked(mistake: str | None, text: str) -> str:
    if mistake:
        raise ValueError(mistake)
    return text
