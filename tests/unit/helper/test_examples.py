"""The examples are run: whatever the language, AnyJob hears the same."""

import pytest

from jobs.reports import Finish, Log, Progress, Report, Result
from tests.unit.helper.jobprocess import ROOT, run

EXAMPLES = sorted((ROOT / "examples").glob("copy.*"))
LABEL = 'two\nlines, "quotes", back\\slashes,\ta tab, $(id) `id` Größe 漢字 😀 %s'


def test_there_are_examples_in_four_languages_and_shell() -> None:
    assert [path.suffix for path in EXAMPLES] == [".bash", ".js", ".pl", ".py", ".sh"]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_every_language_reports_the_same(path: object) -> None:
    ended = run([path], params={"count": 3, "label": LABEL})
    assert (ended.code, ended.out, ended.err) == (0, "", "")
    assert ended.said == [
        Report(log=Log(level="info", tag="copy", message="copying 3 tables")),
        Report(progress=Progress(percent=33, stage="copy", message=f"table 1: {LABEL}")),
        Report(progress=Progress(percent=66, stage="copy", message=f"table 2: {LABEL}")),
        Report(progress=Progress(percent=100, stage="copy", message=f"table 3: {LABEL}")),
        Report(metrics={"tables": 3.0}),
        Report(data={"label": LABEL}),
        Report(result=Result(value="3 tables")),
        Report(finish=Finish(ok=True, message="all copied")),
    ]
