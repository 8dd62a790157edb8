import msgspec
import pytest

from jobs.lifecycle import State
from jobs.records import JobRecord
from orchestrator.store.rows import JOB_COLUMNS, columns, job_record

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
