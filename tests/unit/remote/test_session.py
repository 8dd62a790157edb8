import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from remote.errors import ProtocolError, UnsendableError
from remote.session import (
    Absent,
    Claimed,
    Ended,
    Facts,
    Fault,
    Hello,
    NodeSession,
    OutputChunk,
    Pong,
    Refused,
    Started,
    StartSpec,
    Terminal,
)
from tests.pair import ended, feed_all, frame, hello, job_stream, pieces, sent

ECHO = StartSpec(argv=["echo", "hi"])


def greeted() -> NodeSession:
    session = NodeSession()
    session.feed(hello())
    return session


def following(token: str = "j.1") -> NodeSession:
    session = greeted()
    session.start(token, ECHO)
    return session


def test_a_job_is_told_from_claim_to_end() -> None:
    session = following()
    events = session.feed(
        frame("claimed", token="j.1")
        + frame("started", token="j.1", pid=42, at=5.0)
        + frame("output", b"hi\n", token="j.1", stream="out", offset=0)
        + ended("j.1", out=3)
    )
    assert [type(event) for event in events] == [Claimed, Started, OutputChunk, Ended]
    assert isinstance(events[2], OutputChunk)
    assert events[2].data == b"hi\n"


def test_the_other_answers_become_events() -> None:
    session = greeted()
    session.ping(1)
    session.probe(2, ["root"])
    session.tail("old.1", 5, 0)
    session.start("no.1", ECHO)
    events = session.feed(
        frame("pong", n=1)
        + frame("facts", n=2, can_become={"root": "yes"}, free=1, at=1.0, boottime=2.0)
        + frame("absent", token="old.1")
        + frame("refused", token="no.1", reason="disk_full", message="full")
        + frame("fault", message="odd", token=None)
    )
    assert [type(event) for event in events] == [Pong, Facts, Absent, Refused, Fault]


def test_start_sends_all_keys_of_the_spec_and_the_inputs_before_it() -> None:
    session = greeted()
    spec = StartSpec(argv=None, interpreter=["bash"], tty=Terminal(rows=1, cols=2, term="vt100"), timeout_s=3.0)
    frames = sent(session.start("j.1", spec, script=b"x" * 200_000, stdin=b""))
    assert [item.header["t"] for item in frames] == ["input", "input", "start"]
    assert b"".join(item.payload for item in frames) == b"x" * 200_000
    assert frames[1].header["offset"] == len(frames[0].payload)
    assert set(frames[-1].header["spec"]) == {
        *("argv", "interpreter", "bundle", "script", "stdin", "params", "secrets", "secret_files", "env", "cwd"),
        *("umask", "nice", "rlimits", "new_privs", "tty", "user", "group", "timeout_s", "inactivity_s", "grace_s"),
        *("max_output", "on_output_limit", "leftovers"),
    }
    assert frames[-1].header["spec"]["script"] is True
    assert frames[-1].header["spec"]["stdin"] is True
    assert frames[-1].header["spec"]["tty"] == {"rows": 1, "cols": 2, "term": "vt100"}


def test_a_command_larger_than_a_header_is_refused_with_the_way_out() -> None:
    session = greeted()
    with pytest.raises(UnsendableError, match="script or into its input"):
        session.start("j.1", StartSpec(argv=["echo", "x" * 70_000]))
    session.start("j.1", ECHO)  # the token was not used up


@pytest.mark.parametrize("name", ["script", "stdin"])
def test_a_script_or_input_of_more_than_16_mib_is_refused(name: str) -> None:
    inputs: dict[str, bytes] = {"script": b"", "stdin": b"", name: bytes((16 << 20) + 1)}
    with pytest.raises(UnsendableError, match=f"{name} has 16,777,217 bytes"):
        greeted().start("j.1", ECHO, **inputs)


def test_tail_resumes_at_the_offsets_that_are_safe() -> None:
    session = greeted()
    session.tail("j.1", 10, 20)
    data = frame("output", b"abc", token="j.1", stream="err", offset=20) + ended("j.1", out=10, err=23)
    assert len(session.feed(data)) == 2


def test_a_token_is_not_followed_twice_at_once() -> None:
    with pytest.raises(ValueError, match="already follows"):
        following().tail("j.1", 0, 0)


def test_what_did_not_come_cannot_be_acknowledged() -> None:
    session = following()
    session.feed(frame("output", b"abc", token="j.1", stream="out", offset=0))
    session.feed(frame("output", b"{}\n", token="j.1", stream="rep", offset=0))
    assert sent(session.ack("j.1", 3, 0, 3))[0].header == {"t": "ack", "token": "j.1", "out": 3, "err": 0, "rep": 3}
    with pytest.raises(ValueError, match="cannot acknowledge"):
        session.ack("j.1", 4, 0)
    with pytest.raises(ValueError, match="cannot acknowledge"):
        session.ack("j.1", 3, 0, 4)


