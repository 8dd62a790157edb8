"""Rules of the house that no linter knows."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("inventory", "jobs", "remote", "orchestrator", "web")
FILES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
VAGUE = {"utils", "util", "helpers", "common", "base", "manager", "misc", "tools"}
#: words that the glossary replaces by others
NEVER = {
    word
    for line in re.findall(r"Not: (.+)", (ROOT / "docs/glossary.md").read_text("utf-8"))
    for word in re.findall(r"`(\w+)`", line)
}


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


def definitions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef]:
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node


def length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function without its docstring."""
    first = function.body[0]
    docstring = 0
    if ast.get_docstring(function) is not None:
        docstring = (first.end_lineno or first.lineno) - first.lineno + 1
    return (function.end_lineno or function.lineno) - function.lineno + 1 - docstring


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_a_file_can_be_read_in_one_sitting(path: Path) -> None:
    assert len(path.read_bytes().splitlines()) <= 300


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_a_function_fits_on_a_screen(path: Path) -> None:
    long = {
        node.name: length(node)
        for node in definitions(path)
        if not isinstance(node, ast.ClassDef) and length(node) > 40
    }
    assert long == {}


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_a_modules_name_tells_what_it_holds(path: Path) -> None:
    assert not VAGUE & set(re.split(r"[_/.]", relative(path)))


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_a_word_that_the_glossary_replaces_names_nothing(path: Path) -> None:
    for node in definitions(path):
        words = set(re.findall(r"[a-z]+", re.sub(r"([A-Z])", r"_\1", node.name).lower()))
        assert not words & NEVER, node.name


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_work_that_is_left_is_in_the_tracker_and_not_in_the_code(path: Path) -> None:
    assert not re.search(rb"\b(TODO|FIXME|XXX|HACK)\b", path.read_bytes())


def test_there_are_files_and_words_to_look_for() -> None:
    assert "manager" in NEVER
    assert {path.parts[len(ROOT.parts)] for path in FILES} == set(PACKAGES)
