import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remote.bootstrap import MAX_NOISE, Answer, Bootstrap, Have, Impossible, Need, Ready, explain, printed
from remote.errors import ProtocolError, Unfit
from tests.pair import hello, pieces

NONCE = "0123456789abcdef" * 2
MARK = b"\0AJ1 " + NONCE.encode()


def answers(data: bytes) -> list[Answer]:
    return Bootstrap(NONCE).feed(data)


def test_a_node_that_needs_the_bundle_and_one_that_has_it_are_told_apart() -> None:
    assert answers(MARK + b" need 3.11.2 /usr/bin/python3\n") == [Need("3.11.2", "/usr/bin/python3")]
    assert answers(MARK + b" have 3.6.9 /opt/my python\n") == [Have("3.6.9", "/opt/my python")]


@pytest.mark.parametrize(
    "noise", [b"", b"Welcome!\r\n", b"\0AJ1 " + b"f" * 32 + b" have x y\n", b"\0AJ1", b"\0A\0AJ", b"\xff" * 60000]
)
def test_noise_before_the_answer_is_passed_over(noise: bytes) -> None:
    assert answers(noise + MARK + b" have 3.11.2 /p\n" + hello()) == [Have("3.11.2", "/p"), Ready(hello())]


def test_another_connections_answer_is_noise() -> None:
    assert answers(b"\0AJ1 " + b"0" * 32 + b" have 3.11.2 /p\n") == []


def test_noise_beyond_its_limit_ends_it_however_it_comes() -> None:
    boot = Bootstrap(NONCE)
    assert boot.feed(b"motd " * (MAX_NOISE // 5)) == []
    [verdict] = boot.feed(b"motd motd motd")
    assert isinstance(verdict, Impossible)
    assert verdict.reason is Unfit.NOISY_SHELL
    assert verdict.detail.startswith("motd motd")


def test_a_flood_on_standard_error_counts_as_noise() -> None:
    boot = Bootstrap(NONCE)
    assert boot.note_stderr(b"x", MAX_NOISE) == []
    assert boot.note_stderr(b"warning", MAX_NOISE + 1) == [Impossible(Unfit.NOISY_SHELL, "warning")]


def test_a_marker_without_an_end_is_not_waited_for_beyond_the_limit() -> None:
    boot = Bootstrap(NONCE)
    found: list[Answer] = []
    for _ in range(20):
        found += boot.feed(MARK + b"x" * 4000)
    assert isinstance(found[0], Impossible)


def test_no_interpreter_is_told_by_the_shell() -> None:
    assert answers(b"noise\0AJ1 - nopython\n") == [Impossible(Unfit.NO_PYTHON, "")]


@pytest.mark.parametrize("reason", [Unfit.PYTHON_TOO_OLD, Unfit.SPOOL_UNSAFE, Unfit.DISK_FULL, Unfit.BUNDLE])
def test_an_unfit_node_says_why(reason: Unfit) -> None:
    assert answers(MARK + f" unfit {reason} some detail\n".encode()) == [Impossible(reason, "some detail")]


def test_a_bundle_that_did_not_arrive_is_told_after_the_first_answer() -> None:
    boot = Bootstrap(NONCE)
    assert boot.feed(MARK + b" need 3.11.2 /p\n") == [Need("3.11.2", "/p")]
    assert boot.feed(MARK[:10]) == []
    assert boot.feed(MARK[10:] + b" unfit bundle checksum\n") == [Impossible(Unfit.BUNDLE, "checksum")]


@pytest.mark.parametrize("line", [b" perhaps 3 /p\n", b" unfit because no\n"])
def test_an_answer_that_no_first_stage_gives_is_a_protocol_error(line: bytes) -> None:
    with pytest.raises(ProtocolError):
        answers(MARK + line)


def test_an_end_before_the_answer_shows_what_was_printed() -> None:
    boot = Bootstrap(NONCE)
    boot.feed(b"This account is currently not available.\n")
    assert boot.end() == Impossible(Unfit.NO_SHELL, "This account is currently not available.")


def test_an_end_after_the_answer_shows_what_python_said() -> None:
    boot = Bootstrap(NONCE)
    boot.feed(MARK + b" have 3.11.2 /p\n")
    boot.note_stderr(b"MemoryError", 11)
    assert boot.end() == Impossible(Unfit.BUNDLE, "MemoryError")


@given(st.lists(st.integers(0, 500), max_size=10))
def test_any_cut_gives_the_same_answers(cuts: list[int]) -> None:
    data = b"noise\0AJ1 x\n" + MARK + b" need 3.11.2 /p\n" + hello()
    boot, found, frames = Bootstrap(NONCE), [], b""
    for piece in pieces(data, cuts):
        if any(isinstance(answer, Ready) for answer in found):
            frames += piece
        else:
            found += boot.feed(piece)
    assert isinstance(found[1], Ready)
    assert found[0] == Need("3.11.2", "/p")
    assert found[1].data + frames == hello()


@given(st.lists(st.binary(max_size=300) | st.just(MARK), max_size=5))
def test_garbage_raises_nothing_but_a_protocol_error(chunks: list[bytes]) -> None:
    boot = Bootstrap(NONCE)
    with contextlib.suppress(ProtocolError):
        for chunk in chunks:
            boot.feed(chunk)


def test_what_a_node_printed_is_harmless_in_a_terminal() -> None:
    assert printed(b"a\x1b]0;evil\x07b\r\nc\xff") == "a ]0;evil b  c\N{REPLACEMENT CHARACTER}"
    assert len(printed(b"x" * 10_000)) == 200


@pytest.mark.parametrize("reason", list(Unfit))
def test_every_reason_has_a_message_with_the_node_and_what_it_said(reason: Unfit) -> None:
    text = explain(Impossible(reason, "{its words}"), "root@10.0.0.1", ["python3", "/opt/python"])
    assert "root@10.0.0.1" in text
    assert ("/opt/python" if reason is Unfit.NO_PYTHON else "{its words}") in text
