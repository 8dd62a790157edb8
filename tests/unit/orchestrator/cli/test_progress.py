import re

import pytest

from orchestrator.cli.progress import progress_line
from orchestrator.cli.tally import Tally
from orchestrator.cli.terminal import Terminal
from tests.unit.orchestrator.cli.runs import as_frame, end, event, job, run, snapshot

WIDE = Terminal(tty=True, colour=False, columns=120)


def tally(*states: str) -> Tally:
    found = Tally()
    jobs = [job(f"web{index:02}", state, index) for index, state in enumerate(states, 1)]
    found.note(as_frame(snapshot(run(*jobs))))
    return found


def test_the_line_tells_how_many_are_where_and_who_is_not_done() -> None:
    line = progress_line(tally("succeeded", "failed", "running", "queued"), 75.9, WIDE, connected=True)
    assert line == "[#####xxxxx>>>>>.....]  1 done  1 failed  1 running  1 waiting  1:15  web03 web04"


def test_colours_draw_the_bar_where_there_are_colours() -> None:
    line = progress_line(
        tally("succeeded", "running"), 0, Terminal(tty=True, colour=True, columns=80, unicode=True), connected=True
    )
    assert line.startswith(f"\x1b[32m{'━' * 10}\x1b[0m\x1b[36m{'━' * 10}\x1b[0m  ")


def test_many_names_are_counted() -> None:
    assert progress_line(tally(*["running"] * 6), 0, WIDE, connected=True).endswith("web01 web02 web03 and 3 more")


def test_those_that_run_are_named_before_those_that_wait() -> None:
    line = progress_line(tally("queued", "queued", "queued", "running"), 0, WIDE, connected=True)
    assert line.endswith("web04 web01 web02 and 1 more")


def test_a_daemon_that_is_away_is_told() -> None:
    assert "trying again" in progress_line(tally("running"), 0, WIDE, connected=False)


@pytest.mark.parametrize("columns", [1, 30, 40, 60, 80])
def test_the_line_fits_the_terminal(columns: int) -> None:
    narrow = Terminal(tty=True, colour=True, columns=columns)
    line = progress_line(tally("running", "failed", "queued"), 10_000, narrow, connected=False)
    assert len(re.sub(r"\x1b\[[0-9;]*m", "", line)) < max(columns, 23)


def test_events_move_jobs_and_the_end_is_the_last_word() -> None:
    found = tally("queued")
    found.note(as_frame(event("running")))
    assert found.counts() == {"running": 1}
    assert found.jobs["01JD0A7Q2M0000000000000000-1"]["started"] == 1001.0
    found.note(as_frame(event("failed", exit_code=1)))
    assert (found.active(), found.ended) == ([], False)
    found.note(as_frame(end(run(job(state="failed"), state="failed"))))
    assert found.ended


def test_an_event_of_a_job_that_is_not_ours_changes_nothing() -> None:
    found = tally("queued")
    found.note(as_frame(event("running", index=9)))
    assert found.counts() == {"queued": 1}


def test_what_jobs_report_is_shown_as_their_mean_with_the_stage_of_the_slowest() -> None:
    found = tally("succeeded", "running", "running", "queued")
    (_, fast, slow, _) = found.jobs.values()
    fast.update(progress=80.0, stage="verify")
    slow.update(progress=20.0, stage="co\x1b[2Jpy")
    line = progress_line(found, 0, WIDE, connected=True)
    assert "50% co" in line
    assert "verify" not in line
    assert "\x1b" not in line
