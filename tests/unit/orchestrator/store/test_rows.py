import msgspec
import pytest

from jobs.lifecycle import State
from jobs.records import JobRecord
from orchestrator.store.rows import JOB_COLUMNS, OF_ATTEMPT, REPORTED, columns, job_record

RUN = "01JDABCDEFGHJKMNPQRSTVWXYZ"
FULL = JobRecord(
    id=f"{RUN}-2",
    run=RUN,
    index=2,
    node="n2",
    state=State.FAILED,
    created=1.5,
    reason="a:b",
    message="it \x00 said é",
    attempt=1,
    started=2.5,
    ended=3.5,
    exit_code=7,
    signal=None,
    stdout_bytes=5,
    stderr_bytes=6,
    dropped_bytes=1,
    cpu_s=0.25,
    max_rss=1 << 40,
    link="unknown",
    link_since=3.25,
    progress=99.99,
    stage="copy",
    note="table \x1b[1m12",
    result=[{"rows": None}],
    data={"k": {"deep": [1.5]}},
    metrics={"rate": 0.1},
    left=(4711, 4712),
    retry_at=9.5,
    report_bytes=1 << 33,
)


def test_every_column_of_a_job_comes_back_as_it_was() -> None:
    written = msgspec.to_builtins(FULL)
    plain = {"node", "state"}
    row = [written[name].encode() if name in plain else msgspec.json.encode(written[name]) for name in JOB_COLUMNS]
    assert job_record(FULL.id, RUN, row, [b"5", b"6"]) == FULL


def test_a_job_that_is_not_there_is_none() -> None:
    assert job_record(RUN, RUN, [None] * len(JOB_COLUMNS), [None, None]) is None


@pytest.mark.parametrize(
    "name", ["state", "node", "attempt", "index", "created", "op", "colour", "retry_at", "report_bytes", "progress"]
)
def test_an_event_cannot_write_what_is_not_its_own(name: str) -> None:
    with pytest.raises(ValueError, match=f"may write: {name}"):
        columns({name: 1})


def test_only_what_a_job_is_and_waits_for_outlasts_its_attempt() -> None:
    kept = {"index", "node", "state", "created", "attempt", "reason", "message", "retry_at"}
    assert set(JOB_COLUMNS) - set(OF_ATTEMPT) == kept | {"stdout_bytes", "stderr_bytes"}


def test_a_report_writes_its_columns_and_no_others() -> None:
    assert columns({"progress": 5}, REPORTED) == ["progress", b"5"]
    with pytest.raises(ValueError, match="may write: exit_code, state"):
        columns({"state": "failed", "exit_code": 0}, REPORTED)
