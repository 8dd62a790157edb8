"""Ranges of names: `web[01-17,19]` and the names that it stands for.

The syntax is that of ClusterShell's node sets: several brackets in a name, commas and steps in a bracket (`[0-100/5]`),
leading zeros kept.
"""

import itertools
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Final

MAX_NAMES: Final = 100_000  #: more than any inventory; stops web[1-999999999] before memory ends
_MAX_DIMENSIONS: Final = 8
_MAX_DIGITS: Final = 18  #: what a range can say; longer numbers are listed

_BRACKET: Final = re.compile(r"\[([^\[\]]*)\]")
_ITEM: Final = re.compile(r"([0-9]{1,18})(?:-([0-9]{1,18})(?:/([0-9]{1,9}))?)?")
_ANSIBLE_ITEM: Final = re.compile(r"([0-9]{1,18}|[a-zA-Z]):([0-9]{1,18}|[a-zA-Z])(?::([0-9]{1,9}))?")
_NUMBER: Final = re.compile(r"([0-9]+)")
_FOLDABLE: Final = re.compile(r"[A-Za-z0-9._-]{1,253}")


class RangeError(ValueError):
    """A range that cannot be expanded. `start` and `end` are its place in the text (from 0)."""

    def __init__(self, message: str, start: int, end: int) -> None:
        super().__init__(message)
        self.start = start
        self.end = end


def expand(text: str) -> list[str]:
    """Give the names of `web[01-40]`, `r[1-4]n[1-8]`, `a[0-100/5,7]` in the order written; a bare name is itself.

    Raises:
        RangeError: Malformed, or more than 100,000 names.
    """
    return _expand(text, _items)


def expand_ansible(text: str) -> list[str]:
    """Give the names of an Ansible host range: `web[01:20]`, `db-[a:f]`, `n[0:100:5]`, both ends included.

    Raises:
        RangeError: Malformed, or more than 100,000 names.
    """
    return _expand(text, _ansible_items)


def fold(names: Iterable[str]) -> str:
    """Write names as short as possible: `db1,web[01-17,19]`. Duplicates merge; odd names are listed as they are."""
    families: dict[tuple[str, ...], list[tuple[str, ...]]] = defaultdict(list)
    parts: list[str] = []
    for name in dict.fromkeys(names):
        pieces = _NUMBER.split(name)
        numbers = tuple(pieces[1::2])
        if numbers and _FOLDABLE.fullmatch(name) and len(max(numbers, key=len)) <= _MAX_DIGITS:
            families[tuple(pieces[::2])].append(numbers)
        else:
            parts.append(name)
    for texts, rows in families.items():
        parts.extend(_fold_family(texts, rows))
    return ",".join(sorted(parts, key=natural))


def natural(name: str) -> tuple[tuple[int, int, str], ...]:
    """Give the key that sorts web2 before web10, and web02 beside web2."""
    pieces = _NUMBER.split(name)
    return tuple(
        (0, 0, piece) if index % 2 == 0 else (1, int(piece[:4000]), piece) for index, piece in enumerate(pieces)
    )


def _expand(text: str, items: Callable[[str, int], list[str]]) -> list[str]:
    pieces: list[Sequence[str]] = []
    total, at = 1, 0
    for match in _BRACKET.finditer(text):
        pieces += [(_literal(text, at, match.start()),), items(match[1], match.start(1))]
        total *= len(pieces[-1])
        at = match.end()
        if total > MAX_NAMES or len(pieces) > 2 * _MAX_DIMENSIONS:
            raise RangeError(f"stands for more than {MAX_NAMES} names", 0, len(text))
    pieces.append((_literal(text, at, len(text)),))
    return ["".join(parts) for parts in itertools.product(*pieces)]


def _literal(text: str, start: int, end: int) -> str:
    piece = text[start:end]
    for bracket, problem in (("[", "'[' without ']'"), ("]", "']' without '['")):
        if bracket in piece:
            at = start + piece.index(bracket)
            raise RangeError(problem, at, at + 1)
    return piece


