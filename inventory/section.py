"""Reads a mapping of a YAML document field by field and collects every mistake on the way.

    section = Section.of(document, problems)
    port = section.integer("port", low=1, high=65535)
    ssh = section.section("ssh")
    section.done()  # unknown keys become problems

Every reading method gives None where the field is absent, null or wrong (a wrong one is already a problem by then), so
defaults stay with the caller. Nothing is raised: the caller raises `InvalidFilesError(problems)` when it has read all.
"""

import re
from collections.abc import Collection, Iterator
from typing import Any, Final

from inventory.problems import Problem, did_you_mean
from inventory.yamlfile import Document, Value

_DURATION: Final = re.compile(
    r"(?:([0-9]{1,6})d)?(?:([0-9]{1,6})h)?(?:([0-9]{1,6})m)?(?:([0-9]{1,9}(?:\.[0-9]{1,6})?)s)?"
)
_UNITS: Final = (86400.0, 3600.0, 60.0, 1.0)


class Section:
    """One mapping; remembers which keys were read. `field` is its dotted path, empty at the top."""

    def __init__(self, value: Value, *, file: str, field: str, problems: list[Problem]) -> None:
        self.file = file
        self.field = field
        self.problems = problems
        self._value = value
        self._content: dict[str, Value] = {}
        self._known: dict[str, None] = {}
        if isinstance(value.content, dict):
            self._content = value.content
        elif value.content is not None:
            message = f"expected a mapping, found {_shown(value)}"
            self._append(value.line, value.column, field, message, "write 'key: value' lines")

    @classmethod
    def of(cls, document: Document, problems: list[Problem]) -> "Section":
        """Start at the top of a document; mistakes go to `problems`."""
        return cls(document.root, file=document.file, field="", problems=problems)

    def __contains__(self, key: str) -> bool:
        """Whether the key is there and not null."""
        return key in self._content and self._content[key].content is not None

    def value(self, key: str) -> Value | None:
        """Give the raw value with its place, for content that this class has no word for; counts as read."""
        self._known[key] = None
        value = self._content.get(key)
        return None if value is None or value.content is None else value

    def items(self) -> Iterator[tuple[str, Value]]:
        """Give all keys and values of a mapping with free keys (names, labels); all count as read."""
        for key, value in self._content.items():
            self._known[key] = None
            yield key, value

    def path(self, key: str) -> str:
        """The dotted path of a key of this section."""
        return f"{self.field}.{key}" if self.field else key

    def place(self, key: str) -> tuple[int, int]:
        """The line and column of a key, or of the section itself where the key is not there."""
        return self._value.keys.get(key, (self._value.line, self._value.column))

    def problem(self, key: str, message: str, hint: str = "") -> None:
        """Record a mistake at the value of a key (or at the section, for a key that is not there)."""
        value = self._content.get(key, self._value)
        self._append(value.line, value.column, self.path(key), message, hint)

    def text(self, key: str) -> str | None:
        """Read text. A number counts as text, as it was written; true, false, lists and mappings do not."""
        value = self.value(key)
        return None if value is None else self._text(value, key)

    def texts(self, key: str) -> tuple[str, ...] | None:
        """Read a list of texts; a single text is a list of one."""
        value = self.value(key)
        if value is None:
            return None
        items = value.content if isinstance(value.content, tuple) else (value,)
        texts = [self._text(item, key) for item in items]
        return tuple(text for text in texts if text is not None)

    def boolean(self, key: str) -> bool | None:
        """Read `true` or `false`; `yes`, `no`, `on`, `off`, 0 and 1 are mistakes that get a hint."""
        value = self.value(key)
        if value is None:
            return None
        if isinstance(value.content, bool):
            return value.content
        self._expected(value, key, "true or false", "write true or false, without quotes")
        return None

    def integer(self, key: str, *, low: int | None = None, high: int | None = None) -> int | None:
        """Read a whole number within inclusive limits."""
        value = self.value(key)
        if value is None:
            return None
        number = value.content
        wanted = "a whole number" + _limits(low, high)
        if isinstance(number, bool) or not isinstance(number, int):
            self._expected(value, key, wanted, _number_hint(value))
            return None
        return number if self._within(value, key, number, (low, high), wanted) else None

    def number(self, key: str, *, low: float | None = None, high: float | None = None) -> float | None:
        """Read a finite number within inclusive limits."""
        value = self.value(key)
        if value is None:
            return None
        number = value.content
        wanted = "a number" + _limits(low, high)
        if isinstance(number, bool) or not isinstance(number, int | float):
            self._expected(value, key, wanted, _number_hint(value))
            return None
        return float(number) if self._within(value, key, number, (low, high), wanted) else None

    def duration(self, key: str, *, low: float | None = None, high: float | None = None) -> float | None:
        """Read a length of time in seconds: `30s`, `5m`, `1h30m`, `2d`, or a bare number of seconds."""
        value = self.value(key)
        if value is None:
            return None
        wanted = "a duration" + _limits(low, high, " seconds")
        content = value.content
        seconds = parse_duration(value.text) if not isinstance(content, bool | tuple | dict) else None
        if seconds is None:
            self._expected(value, key, wanted, "write it as 30s, 5m, 2h or 1h30m")
            return None
        return seconds if self._within(value, key, seconds, (low, high), wanted) else None

    def choice(self, key: str, allowed: Collection[str]) -> str | None:
        """Read one of a few words."""
        text = self.text(key)
        if text is None or text in allowed:
            return text
        self.problem(key, f"expected one of {', '.join(allowed)}, found {text[:80]!r}", did_you_mean(text, allowed))
        return None

    def plain(self, key: str) -> dict[str, Any] | None:
        """Read a mapping with free content (`vars`) as bare Python objects."""
        value = self.value(key)
        if value is None:
            return None
        if not isinstance(value.content, dict):
            self._expected(value, key, "a mapping", "write 'key: value' lines")
            return None
        plain: dict[str, Any] = value.plain()
        return plain

    def section(self, key: str) -> "Section":
        """Go down to a mapping; an absent one is an empty section."""
        value = self.value(key)
        if value is None:
            line, column = self.place(key)
            value = Value(content=None, line=line, column=column, keys={})
        return Section(value, file=self.file, field=self.path(key), problems=self.problems)

    def require(self, *keys: str) -> None:
        """Record a problem for each of the keys that is absent or null."""
        for key in keys:
            if key not in self:
                self.problem(key, "is missing")

    def done(self, *, also: Collection[str] = ()) -> None:
        """Record a problem for each key that nobody has read; `also` are keys that would be understood too."""
        known = {*self._known, *also}
        for key in self._content:
            if key not in known:
                hint = did_you_mean(key, known) or f"known here: {', '.join(sorted(known))}"
                line, column = self.place(key)
                self._append(line, column, self.path(key)[:200], "unknown field", hint)

    def _text(self, value: Value, key: str) -> str | None:
        if isinstance(value.content, str | int | float) and not isinstance(value.content, bool):
            return value.text
        hint = "quote it" if isinstance(value.content, bool) or value.content is None else ""
        self._expected(value, key, "text", hint)
        return None

    def _within(
        self, value: Value, key: str, number: float, limits: tuple[float | None, float | None], wanted: str
    ) -> bool:
        low, high = limits
        if (low is None or number >= low) and (high is None or number <= high):
            return True
        self._expected(value, key, wanted, "")
        return False

    def _expected(self, value: Value, key: str, wanted: str, hint: str) -> None:
        self._append(value.line, value.column, self.path(key), f"expected {wanted}, found {_shown(value)}", hint)

    def _append(self, line: int, column: int, field: str, message: str, hint: str) -> None:
        problem = Problem(file=self.file, line=line, column=column, field=field, message=message, hint=hint)
        self.problems.append(problem)


