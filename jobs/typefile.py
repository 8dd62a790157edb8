"""Reads the job types of a site (`jobs.d/*.yaml`) and those that come with AnyJob.

A file maps names of types to their definitions (`docs/reference/job-types.md`). A site's type replaces the stock type
of that name. A type with a mistake is not there at all: neither half of it, nor the stock type that it was to replace.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from inventory.fields import shown
from inventory.problems import InvalidFilesError, Problem
from inventory.section import Section
from inventory.yamlfile import read
from jobs.jobtype import JobType
from jobs.typefields import read_type

NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
STOCK: Final = Path(__file__).parent / "stock"
MAX_FILES: Final = 1000
_SUFFIXES: Final = frozenset({".yaml", ".yml"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Types:
    """The types that can be used, by name in the order of lists, and every mistake of the files."""

    by_name: Mapping[str, JobType]
    problems: tuple[Problem, ...]


def load_types(directory: Path | None, *, stock: bool = True) -> Types:
    """Read all types.

    Args:
        directory: The site's `jobs.d`; None or a missing one = the site has none.
        stock: Whether the types that come with AnyJob are there too.
    """
    found = _Found()
    if directory is not None and directory.is_dir():
        found.read(directory, stock=False)
    if stock:
        found.read(STOCK, stock=True)
    usable = [job_type for name, job_type in found.types.items() if name not in found.broken]
    usable.sort(key=lambda job_type: (job_type.order, job_type.name))
    problems = InvalidFilesError(found.problems).problems
    return Types(by_name={job_type.name: job_type for job_type in usable}, problems=problems)


class _Found:
    def __init__(self) -> None:
        self.types: dict[str, JobType] = {}
        self.places: dict[str, str] = {}
        self.broken: set[str] = set()
        self.problems: list[Problem] = []

    def read(self, directory: Path, *, stock: bool) -> None:
        before = set(self.places)
        for path in self._files(directory):
            try:
                document = read(path)
            except InvalidFilesError as error:
                self.problems += error.problems
                continue
            top = Section.of(document, self.problems)
            for name in dict(top.items()):
                if not (stock and name in before):
                    self._take(top, name, stock=stock)

    def _files(self, directory: Path) -> Iterator[Path]:
        try:
            paths = sorted(path for path in directory.iterdir() if path.suffix in _SUFFIXES and path.name[0] != ".")
        except OSError as error:
            self.problems.append(Problem(file=str(directory), message=f"cannot be read: {error.strerror}"))
            return
        if len(paths) > MAX_FILES:
            self.problems.append(Problem(file=str(directory), message=f"has more than {MAX_FILES} files"))
        yield from paths[:MAX_FILES]

    def _take(self, top: Section, name: str, *, stock: bool) -> None:
        place = f"{top.file}:{top.place(name)[0]}"
        mistakes = len(self.problems)
        if not NAME.fullmatch(name):
            hint = "small letters, digits, - and _, at most 64, the first a letter or digit"
            top.problem(name, f"{shown(name)} cannot be the name of a type", hint)
        elif name in self.places:
            top.problem(name, f"the type {name} is already in {self.places[name]}", "choose another name")
        self.places.setdefault(name, place)
        if top.value(name) is None:
            top.problem(name, "is empty", "a type needs something to run: command, script, script_file or python")
        else:
            job_type = read_type(top.section(name), name, place=place, stock=stock)
            if job_type is not None:
                self.types[name] = job_type
        if len(self.problems) > mistakes:
            self.broken.add(name)