def _items(inner: str, at: int) -> list[str]:
    names: list[str] = []
    for item in inner.split(","):
        match = _ITEM.fullmatch(item)
        if match is None:
            raise RangeError(f"{item!r} is not a number or a range as 1-20 or 1-20/2", at, at + max(1, len(item)))
        names += _numbers((match[1], match[2] or match[1], match[3]), at, at + len(item))
        at += len(item) + 1
        if len(names) > MAX_NAMES:
            raise RangeError(f"stands for more than {MAX_NAMES} names", at, at + 1)
    return names


def _ansible_items(inner: str, at: int) -> list[str]:
    match = _ANSIBLE_ITEM.fullmatch(inner)
    if match is None:
        raise RangeError(f"{inner!r} is not a range as 01:20 or a:f", at, at + max(1, len(inner)))
    first, last, step = match.groups()
    if first.isdigit() and last.isdigit():
        return _numbers((first, last, step), at, at + len(inner))
    if first.isdigit() or last.isdigit() or first > last or int(step or 1) < 1 or first.islower() != last.islower():
        raise RangeError(f"{inner!r} does not count upwards from letter to letter", at, at + len(inner))
    return [chr(code) for code in range(ord(first), ord(last) + 1, int(step or 1))]


def _numbers(ends: tuple[str, str, str | None], start: int, end: int) -> list[str]:
    first, last, step = ends
    padded = [text for text in (first, last) if len(text) > 1 and text.startswith("0")]
    if padded and padded[-1] == last and len(first) != len(last):
        raise RangeError(f"{first} and {last} have different numbers of digits", start, end)
    low, high, stride = int(first), int(last), int(step or 1)
    if high < low or stride < 1:
        raise RangeError(f"{first}-{last} does not count upwards", start, end)
    if (high - low) // stride >= MAX_NAMES:
        raise RangeError(f"stands for more than {MAX_NAMES} names", start, end)
    width = len(first) if padded else 0
    return [str(number).zfill(width) for number in range(low, high + 1, stride)]


def _fold_family(texts: tuple[str, ...], rows: list[tuple[str, ...]]) -> list[str]:
    """Fold names of the same texts around their numbers (`rows`), one column of numbers after the other.

    Linear, where the search for the very shortest set is quadratic (seconds for 20,000 names).
    """
    spread = [len({row[column] for row in rows}) for column in range(len(texts) - 1)]
    for column in sorted(range(len(texts) - 1), key=lambda index: -spread[index]):
        alike: dict[tuple[str, ...], list[str]] = defaultdict(list)
        for row in rows:
            alike[(*row[:column], "", *row[column + 1 :])].append(row[column])
        rows = [
            (*rest[:column], folded, *rest[column + 1 :])
            for rest, numbers in alike.items()
            for folded in _fold_numbers(numbers)
        ]
    return [_join(texts, row) for row in rows]


def _fold_numbers(values: list[str]) -> list[str]:
    """Fold numbers into one bracket per width: `[01-17,19]`; a single one stays bare."""
    widths = {len(value) for value in values if value.startswith("0") and value != "0"}
    by_width: dict[int, list[int]] = defaultdict(list)
    for value in values:
        by_width[len(value) if len(value) in widths else 0].append(int(value))
    return [_bracket(sorted(numbers), width) for width, numbers in sorted(by_width.items())]


def _bracket(numbers: list[int], width: int) -> str:
    runs = []
    for _, run in itertools.groupby(enumerate(numbers), lambda pair: pair[1] - pair[0]):
        members = [str(number).zfill(width) for _, number in run]
        runs.append(members[0] if len(members) == 1 else f"{members[0]}-{members[-1]}")
    return runs[0] if len(numbers) == 1 else f"[{','.join(runs)}]"


def _join(texts: Sequence[str], numbers: Sequence[str]) -> str:
    pieces = itertools.zip_longest(texts, numbers, fillvalue="")
    return "".join(piece for pair in pieces for piece in pair)
