"""Mistakes that people make in files, told all at once.

`Problem` is one mistake with its place; `InvalidFilesError` carries every mistake of every file that was read, so that
nobody has to run a program ten times to find ten typing errors. Inventories, settings and job types use both.
"""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One mistake: where it is, what it is and the way out.

    `line` and `column` count from 1; None = the file as a whole. `field` is the dotted path of the field
    (`nodes.web01.port`), empty where there is none.
    """

    file: str
    line: int | None = None
    column: int | None = None
    field: str = ""
    message: str
    hint: str = ""

    def __str__(self) -> str:
        place = ":".join(str(part) for part in (self.file, self.line, self.column) if part is not None)
        text = ": ".join(part for part in (place, self.field, self.message) if part)
        return visible(f"{text}; {self.hint}" if self.hint else text)


class InvalidFilesError(Exception):
    """Files that cannot be used as they are. `problems` lists every mistake, by file, line and column."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(set(problems), key=_place))
        super().__init__("\n".join(str(problem) for problem in self.problems))


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Give the hint `did you mean 'x'?` for a misspelt word, or the empty string where nothing is near."""
    near = difflib.get_close_matches(word[:200], list(known), n=1, cutoff=0.6)
    return f"did you mean {near[0]!r}?" if near else ""


def visible(text: str) -> str:
    """Write control characters and the like as escapes, so that text of a file cannot steer a terminal."""
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in text)


def _place(problem: Problem) -> tuple[str, int, int, str]:
    return problem.file, problem.line or 0, problem.column or 0, problem.field
