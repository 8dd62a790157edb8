"""`anyjob-report`, under every POSIX shell that this machine has."""

import json
import os
import shutil
from pathlib import Path

import pytest

from jobs.reports import Finish, Log, Progress, Report, Result
from tests.unit.helper.jobprocess import REPORT, Ended, run

CANDIDATES = (["dash"], ["bash", "--posix"], ["busybox", "sh"], ["ksh"], ["mksh"], ["yash"], ["zsh", "--emulate", "sh"])
SHELLS = [shell for shell in CANDIDATES if shutil.which(shell[0])]
HOSTILE = [
    "plain",
    "",
    "-",
    " spaces around ",
    "line one\nline two\n\n",
    "tab\tand\rreturn",
    '"quoted" \\back\\slash\\',
    "".join(map(chr, range(1, 32))) + "\x7f",
    "$(touch /tmp/x) `id` $HOME ${x} %s %n %% & ; | > <",
    "Größe, 漢字, 😀, \u202e, \u2028",
    "{} [] , : null true 1e5 \\u0041 \\n",
    "-n",
    "-e \\101",
    "x" * 5000,
]


@pytest.fixture(params=SHELLS, ids=lambda shell: shell[0])
def shell(request: pytest.FixtureRequest) -> list[str]:
    return [*request.param, REPORT]


def test_there_are_shells_of_two_families() -> None:
    assert {shell[0] for shell in SHELLS} >= {"dash", "bash"}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["progress", "40"], Report(progress=Progress(percent=40))),
        (["progress", "0.5", "half"], Report(progress=Progress(percent=0.5, message="half"))),
        (["progress", "-", "", "copy"], Report(progress=Progress(stage="copy"))),
        (["state", "warm"], Report(state="warm")),
        (["log", "warning", "look"], Report(log=Log(level="warning", message="look"))),
        (["log", "info", "look", "db"], Report(log=Log(level="info", message="look", tag="db"))),
        (["data", "a=1", "b=x=y", 'c="'], Report(data={"a": "1", "b": "x=y", "c": '"'})),
        (["metric", "rows=12", "s=-1.5e3"], Report(metrics={"rows": 12.0, "s": -1500.0})),
        (["result", "12 rows"], Report(result=Result(value="12 rows"))),
        (["result-json", '{"rows":\n 12}'], Report(result=Result(value={"rows": 12}))),
        (["success"], Report(finish=Finish(ok=True))),
        (["failure", "no disk"], Report(finish=Finish(ok=False, message="no disk"))),
        (["heartbeat"], Report(heartbeat=True)),
        (["redo"], Report(redo=True)),
    ],
)
def test_each_command_reports(shell: list[str], words: list[str], expected: Report) -> None:
    ended = run([*shell, *words])
    assert (ended.code, ended.out, ended.err, ended.said) == (0, "", "", [expected])


def test_any_text_arrives_as_it_is(shell: list[str]) -> None:
    for text in set(HOSTILE) - {"-"}:
        ended = run([*shell, "log", "info", text])
        assert json.loads(ended.lines[0])["log"]["message"] == text


def test_a_text_from_standard_input_arrives_to_its_last_line_end(shell: list[str]) -> None:
    for text in HOSTILE:
        ended = run([*shell, "result", "-"], stdin=text)
        assert ended.said == [Report(result=Result(value=text))]


def test_bytes_that_are_no_text_do_not_break_the_line(shell: list[str]) -> None:
    ended = run([*shell, "state", b"caf\xe9".decode("utf-8", "surrogateescape")])
    assert ended.said == [Report(state="caf\ufffd")]


def test_secrets_to_mask_come_only_by_standard_input(shell: list[str]) -> None:
    assert run([*shell, "mask", "-"], stdin="hunter22\n\nsecond line").said == [
        Report(mask="hunter22"),
        Report(mask="second line"),
    ]
    refused = run([*shell, "mask", "hunter22"])
    assert (refused.code, refused.lines) == (2, [])
    assert "arguments are seen by everybody" in refused.err


PARAMS = {
    "text": 'two\nlines "q" \\ \t é 漢 😀 /',
    "empty": "",
    "number": -1.5,
    "flag": True,
    "nothing": None,
    "list": [1, 'a "b" }', {"c": [2]}],
    "object": {"text": "inner", "x": {}},
    "long": "wort " * 20_000,
    "props": "not the props",
}


