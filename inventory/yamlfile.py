"""YAML that remembers where each value stands, and refuses what surprises people.

The text is read as YAML 1.2 would (core schema, and stricter): only `true` and `false` are booleans, so `no` and `on`
stay text; `0755`, `22:22`, `1_000` and `.inf` stay text; numbers are decimal and finite. Refused with file, line and
column, all at once as far as the syntax allows: duplicate keys, anchors, aliases and merge keys, tags, keys that are
not text, tabs as indentation, more than one document, nesting deeper than 32, files larger than 1 MiB, text that is
not UTF-8. A byte order mark and CRLF line ends are accepted.

`inventory.section.Section` reads a mapping of this module field by field and collects the mistakes of content.
"""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from inventory.problems import InvalidFilesError, Problem

MAX_BYTES: Final = 1 << 20  #: a larger file was not written by a person
MAX_DEPTH: Final = 32  #: keeps every later walk far from the recursion limit
_MAX_TAB_PROBLEMS: Final = 20  #: a file that is indented with tabs throughout is one mistake, not a thousand

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the C one is 8 times as fast
_INTEGER: Final = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,17})")
_FLOAT: Final = re.compile(r"[-+]?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?")
_SURROGATE: Final = re.compile("[\ud800-\udfff]")

Scalar = str | int | float | bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """A value of a document and its place (from 1).

    `content` is a scalar, a tuple (sequence) or a dict (mapping). `text` is a scalar as it was written, without
    quotes. `keys` has the places of a mapping's keys. `tag` is set only for tags that the reader asked for.
    """

    content: "Scalar | tuple[Value, ...] | dict[str, Value]"
    line: int
    column: int
    text: str = ""
    tag: str = ""
    keys: Mapping[str, tuple[int, int]]

    @property
    def kind(self) -> str:
        """What it is, in a person's words: `text`, `a number`, `true or false`, `a list`, `a mapping`, `nothing`."""
        return _KINDS[type(self.content)]

    def plain(self) -> Any:
        """Give the value as bare Python objects, without places."""
        if isinstance(self.content, dict):
            return {key: value.plain() for key, value in self.content.items()}
        if isinstance(self.content, tuple):
            return [value.plain() for value in self.content]
        return self.content


