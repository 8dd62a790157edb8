"""The text of a pattern (see `jobs.pattern`): read into a tree, and written again for JSON Schema and browsers."""

from collections.abc import Sequence
from typing import Final, NamedTuple

MAX_TEXT: Final = 1000  #: characters of a pattern
MAX_STATES: Final = 1000  #: characters of a pattern whose repeats are written out
_MAX_DEPTH: Final = 30  #: groups in groups
_LAST: Final = 0x10FFFF

Ranges = tuple[tuple[int, int], ...]  #: first and last code point of each range, sorted, not touching

_DIGITS: Final[Ranges] = ((0x30, 0x39),)
_WORD: Final[Ranges] = ((0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A))
_SPACE: Final[Ranges] = ((0x09, 0x0D), (0x20, 0x20))
_CLASSES: Final[dict[str, Ranges]] = {"d": _DIGITS, "w": _WORD, "s": _SPACE}
_CONTROLS: Final = {"t": "\t", "n": "\n", "r": "\r", "f": "\f", "v": "\v"}
_HEX: Final = {"x": 2, "u": 4}
_REPEATS: Final[dict[str, tuple[int, int | None]]] = {"*": (0, None), "+": (1, None), "?": (0, 1)}


class PatternError(ValueError):
    """A pattern that cannot be used; the text says what and at which character."""


class Node(NamedTuple):
    """A part of a pattern: `set` (one character), `all` (in sequence), `any` (alternatives) or `repeat`."""

    kind: str
    ranges: Ranges = ()
    parts: tuple["Node", ...] = ()
    low: int = 1
    high: int | None = 1


def parse(text: str) -> Node:
    """Read a pattern.

    Raises:
        PatternError: What is wrong, and where.
    """
    if len(text) > MAX_TEXT:
        raise PatternError(f"is longer than {MAX_TEXT} characters")
    return _Reader(text).pattern()


def weight(node: Node) -> int:
    """How many characters a pattern has when its repeats are written out."""
    if node.kind == "set":
        return 1
    inner = sum(weight(part) for part in node.parts) + 1
    return inner * max(node.low + 1 if node.high is None else node.high, 1) if node.kind == "repeat" else inner


def written(node: Node) -> str:
    """Write a pattern with nothing but what all engines understand alike: no `.`, no classes by letter."""
    if node.kind == "set":
        return _set(node.ranges)
    if node.kind == "all":
        return "".join(map(written, node.parts))
    if node.kind == "any":
        return "(?:" + "|".join(map(written, node.parts)) + ")"
    repeat = f"{{{node.low},{'' if node.high is None else node.high}}}"
    return f"(?:{written(node.parts[0])}){repeat}"


def _set(ranges: Ranges) -> str:
    if ranges in {(), ((0, _LAST),)}:
        return "[\\s\\S]" if ranges else "[^\\s\\S]"
    if ranges[-1][1] == _LAST:
        return f"[^{_inside(_others(ranges))}]"
    return f"[{_inside(ranges)}]"


def _inside(ranges: Ranges) -> str:
    return "".join(_one(low) if low == high else f"{_one(low)}-{_one(high)}" for low, high in ranges)


def _one(code: int) -> str:
    character = chr(code)
    if character.isascii() and character.isalnum():
        return character
    return f"\\u{code:04x}" if code <= 0xFFFF else character


def _others(ranges: Sequence[tuple[int, int]]) -> Ranges:
    """Every character that is in none of the ranges."""
    gaps = []
    start = 0
    for low, high in ranges:
        if low > start:
            gaps.append((start, low - 1))
        start = high + 1
    return (*gaps, (start, _LAST)) if start <= _LAST else tuple(gaps)


def _joined(ranges: Sequence[tuple[int, int]]) -> Ranges:
    joined: list[tuple[int, int]] = []
    for low, high in sorted(ranges):
        if joined and low <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(high, joined[-1][1]))
        else:
            joined.append((low, high))
    return tuple(joined)


