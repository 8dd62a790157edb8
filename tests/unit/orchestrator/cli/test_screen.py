import hashlib
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.cli.screen import ERR, HELD_MAX, OUT, Lines, Raw, Screen, Terminals
from orchestrator.cli.terminal import Terminal
from tests.unit.orchestrator.cli.runs import as_frame, event, job, output, run, snapshot

PIPE = Terminal(tty=False, colour=False, columns=80)
TTY = Terminal(tty=True, colour=True, columns=80)
PIPES = Terminals(PIPE, PIPE)


def written(screen: Screen, *messages: dict[str, Any]) -> tuple[str, str]:
    writes = [write for message in messages for write in screen.feed(as_frame(message))] + screen.finish()
    return tuple(b"".join(write.data for write in writes if write.fd == fd).decode() for fd in (OUT, ERR))  # type: ignore[return-value]


def test_every_line_stands_behind_its_node() -> None:
    messages = (output(b"one\ntwo\n"), output(b"three\n", node="web02", index=2))
    assert written(Lines(PIPES), *messages) == ("web01: one\nweb01: two\nweb02: three\n", "")


def test_standard_error_goes_to_standard_error() -> None:
    assert written(Lines(PIPES), output(b"bad\n", stream="stderr")) == ("", "web01: bad\n")


def test_neighbours_have_different_colours_and_standard_error_is_red() -> None:
    screen = Lines(Terminals(TTY, TTY))
    out, err = written(screen, output(b"a\n"), output(b"b\n", stream="stderr"), output(b"c\n", node="web02", index=2))
    assert out == "\x1b[36mweb01:\x1b[0m a\n\x1b[32mweb02:\x1b[0m c\n"
    assert err == "\x1b[31mweb01:\x1b[0m b\n"


def test_lines_begin_in_one_column_on_a_terminal_and_only_there() -> None:
    plain = Terminal(tty=True, colour=False, columns=80)
    messages = (
        snapshot(run(job("db1"), job("web01", index=2), job("n" * 30, index=3))),
        output(b"a\n", node="db1"),
        output(b"b\n", node="web01", index=2),
        output(b"c\n", node="n" * 30, index=3),
    )
    assert written(Lines(Terminals(plain, plain)), *messages)[0] == f"db1:   a\nweb01: b\n{'n' * 30}: c\n"
    assert written(Lines(PIPES), *messages)[0] == f"db1: a\nweb01: b\n{'n' * 30}: c\n"


def test_a_line_in_pieces_is_shown_whole_and_not_before_its_end() -> None:
    screen = Lines(PIPES)
    assert screen.feed(as_frame(output(b"hal"))) == []
    between = screen.feed(as_frame(output(b"other\n", node="web02", index=2)))
    rest = screen.feed(as_frame(output(b"f\n", offset=3)))
    assert [write.data for write in (*between, *rest)] == [b"web02: other\n", b"web01: half\n"]


def test_a_last_line_without_its_end_is_shown_when_its_job_ends() -> None:
    assert written(Lines(PIPES), output(b"prompt> "), event("succeeded"))[0] == "web01: prompt> \n"


def test_a_last_line_is_shown_when_the_watching_ends_before_the_job() -> None:
    assert written(Lines(PIPES), output(b"prompt> "))[0] == "web01: prompt> \n"


def test_an_endless_line_is_broken_instead_of_kept() -> None:
    screen = Lines(PIPES)
    pieces = [screen.feed(as_frame(output(b"x" * 8192, offset=8192 * n))) for n in range(20)]
    kept = 20 * 8192 - sum(len(write.data) - len(b"web01: \n") for writes in pieces for write in writes)
    assert 0 <= kept <= HELD_MAX


def test_escapes_of_a_node_are_neutralised_behind_its_label() -> None:
    assert written(Lines(PIPES), output(b"\x1b[2Jx\rweb02: forged\n"))[0] == "web01: ^[[2Jx\nweb01: web02: forged\n"


def test_a_hostile_node_name_cannot_command_the_terminal_either() -> None:
    assert written(Lines(PIPES), output(b"a\n", node="w\x1b[2J"))[0] == "w\\x1b[2J: a\n"


def test_without_prefix_lines_stay_whole_and_bytes_stay_as_they_came() -> None:
    data = b"\xff\x1b[2J one\r\ntwo"
    screen = Lines(PIPES, prefix=False, safe=False)
    writes = [*screen.feed(as_frame(output(data))), *screen.finish()]
    assert b"".join(write.data for write in writes) == data


@given(st.lists(st.binary(max_size=300), max_size=20))
def test_raw_is_byte_for_byte_what_came(pieces: list[bytes]) -> None:
    screen = Raw(PIPES)
    writes = [write for piece in pieces for write in screen.feed(as_frame(output(piece)))]
    assert b"".join(write.data for write in writes) == b"".join(pieces)


@given(st.lists(st.text("abc \n", max_size=30), max_size=20))
def test_taking_the_labels_off_again_gives_the_text(pieces: list[str]) -> None:
    text = "".join(pieces)
    out, _ = written(Lines(PIPES), *(output(piece.encode()) for piece in pieces))
    lines = out.splitlines()
    assert all(line.startswith("web01: ") for line in lines)
    assert [line.removeprefix("web01: ") for line in lines] == text.split("\n")[: len(lines)]
    assert len(lines) == text.count("\n") + (0 if not text or text.endswith("\n") else 1)


def test_a_flood_passes_with_nothing_lost_and_nothing_repeated() -> None:
    data = b"".join(b"line %d\n" % number for number in range(200_000))
    screen = Lines(PIPES)
    out = hashlib.sha256()
    for begin in range(0, len(data), 100_003):
        for write in screen.feed(as_frame(output(data[begin : begin + 100_003], offset=begin))):
            out.update(write.data.replace(b"web01: ", b""))
    assert out.digest() == hashlib.sha256(data).digest()


def test_how_a_job_failed_is_told_on_standard_error() -> None:
    table = {
        "web01: exited with exit code 3": event("failed", exit_code=3),
        "web01: killed by SIGKILL (9)": event("failed", signal=9),
        "web01: timed out": event("timed_out"),
        "web01: cancelled": event("cancelled"),
        "web01: not started: no route": event("start_failed", reason="unreachable:no_route", message="no route"),
        "web01: lost: lost_supervisor": event("lost", reason="lost_supervisor"),
    }
    assert [written(Lines(PIPES), message)[1] for message in table.values()] == [f"{line}\n" for line in table]


def test_success_and_the_way_to_it_are_not_told() -> None:
    messages = [event("dispatching"), event("claimed"), event("running"), event("succeeded", exit_code=0)]
    assert written(Lines(PIPES), *messages) == ("", "")


def test_a_lost_connection_is_told_as_what_it_is() -> None:
    message = event("running", link="unknown")
    message["header"]["event"] = "link"
    assert "connection lost" in written(Lines(PIPES), message)[1]


def test_a_message_of_a_node_stays_on_its_line() -> None:
    message = event("start_failed", message="a\nweb02: forged\x1b[2J")
    assert written(Lines(PIPES), message)[1] == "web01: not started: a\\nweb02: forged\\x1b[2J\n"