_KINDS: Final[Mapping[type, str]] = {
    str: "text",
    int: "a number",
    float: "a number",
    bool: "true or false",
    type(None): "nothing",
    tuple: "a list",
    dict: "a mapping",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One file that was read: its name as problems show it, and its value (nothing, for an empty file)."""

    file: str
    root: Value


def read(path: Path, *, tags: frozenset[str] = frozenset()) -> Document:
    """Read a file.

    Args:
        path: The file. Relative names are shown as they are given.
        tags: Tags that are kept in `Value.tag` instead of being refused (`!vault`); such a value stays text.

    Raises:
        InvalidFilesError: The file is missing, unreadable, too large or not YAML as this module wants it.
    """
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise InvalidFilesError([Problem(file=str(path), message=f"cannot be read: {error.strerror}")]) from error
    return parse(data, str(path), tags=tags)


def parse(data: bytes, file: str, *, tags: frozenset[str] = frozenset()) -> Document:
    """Read bytes as `read` does; `file` is the name that problems show."""
    reader = _Reader(decode(data, file), file, tags)
    root = reader.document()
    if reader.problems:
        raise InvalidFilesError(reader.problems)
    return Document(file=file, root=root)


def decode(data: bytes, file: str) -> str:
    """Decode the UTF-8 text of a file of at most 1 MiB; a byte order mark is dropped, line ends become LF.

    Raises:
        InvalidFilesError: It is larger, or it is not UTF-8.
    """
    if len(data) > MAX_BYTES:
        problem = Problem(file=file, message=f"is larger than {MAX_BYTES} bytes", hint="split it into several files")
        raise InvalidFilesError([problem])
    try:
        return data.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        before = data[: error.start].replace(b"\r\n", b"\n")
        line = before.count(b"\n") + 1
        column = len(before.rpartition(b"\n")[2].decode("utf-8", "replace")) + 1
        message = f"byte 0x{data[error.start]:02x} is not UTF-8"
        problem = Problem(file=file, line=line, column=column, message=message, hint="save the file as UTF-8")
        raise InvalidFilesError([problem]) from error


class _Reader:
    """Builds values from parser events, so that depth and aliases are refused before anything is built of them."""

    def __init__(self, text: str, file: str, tags: frozenset[str]) -> None:
        self.problems: list[Problem] = []
        self._text = text
        self._file = file
        self._tags = tags
        self._depth = 0

    def document(self) -> Value:
        root = Value(content=None, line=1, column=1, keys={})
        unprintable = yaml.reader.Reader.NON_PRINTABLE.search(self._text)
        if unprintable:
            self._unprintable(unprintable.start())
            return root
        loader = _LOADER(self._text)
        try:
            events = iter(loader.get_event, None)
            documents = 0
            for event in events:
                if isinstance(event, yaml.DocumentStartEvent):
                    documents += 1
                    if documents > 1:
                        self._problem(event, "a second document begins", "keep one document in a file")
                        break
                    root = self._value(next(events), events, "")
        except yaml.YAMLError as error:
            self._syntax(error)
        except _TooDeepError as error:
            self._problem(error.event, f"nested deeper than {MAX_DEPTH} levels")
        finally:
            loader.dispose()
        return root

    def _value(self, event: Any, events: Iterator[Any], field: str) -> Value:
        line, column = _place(event)
        if isinstance(event, yaml.AliasEvent):
            self._problem(event, f"the alias *{event.anchor} is not supported", "write the value out", field)
            return Value(content=None, line=line, column=column, keys={})
        if event.anchor is not None:
            self._problem(event, f"the anchor &{event.anchor} is not supported", "write the value out", field)
        tag = self._tag(event, field)
        if isinstance(event, yaml.ScalarEvent):
            plain = event.style is None or event.style == ""
            content = _resolve(event.value) if plain and not tag else event.value
            if _SURROGATE.search(event.value):
                self._problem(event, "half a surrogate pair is not text", "", field)
            return Value(content=content, line=line, column=column, text=event.value, tag=tag, keys={})
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise _TooDeepError(event)
        is_list = isinstance(event, yaml.SequenceStartEvent)
        value = self._sequence(event, events, field) if is_list else self._mapping(event, events, field)
        self._depth -= 1
        return value

    def _sequence(self, start: Any, events: Iterator[Any], field: str) -> Value:
        line, column = _place(start)
        items: list[Value] = []
        while not isinstance(event := next(events), yaml.SequenceEndEvent):
            items.append(self._value(event, events, f"{field}[{len(items)}]"))
        return Value(content=tuple(items), line=line, column=column, keys={})

    def _mapping(self, start: Any, events: Iterator[Any], field: str) -> Value:
        line, column = _place(start)
        content: dict[str, Value] = {}
        keys: dict[str, tuple[int, int]] = {}
        while not isinstance(event := next(events), yaml.MappingEndEvent):
            key = self._key(event, events, field)
            inner = f"{field}.{key}" if field else key
            value = self._value(next(events), events, inner)
            if key in keys:
                first = keys[key][0]
                self._problem(event, f"is given twice (first in line {first})", "remove one of them", inner)
                continue
            content[key] = value
            keys[key] = _place(event)
        return Value(content=content, line=line, column=column, keys=keys)

    def _key(self, event: Any, events: Iterator[Any], field: str) -> str:
        value = self._value(event, events, field)
        if isinstance(event, yaml.ScalarEvent):
            if value.content == "<<" and not event.style:
                self._problem(event, "merge keys (<<) are not supported", "write the fields out", field)
            elif not isinstance(value.content, str):
                self._problem(event, f"the key {value.text or 'null'} is {value.kind}, not text", "quote it", field)
            return value.text
        self._problem(event, "a key must be text", "quote it if it is meant as text", field)
        return f"line {value.line} column {value.column}"

    def _tag(self, event: Any, field: str) -> str:
        tag: str | None = event.tag
        if tag is None or tag == "!":
            return ""
        if tag in self._tags:
            return tag
        shown = tag.replace("tag:yaml.org,2002:", "!!")
        self._problem(event, f"the tag {shown[:80]} is not supported", "write plain YAML", field)
        return ""

    def _problem(self, event: Any, message: str, hint: str = "", field: str = "") -> None:
        line, column = _place(event)
        self.problems.append(
            Problem(file=self._file, line=line, column=column, field=field[:200], message=message, hint=hint)
        )

    def _syntax(self, error: yaml.YAMLError) -> None:
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        if mark is None:
            self.problems.append(Problem(file=self._file, message=f"is not YAML: {error}"))
            return
        lines = self._text.split("\n")
        here = lines[mark.line] if mark.line < len(lines) else ""
        if "\t" in here[: mark.column + 1]:
            self._tabs(lines, mark.line)
            return
        context = f" ({error.context})" if isinstance(error, yaml.MarkedYAMLError) and error.context else ""
        message = f"is not YAML: {getattr(error, 'problem', None) or error}{context}"
        hint = "check the indentation, and quote text that has ': ' or starts with a special character"
        problem = Problem(file=self._file, line=mark.line + 1, column=mark.column + 1, message=message, hint=hint)
        self.problems.append(problem)

    def _unprintable(self, position: int) -> None:
        before = self._text[:position]
        line, column = before.count("\n") + 1, position - before.rfind("\n")
        message = f"has the control character U+{ord(self._text[position]):04X}"
        self.problems.append(Problem(file=self._file, line=line, column=column, message=message, hint="remove it"))

    def _tabs(self, lines: list[str], first: int) -> None:
        found = 0
        for number, text in enumerate(lines[first:], first + 1):
            indentation = text[: len(text) - len(text.lstrip())]
            at = text.find("\t") if number == first + 1 else indentation.find("\t")
            if at < 0:
                continue
            self.problems.append(
                Problem(file=self._file, line=number, column=at + 1, message="a tab", hint="indent with spaces")
            )
            found += 1
            if found == _MAX_TAB_PROBLEMS:
                return


class _TooDeepError(Exception):
    def __init__(self, event: Any) -> None:
        super().__init__("too deep")
        self.event = event


def _place(event: Any) -> tuple[int, int]:
    return event.start_mark.line + 1, event.start_mark.column + 1


def _resolve(text: str) -> Scalar:
    if text in ("", "~", "null"):
        return None
    if text in ("true", "false"):
        return text == "true"
    if _INTEGER.fullmatch(text):
        return int(text)
    if len(text) < 40 and _FLOAT.fullmatch(text) and math.isfinite(float(text)) and not text.lstrip("+-").isdigit():
        return float(text)
    return text
