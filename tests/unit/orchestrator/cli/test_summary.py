import time

import pytest

from orchestrator.cli.summary import summary
from orchestrator.cli.table import table
from orchestrator.cli.terminal import Terminal
from orchestrator.cli.wording import duration, recent, signal_name, size
from tests.unit.orchestrator.cli.runs import job, run

PIPE = Terminal(tty=False, colour=False, columns=80)


def test_each_node_has_its_row_and_the_counts_come_last() -> None:
    jobs = [job("web01", "succeeded"), job("web02", "failed", 2, exit_code=3)]
    assert summary(run(*jobs, state="failed"), PIPE, now=2000.0) == (
        "NODE   STATE      EXIT  TIME   MESSAGE\n"
        "web01  succeeded  0     1.0 s\n"
        "web02  failed     3     1.0 s\n"
        "2 nodes: 1 succeeded, 1 failed in 2.0 s\n"
    )


def test_of_many_nodes_only_those_that_did_not_succeed_have_rows() -> None:
    jobs = [job(f"web{index:02}", "succeeded", index) for index in range(1, 40)]
    text = summary(run(*jobs, job("db1", "start_failed", 40, message="no route"), state="failed"), PIPE, now=2000.0)
    assert [line.split()[0] for line in text.splitlines()] == ["NODE", "db1", "40"]
    assert "no route" in text


def test_many_that_all_succeeded_are_one_line() -> None:
    jobs = [job(f"web{index:02}", "succeeded", index) for index in range(1, 41)]
    assert summary(run(*jobs, state="succeeded"), PIPE, now=2000.0) == "40 nodes: 40 succeeded in 2.0 s\n"


def test_a_message_cannot_command_the_terminal_or_make_a_row() -> None:
    text = summary(run(job(state="start_failed", message="x\x1b[2J\nforged")), PIPE, now=2000.0)
    assert "x\\x1b[2J\\nforged\n" in text


def test_on_a_terminal_a_long_message_is_cut_at_its_edge() -> None:
    narrow = Terminal(tty=True, colour=False, columns=60)
    text = summary(run(job(state="start_failed", message="long " * 40)), narrow, now=2000.0)
    assert all(len(line) <= 60 for line in text.splitlines())


def test_a_terminal_gets_no_column_with_nothing_in_it() -> None:
    wide = Terminal(tty=True, colour=False, columns=80)
    assert "MESSAGE" not in summary(run(job(state="succeeded")), wide, now=2000.0)
    assert "MESSAGE" in summary(run(job(state="start_failed", message="why")), wide, now=2000.0)
    assert "MESSAGE" in summary(run(job(state="succeeded")), PIPE, now=2000.0)


def test_the_widest_columns_are_cut_first_and_the_first_column_never() -> None:
    row = ["id" * 13, "n" * 30, "w" * 50, "short"]
    lines = table(("ID", "NODES", "WHAT", "X"), [row], Terminal(tty=True, colour=False, columns=77)).splitlines()
    assert lines[1] == f"{row[0]}  {'n' * 19}…  {'w' * 19}…  short"
    assert table(("ID", "NODES", "WHAT", "X"), [row], PIPE).splitlines()[1] == "  ".join(row)


def test_of_today_only_the_time_of_day_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    assert (recent(1000.0, 2000.0), recent(1000.0, 90_000.0)) == ("00:16:40", "1970-01-01 00:16")
    monkeypatch.undo()
    time.tzset()


def test_a_killed_job_shows_the_code_that_a_shell_would_have() -> None:
    text = summary(run(job(state="failed", exit_code=None, signal=9)), PIPE, now=2000.0)
    assert "137" in text
    assert "killed by SIGKILL (9)" in text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "-"), (0.017, "17 ms"), (0.096, "0.1 s"), (9.94, "9.9 s"), (42.9, "42 s"), (60, "1 m 00 s"),
     (185, "3 m 05 s"), (3599, "59 m 59 s"), (7800, "2 h 10 m"), (86399, "23 h 59 m"), (356400, "4 d 03 h"),
     (-3, "0 ms")],
)  # fmt: skip
def test_spans_of_time_have_two_figures(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


def test_sizes_have_binary_units() -> None:
    assert [size(number) for number in (17, 1536, 5 << 30, 3 << 40)] == ["17 B", "1.5 KiB", "5.0 GiB", "3.0 TiB"]


def test_signals_have_names_where_there_are_names() -> None:
    assert [signal_name(number) for number in (15, 40, 99)] == ["SIGTERM (15)", "signal 40", "signal 99"]