NONE = {f"ANYJOB_PARAM_{name.upper()}": "" for name in PARAMS}


def ask(shell: list[str], *words: str) -> Ended:
    return run(
        [*shell, *words], params=PARAMS, props={"text": "a prop"}, secrets={"pass-word": "h\u00fcnter 22"}, env=NONE
    )


def test_parameters_come_out_as_they_are(shell: list[str]) -> None:
    for name, shown in [
        ("text", PARAMS["text"]),
        ("empty", ""),
        ("number", "-1.5"),
        ("flag", "true"),
        ("nothing", ""),
        ("long", PARAMS["long"]),
        ("props", "not the props"),
    ]:
        ended = ask(shell, "param", name)
        assert (ended.code, ended.out, ended.err) == (0, f"{shown}\n", "")
    for name in ("list", "object"):
        assert json.loads(ask(shell, "param", name).out) == PARAMS[name]


def test_props_and_secrets_come_out_too(shell: list[str]) -> None:
    assert ask(shell, "prop", "text").out == "a prop\n"
    assert ask(shell, "secret", "pass-word").out == "hünter 22\n"


def test_what_there_is_none_of_is_the_default_or_an_error(shell: list[str]) -> None:
    assert ask(shell, "param", "missing", "a default").out == "a default\n"
    assert ask(shell, "param", "empty", "a default").out == "\n"
    for words in (["param", "c"], ["param", "inner"], ["prop", "number"], ["secret", "text"]):
        ended = ask(shell, *words)
        assert (ended.code, ended.out) == (1, "")
        assert "this job was given no" in ended.err


@pytest.mark.parametrize(
    "words", [["progress", "many"], ["progress", "1;id"], ["metric", "a=x"], ["metric", "a"], ["data"]]
)
def test_what_is_wrong_is_told_and_nothing_is_sent(shell: list[str], words: list[str]) -> None:
    ended = run([*shell, *words])
    assert (ended.code, ended.lines, ended.out) == (2, [], "")
    assert ended.err


def test_a_name_is_no_code(shell: list[str]) -> None:
    ended = run([*shell, "param", "x;touch /tmp/ajt-pwned"], env={"ANYJOB_PARAMS_FD": ""})
    assert (ended.code, ended.err) == (2, "anyjob-report: 'x;touch /tmp/ajt-pwned' is not a name\n")


def test_without_anyjob_it_writes_to_standard_error(shell: list[str]) -> None:
    alone = {"ANYJOB_FD": "", "ANYJOB_PARAMS_FD": "", "ANYJOB_PARAM_MY_NAME": "given by hand"}
    assert run([*shell, "progress", "3"], env=alone).err == 'anyjob: {"progress":{"percent":3}}\n'
    assert run([*shell, "mask", "-"], env=alone, stdin="hunter22").err == 'anyjob: {"mask":"***"}\n'
    assert run([*shell, "param", "my-name"], env=alone).out == "given by hand\n"


def test_a_descriptor_that_is_something_else_by_now_is_not_written_to(shell: list[str]) -> None:
    ended = run([*shell, "state", "x"], env={"ANYJOB_FD": "8"})  # the parameters
    assert (ended.code, ended.err, ended.lines) == (0, 'anyjob: {"state":"x"}\n', [])


def test_a_report_that_nobody_reads_does_not_break_the_job(shell: list[str], tmp_path: Path) -> None:
    # the reader of the pipe has gone: the right side ends at once, the left side waits for that
    script = '{ read -r gone; ANYJOB_FD=5 "$@" 5>&1; echo "code $?" >&2; } <"$0" | { exec <&-; echo >"$0"; }'
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    ended = run(["sh", "-c", script, fifo, *shell, "state", "x"])
    assert ended.err.splitlines()[-1] == "code 0"


def test_help_names_every_command(shell: list[str]) -> None:
    ended = run([*shell, "help"])
    assert ended.code == 0
    for command in ("progress", "param", "secret", "mask", "result-json", "redo"):
        assert f"anyjob-report {command}" in ended.out
    assert run([*shell, "nonsense"]).code == 2
