import io
import json
import logging
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator import logs
from orchestrator.setting_groups import Log


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def restored_logging() -> Iterator[None]:
    names = (None, *logs.PACKAGES)
    before = [(logging.getLogger(name), logging.getLogger(name).level) for name in names]
    handlers = logging.getLogger().handlers[:]
    yield
    for logger, level in before:
        logger.setLevel(level)
    logging.getLogger().handlers[:] = handlers


def record(event: str, **facts: object) -> logging.LogRecord:
    return logging.getLogger("orchestrator.daemon").makeRecord(
        "orchestrator.daemon", logging.INFO, "daemon.py", 1, event, (), None, extra=facts
    )


def test_a_terminal_gets_text_and_a_pipe_gets_json() -> None:
    terminal, pipe = Terminal(), io.StringIO()
    for stream in (terminal, pipe):
        logs.configure(Log(), stream)
        logging.getLogger("orchestrator.daemon").info("daemon started", extra={"pid": 7})
    assert terminal.getvalue().endswith(" info    daemon started pid=7\n")
    assert json.loads(pipe.getvalue())["event"] == "daemon started"


@pytest.mark.parametrize(("form", "begins"), [("json", "{"), ("text", "1234567890")])
def test_the_setting_decides_the_format_whatever_the_stream_is(form: str, begins: str) -> None:
    for stream in (Terminal(), io.StringIO()):
        logs.configure(Log(format=form), stream)
        logging.getLogger("web").warning("x")
        assert stream.getvalue()[0] in begins + "0"


def test_a_json_line_has_time_level_event_and_the_facts_in_order() -> None:
    made = record("job started", node="web01", zone="b", job="01JD-1", run="01JD", user=None)
    made.created, made.msecs = 1700000000.25, 250.0
    line = logs.JsonFormatter().format(made)
    assert list(json.loads(line).items()) == [
        ("ts", "2023-11-14T22:13:20.250Z"),
        ("level", "info"),
        ("event", "job started"),
        ("run", "01JD"),
        ("job", "01JD-1"),
        ("node", "web01"),
        ("zone", "b"),
        ("logger", "orchestrator.daemon"),
    ]


@given(st.text(), st.text())
def test_no_fact_can_break_out_of_its_line(event: str, fact: str) -> None:
    for formatter in (logs.TextFormatter(), logs.JsonFormatter()):
        line = formatter.format(record(event.replace("%", "%%"), node=fact))
        assert line.isprintable()


@pytest.mark.parametrize("hostile", ["\r\n12:00:00 info forged", "\x1b[2J", "\x9b31m", "\u202egnp.exe", "\udc80"])
def test_hostile_characters_are_escaped_in_text(hostile: str) -> None:
    line = logs.TextFormatter().format(record("job failed", message_of_node=hostile))
    assert hostile not in line
    assert line.isprintable()


def test_a_fact_with_spaces_is_quoted_so_that_it_cannot_look_like_another_fact() -> None:
    line = logs.TextFormatter().format(record("job failed", reason="x user=root"))
    assert 'reason="x user=root"' in line


def test_a_traceback_is_part_of_its_json_record_and_set_off_in_text() -> None:
    error = RuntimeError("first\n12:00:00 info forged")
    made = record("task died")
    made.exc_info = (type(error), error, None)
    assert "forged" in json.loads(logs.JsonFormatter().format(made))["traceback"]
    assert all(line.startswith("  | ") for line in logs.TextFormatter().format(made).split("\n")[1:])


def test_libraries_are_heard_from_warning_on_and_our_packages_from_the_level_on() -> None:
    stream = io.StringIO()
    logs.configure(Log(format="text", level="info"), stream)
    logging.getLogger("asyncssh").info("chatter")
    logging.getLogger("remote.transport").debug("detail")
    logging.getLogger("remote.transport").info("connected")
    logging.getLogger("asyncssh").warning("odd")
    assert [line.split(None, 2)[2] for line in stream.getvalue().splitlines()] == ["connected", "odd"]