def parse_duration(text: str) -> float | None:
    """Give the seconds of `30s`, `5m`, `1h30m`, `2d`, `1.5` (seconds); None for anything else."""
    if re.fullmatch(r"[0-9]{1,9}(?:\.[0-9]{1,6})?", text):
        return float(text)
    match = _DURATION.fullmatch(text)
    if match is None or not text:
        return None
    return sum(float(part) * unit for part, unit in zip(match.groups(), _UNITS, strict=True) if part)


def _shown(value: Value) -> str:
    if isinstance(value.content, tuple | dict | None):
        return value.kind
    return repr(value.text if len(value.text) <= 80 else value.text[:80] + "...")


def _limits(low: float | None, high: float | None, unit: str = "") -> str:
    low_text, high_text = (None if limit is None else f"{limit:.12g}{unit}" for limit in (low, high))
    if low_text and high_text:
        return f" from {low_text} to {high_text}"
    if low_text:
        return f" of at least {low_text}"
    return f" up to {high_text}" if high_text else ""


def _number_hint(value: Value) -> str:
    text = value.text
    if re.fullmatch(r"[-+]?0[0-9]+", text):
        return "a number does not start with 0 (octal is not understood)"
    if re.fullmatch(r"[0-9]+(:[0-9]+)+", text):
        return "numbers to the base 60 are not understood"
    if re.fullmatch(r"[-+]?[0-9]+", text):
        return "write it without quotes" if len(text) < 19 else "the number is too large"
    return ""
