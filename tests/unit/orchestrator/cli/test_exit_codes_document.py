"""The page about exit codes and the code say the same."""

import re

from orchestrator.cli import exitcode
from tests.unit.orchestrator.cli.conftest import ENTRY

PAGE = (ENTRY.parent / "docs/reference/exit-codes.md").read_text()


def table(heading: str) -> dict[str, str]:
    section = PAGE.split(f"## {heading}\n")[1].split("\n## ")[0]
    return dict(re.findall(r"^\| ([^|]+?) \| ((?:\\\||[^|])+?) \|$", section, re.MULTILINE))


def test_the_table_for_several_jobs_has_every_code_in_the_order_in_which_they_count() -> None:
    codes = [int(code) for code in table("Several jobs") if code.isdecimal()]
    assert codes == [
        exitcode.OK, exitcode.CANCELLED, exitcode.UNREACHABLE, exitcode.TIMED_OUT, exitcode.ALL_FAILED,
        exitcode.SOME_FAILED,
    ]  # fmt: skip


def test_every_mode_is_described() -> None:
    assert {f"`{mode}`" for mode in exitcode.RcMode} <= set(table("Several jobs"))


def test_the_codes_of_one_job_and_of_the_tool_are_described() -> None:
    one, tool = table("One job"), table("The tool itself")
    assert {str(exitcode.NOT_FOUND), str(exitcode.NOT_EXECUTABLE)} <= set(one)
    codes = (exitcode.TOOL_ERROR, exitcode.USAGE, exitcode.INTERRUPTED, exitcode.PIPE_CLOSED)
    assert {str(code) for code in codes} <= set(tool)
