"""What an outcome on a node means for a job."""

from typing import Any

import pytest

from inventory.route import Address, Route
from jobs.lifecycle import Event
from jobs.records import JobSpec, RunSpec, Terminal
from orchestrator.translate import conclusion, launch, merge, trouble
from remote.errors import Unfit, UnfitError, Unreachable, UnreachableError
from remote.session import Outcome, OutputChunk, Started


def outcome(**fields: Any) -> Outcome:
    empty = {"code": None, "signal": None, "cause": None, "reason": None, "message": None}
    sizes = {"out": 7, "err": 2, "rep": 0, "out_dropped": 3, "err_dropped": 4, "rep_dropped": 0, "left": ()}
    return Outcome(**{**empty, **sizes, "started_at": 1.0, "ended_at": 2.0, "cpu_s": 0.5, "max_rss": 9, **fields})


@pytest.mark.parametrize(
    ("fields", "event", "reason"),
    [
        ({"kind": "exited", "code": 0}, Event.SUCCEEDED, None),
        ({"kind": "exited", "code": 3}, Event.FAILED, "exit_code"),
        ({"kind": "signalled", "signal": 11}, Event.FAILED, "signal"),
        ({"kind": "signalled", "signal": 15, "cause": "cancel"}, Event.CANCELLED, "cancelled"),
        ({"kind": "exited", "code": 0, "cause": "cancel"}, Event.CANCELLED, "cancelled"),
        ({"kind": "signalled", "signal": 9, "cause": "timeout"}, Event.TIMED_OUT, "timeout"),
        ({"kind": "signalled", "signal": 15, "cause": "inactivity"}, Event.TIMED_OUT, "inactivity"),
        ({"kind": "signalled", "signal": 9, "cause": "output_limit"}, Event.FAILED, "output_limit"),
        ({"kind": "not_started", "reason": "no_such_program", "message": "m"}, Event.START_FAILED, "no_such_program"),
        ({"kind": "not_started", "reason": "cancelled", "cause": "cancel"}, Event.CANCELLED, "cancelled"),
        ({"kind": "lost", "reason": "lost_supervisor"}, Event.LOST, "lost_supervisor"),
    ],
)
def test_every_outcome_is_one_event(fields: dict[str, Any], event: Event, reason: str | None) -> None:
    found, columns = conclusion(outcome(**fields))
    assert (found, columns["reason"]) == (event, reason)


def test_a_code_that_means_success_is_one() -> None:
    found, columns = conclusion(outcome(kind="exited", code=3), (0, 3))
    assert (found, columns["reason"]) == (Event.SUCCEEDED, None)


def test_an_outcome_fills_the_columns_of_the_record() -> None:
    _, columns = conclusion(outcome(kind="exited", code=3))
    assert columns["exit_code"] == 3
    assert (columns["stdout_bytes"], columns["stderr_bytes"], columns["dropped_bytes"]) == (7, 2, 7)
    assert (columns["cpu_s"], columns["max_rss"]) == (0.5, 9)


def test_a_job_is_told_who_it_is_and_cannot_be_told_otherwise() -> None:
    run = RunSpec(
        id="R", type="command", title="t", user="ann", source="cli", created=0, nodes="web01", total=1,
        argv=("a", "b"), env={"ANYJOB_NODE": "forged", "X": "1"}, tty=Terminal(rows=3, cols=4, term="vt100"),
    )  # fmt: skip
    job = JobSpec(id="R-1", run="R", index=1, node="web01", route=Route(node="web01", address=Address(host="h")))
    spec = launch(run, job, 2).spec
    assert spec.env["X"] == "1"
    assert spec.env["ANYJOB_NODE"] == "web01"
    assert spec.env["ANYJOB_TOKEN"] == "R-1.2"
    assert spec.tty is not None
    assert (spec.tty.rows, spec.tty.cols, spec.tty.term) == (3, 4, "vt100")


def test_trouble_with_a_node_is_a_reason_and_a_message() -> None:
    assert trouble(UnreachableError("n", Unreachable.HOST_KEY, "who is that")) == {
        "reason": "unreachable:host_key",
        "message": "who is that",
    }
    assert trouble(UnfitError("n", Unfit.NO_PYTHON, "install it"))["reason"] == "unfit:no_python"


def chunk(token: str, stream: str, offset: int, data: bytes) -> OutputChunk:
    return OutputChunk(token=token, stream=stream, offset=offset, data=data)  # type: ignore[arg-type]  drawn by tests


def test_neighbouring_pieces_of_a_stream_are_joined_and_nothing_else() -> None:
    events = [
        chunk("a", "out", 0, b"1"),
        chunk("b", "out", 5, b"x"),
        Started(token="a", pid=1, at=0.0),
        chunk("a", "out", 1, b"2"),
        chunk("a", "err", 0, b"e"),
    ]
    joined = {(c.token, c.stream, c.offset): c.data for stream in merge(events) for c in stream}
    assert joined == {("a", "out", 0): b"12", ("b", "out", 5): b"x", ("a", "err", 0): b"e"}


def test_joined_pieces_stay_of_a_bounded_size() -> None:
    piece = b"x" * (128 << 10)
    events = [chunk("a", "out", n * len(piece), piece) for n in range(8)]
    [joined] = merge(events)
    assert [c.offset for c in joined] == [n * 2 * len(piece) for n in range(4)]
    assert b"".join(c.data for c in joined) == piece * 8