def test_a_fault_about_a_foreign_token_is_told_without_it() -> None:
    assert following().feed(frame("fault", message="m", token="other.1")) == [Fault("m", None)]


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(frame("claimed", token="other.1"), id="a token that was not given"),
        pytest.param(ended("other.1"), id="an outcome for another node's token"),
        pytest.param(frame("output", b"x", token="j.1", stream="out", offset=1), id="a gap"),
        pytest.param(frame("output", b"x", token="j.1", stream="out", offset=-1), id="a negative offset"),
        pytest.param(frame("output", b"x", token="j.1", stream="out", offset=2**53), id="a huge offset"),
        pytest.param(frame("output", b"", token="j.1", stream="out", offset=0), id="no bytes"),
        pytest.param(frame("output", b"x", token="j.1", stream="log", offset=0), id="an unknown stream"),
        pytest.param(frame("output", b"x", token="j.1", stream="out", offset=0) * 2, id="a repeat"),
        pytest.param(ended("j.1", out=5), id="an end with bytes that did not come"),
        pytest.param(ended("j.1") * 2, id="two ends"),
        pytest.param(ended("j.1") + frame("started", token="j.1", pid=1, at=1.0), id="a start after the end"),
        pytest.param(frame("claimed", token="j.1") * 2, id="two claims"),
        pytest.param(frame("absent", token="j.1"), id="absent as answer to start"),
        pytest.param(ended("j.1", code=None), id="exited without a code"),
        pytest.param(ended("j.1", code=256), id="a code beyond 255"),
        pytest.param(ended("j.1", code=True), id="a truth as a code"),
        pytest.param(ended("j.1", kind="not_started", code=None), id="not started without a reason"),
        pytest.param(ended("j.1", signal=9), id="a code and a signal"),
        pytest.param(ended("j.1", extra=1), id="an unknown key in the outcome"),
        pytest.param(frame("claimed", token="j.1", extra=1), id="an unknown field"),
        pytest.param(frame("claimed", b"x", token="j.1"), id="a payload where none belongs"),
        pytest.param(frame("output", b"x", token="j.1", stream="out", offset=0, data="y"), id="data in the header"),
        pytest.param(frame("claimed"), id="a missing field"),
        pytest.param(frame("started", token="j.1", pid="1", at=1.0), id="a number as text"),
        pytest.param(frame("start", token="j.1"), id="a controller's frame"),
        pytest.param(frame("pong", n=1), id="a pong without a ping"),
        pytest.param(frame("facts", n=1, can_become={}, free=1, at=1.0, boottime=1.0), id="facts without a probe"),
        pytest.param(hello(), id="a second hello"),
        pytest.param(b"\xff" * 6, id="a huge length"),
    ],
)
def test_what_the_protocol_does_not_allow_ends_the_conversation(data: bytes) -> None:
    session = following()
    with pytest.raises(ProtocolError) as first:
        session.feed(data)
    with pytest.raises(ProtocolError) as second:
        session.feed(b"")
    assert str(first.value) == str(second.value)


@pytest.mark.parametrize("data", [frame("pong", n=1), hello(protocol=2), hello(python="3.11; rm"), hello(uid=-1)])
def test_a_node_introduces_itself_properly_first(data: bytes) -> None:
    session = NodeSession()
    session.ping(1)
    with pytest.raises(ProtocolError):
        session.feed(data)


@given(st.lists(st.integers(0, 10_000), max_size=40), st.integers())
def test_any_cut_of_the_bytes_gives_the_same_events(cuts: list[int], seed: int) -> None:
    data = hello() + job_stream("a.1", seed) + job_stream("b.1", seed + 1)
    results = []
    for chunks in ([data], pieces(data, cuts), (data[i : i + 1] for i in range(len(data)))):
        session = NodeSession()
        session.start("a.1", ECHO)
        session.start("b.1", ECHO)
        results.append(feed_all(session, iter(chunks)))
    assert isinstance(results[0][0], Hello)
    assert results[0] == results[1] == results[2]


@given(st.binary(max_size=2000))
def test_garbage_raises_nothing_but_a_protocol_error(garbage: bytes) -> None:
    session = following()
    with contextlib.suppress(ProtocolError):
        session.feed(garbage)


_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
_NAMES = ["hello", "pong", "claimed", "started", "output", "ended", "refused", "absent", "facts", "fault", "other"]
_FIELDS = ["token", "n", "stream", "offset", "outcome", "pid", "at", "reason", "message", "can_become", "data"]


@settings(max_examples=300)
@given(
    st.sampled_from(_NAMES), st.dictionaries(st.sampled_from(_FIELDS), _JSON | st.just("j.1")), st.binary(max_size=9)
)
def test_well_formed_frames_with_any_content_raise_nothing_but_a_protocol_error(
    name: str, fields: dict[str, object], payload: bytes
) -> None:
    session = following()
    with contextlib.suppress(ProtocolError):
        session.feed(frame(name, payload, **fields))


@pytest.mark.parametrize(("told", "shown"), [(-1.0, 0.0), (253402300799.0, 4102444800.0), (1.5, 1.5)])
def test_a_wrong_clock_is_shown_within_reason(told: float, shown: float) -> None:
    session = NodeSession()
    session.start("j.1", ECHO)
    greeting, started, end = session.feed(
        hello(at=told) + frame("started", token="j.1", pid=1, at=told) + ended("j.1", started_at=told, ended_at=told)
    )
    assert isinstance(greeting, Hello)
    assert isinstance(started, Started)
    assert isinstance(end, Ended)
    assert [greeting.at, started.at, end.outcome.started_at, end.outcome.ended_at] == [shown] * 4
