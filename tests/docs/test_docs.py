import re
from pathlib import Path

import click
import pytest

from jobs.lifecycle import Event, State
from orchestrator.settings import SETTINGS
from tests.docs.generate import PAGES, commands

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
WORDS = re.findall(
    r"\w+",
    """node inventory group target request plan job jobset run attempt token runner relay supervisor spool transport
    channel session frame event effect controller dispatcher observer watcher epoch fence outcome reason claim
    reattach resume""",
)
#: what a job finds in its environment, beside the variables that go on with the name of a parameter
GIVEN = {
    name
    for path in [*(ROOT / "remote").rglob("*.py"), ROOT / "orchestrator/translate.py"]
    for name in re.findall(r"\bANYJOB_[A-Z_]+\b", path.read_text("utf-8"))
}
PAGE_FILES = sorted(DOCS.rglob("*.md"))


def headings(page: str) -> set[str]:
    found = re.findall(r"^#+ `?(.+?)`?(?: \{.*\})?$", (DOCS / page).read_text("utf-8"), re.MULTILINE)
    return set(found)


@pytest.mark.parametrize("page", PAGES)
def test_a_generated_page_is_as_the_code_is(page: str) -> None:
    assert (DOCS / "reference" / page).read_text("utf-8") == PAGES[page](), "run `make reference`"


@pytest.mark.parametrize("name", SETTINGS)
def test_a_setting_has_its_heading(name: str) -> None:
    assert name in headings("reference/settings.md")


@pytest.mark.parametrize("name", [*State, *Event])
def test_a_state_and_an_event_have_their_heading(name: str) -> None:
    assert name in headings("reference/states.md")


def test_a_command_has_its_heading() -> None:
    assert {context.command_path for context in commands()} <= headings("reference/cli.md")


@pytest.mark.parametrize("context", list(commands()), ids=lambda context: context.command_path)
def test_a_commands_help_shows_examples_that_name_it(context: click.Context) -> None:
    is_group = isinstance(context.command, click.Group)
    assert is_group or context.get_help().count(context.command_path) > 1


@pytest.mark.parametrize("word", WORDS)
def test_a_word_of_the_glossary_has_its_heading(word: str) -> None:
    assert word in headings("glossary.md")


@pytest.mark.parametrize("path", sorted((DOCS / "adr").glob("0*.md")), ids=lambda path: path.name)
def test_a_decision_is_short_and_in_the_index(path: Path) -> None:
    assert len(path.read_text("utf-8").splitlines()) <= 40
    assert path.name in (DOCS / "adr/index.md").read_text("utf-8")


@pytest.mark.parametrize("path", PAGE_FILES, ids=lambda path: str(path.relative_to(DOCS)))
def test_a_page_is_in_the_navigation(path: Path) -> None:
    assert str(path.relative_to(DOCS)) in (ROOT / "mkdocs.yml").read_text("utf-8")


@pytest.mark.parametrize("path", PAGE_FILES, ids=lambda path: str(path.relative_to(DOCS)))
def test_settings_and_variables_that_a_page_names_exist(path: Path) -> None:
    text = path.read_text("utf-8")
    variables = {setting.variable for setting in SETTINGS.values()} | {"ANYJOB_REDIS_URL_FILE", "ANYJOB_SITE"} | GIVEN
    assert set(re.findall(r"\bANYJOB_(?!PARAM_|SECRET_)[A-Z_]+\b", text)) <= variables
    groups = "|".join({name.partition(".")[0] for name in SETTINGS if "." in name})
    named = set(re.findall(rf"`((?:{groups})\.(?!py`)[a-z_]+)`", text))
    assert named <= SETTINGS.keys()