class _Reader:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.depth = 0

    def pattern(self) -> Node:
        if self._peek() == "^":
            self.at += 1
        node = self._alternatives()
        if self.at < len(self.text):
            raise self._error("has a ) without a (")
        return node

    def _error(self, message: str) -> PatternError:
        return PatternError(f"{message}, at character {self.at + 1}")

    def _peek(self) -> str:
        return self.text[self.at : self.at + 1]

    def _take(self) -> str:
        if self.at >= len(self.text):
            raise self._error("ends too early")
        self.at += 1
        return self.text[self.at - 1]

    def _alternatives(self) -> Node:
        parts = [self._sequence()]
        while self._peek() == "|":
            self.at += 1
            parts.append(self._sequence())
        return parts[0] if len(parts) == 1 else Node("any", parts=tuple(parts))

    def _sequence(self) -> Node:
        parts: list[Node] = []
        while self._peek() not in {"", "|", ")"}:
            if self._peek() == "$" and self.at == len(self.text) - 1 and not self.depth:
                self.at += 1
                break
            parts.append(self._repeated(self._atom()))
        return Node("all", parts=tuple(parts))

    def _repeated(self, node: Node) -> Node:
        limits = self._limits()
        if limits is None:
            return node
        if self._peek() == "?":  # "as few as possible" is the same for a whole match
            self.at += 1
        if self._peek() in _REPEATS:
            raise self._error("has two repeats in a row")
        return Node("repeat", parts=(node,), low=limits[0], high=limits[1])

    def _limits(self) -> tuple[int, int | None] | None:
        sign = self._peek()
        if sign in _REPEATS:
            self.at += 1
            return _REPEATS[sign]
        if sign != "{":
            return None
        self.at += 1
        low = self._count()
        high: int | None = low
        if self._peek() == ",":
            self.at += 1
            high = None if self._peek() == "}" else self._count()
        if self._take() != "}" or (high is not None and high < low):
            raise self._error("has an unusable repeat: write {2}, {2,} or {2,5}")
        return low, high

    def _count(self) -> int:
        start = self.at
        while self._peek() and self._peek() in "0123456789":
            self.at += 1
        if not 1 <= self.at - start <= 4:
            raise self._error("has an unusable repeat: write {2}, {2,} or {2,5}, or \\{ for the character")
        return int(self.text[start : self.at])

    def _atom(self) -> Node:
        character = self._take()
        if character == "(":
            return self._group()
        if character == "[":
            return Node("set", ranges=self._class())
        if character == ".":
            return Node("set", ranges=_others([(0x0A, 0x0A)]))
        if character == "\\":
            return Node("set", ranges=self._escape())
        if character in "*+?{":
            raise self._error("repeats nothing")
        if character in "^$":
            raise self._error(f"has a {character} inside: a pattern matches the whole value anyway")
        return Node("set", ranges=((ord(character), ord(character)),))

    def _group(self) -> Node:
        if self._peek() == "?":
            if self.text[self.at : self.at + 2] != "?:":
                raise self._error("has a (? that is not understood: only (...) and (?:...) are")
            self.at += 2
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            raise self._error(f"has more than {_MAX_DEPTH} groups in each other")
        node = self._alternatives()
        if self._peek() != ")":
            raise self._error("has a ( without a )")
        self.at += 1
        self.depth -= 1
        return node

    def _escape(self) -> Ranges:
        letter = self._take()
        if letter.lower() in _CLASSES:
            ranges = _CLASSES[letter.lower()]
            return ranges if letter.islower() else _others(ranges)
        if letter in _HEX:
            digits = self.text[self.at : self.at + _HEX[letter]]
            if len(digits) < _HEX[letter] or any(digit not in "0123456789abcdefABCDEF" for digit in digits):
                raise self._error(f"has a \\{letter} without {_HEX[letter]} hexadecimal digits")
            self.at += len(digits)
            return ((int(digits, 16), int(digits, 16)),)
        character = _CONTROLS.get(letter, letter)
        if character == letter and letter.isalnum():
            raise self._error(f"has a \\{letter}, which is not understood")
        return ((ord(character), ord(character)),)

    def _class(self) -> Ranges:
        negated = self._peek() == "^"
        self.at += negated
        ranges: list[tuple[int, int]] = []
        while self._peek() != "]":
            ranges += self._item()
        if not ranges:
            raise self._error("has an empty [ ]: write \\] for the character")
        self.at += 1
        joined = _joined(ranges)
        return _others(joined) if negated else joined

    def _item(self) -> Ranges:
        first = self._member()
        if self._peek() != "-" or self.text[self.at + 1 : self.at + 2] in {"", "]"}:
            return first
        self.at += 1
        last = self._member()
        if len(first) != 1 or len(last) != 1 or first[0][0] != first[0][1] or last[0][0] != last[0][1]:
            raise self._error("has a range of classes: write \\- for the character")
        if last[0][0] < first[0][0]:
            raise self._error("has a range that ends before it begins")
        return ((first[0][0], last[0][0]),)

    def _member(self) -> Ranges:
        character = self._take()
        return self._escape() if character == "\\" else ((ord(character), ord(character)),)
