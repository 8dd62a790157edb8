"""The stock types, each run for real on this machine as a node would run it."""

import contextlib
import http.server
import json
import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jobs.params import ParamErrors, validate
from jobs.rendering import Facts, render, render_env
from jobs.typefile import load_types

TYPES = load_types(None).by_name
FACTS = Facts(node="web01", run="R", job="J", user="ann")
HOSTILE = ["; id", "$(id)", "`id`", "a\nb", "--flag", "-n", "%s", "\\n", "'\"", "{{ 7*7 }}", "ünï\u202e"]


class Ran:
    """What a type printed and reported, and how it ended."""

    def __init__(self, code: int, out: str, err: str, reports: list[Any]) -> None:
        self.code, self.out, self.err, self.reports = code, out, err, reports


def run(type_name: str, directory: Path, /, *, env: dict[str, str] | None = None, **given: Any) -> Ran:
    job_type = TYPES[type_name]
    values = validate(job_type.params, given)
    rendered = render(job_type.action, values, FACTS)
    argv = list(rendered.argv)
    if rendered.script is not None:
        script = directory / "script"
        script.write_text(rendered.script)
        argv = [*(rendered.interpreter or ("/bin/sh",)), str(script), *argv]
    params = directory / "params"
    params.write_text(json.dumps({"params": dict(values.plain), "props": {}, "secrets": {}}))
    with params.open("rb") as given_to, (directory / "reports").open("wb") as reports:
        fds = given_to.fileno(), reports.fileno()
        variables = {
            "PATH": os.environ["PATH"],
            **render_env(job_type.env, values, FACTS),
            "ANYJOB_PARAMS_FD": str(fds[0]),
            "ANYJOB_FD": str(fds[1]),
            **(env or {}),
        }
        done = subprocess.run(
            argv, env=variables, pass_fds=fds, capture_output=True, check=False, timeout=60, cwd=directory
        )
    lines = (directory / "reports").read_text().splitlines()
    return Ran(done.returncode, done.stdout.decode(), done.stderr.decode(), [json.loads(line) for line in lines])


def test_what_is_promised_is_there() -> None:
    assert TYPES.keys() == {
        "command", "script", "python", "facts", "packages", "service", "wait-for", "echo", "sleep",
    }  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE)
def test_echo_prints_a_text_as_it_is(tmp_path: Path, text: str) -> None:
    assert run("echo", tmp_path, text=text).out == text + "\n"


def test_sleep_reports_its_progress(tmp_path: Path) -> None:
    ran = run("sleep", tmp_path, time="0.2s")
    assert ran.code == 0
    assert ran.reports[-1] == {"progress": 100}


def test_command_runs_in_a_shell_and_gives_its_exit_code(tmp_path: Path) -> None:
    ran = run("command", tmp_path, command="echo $((40+2)); pwd; exit 7", directory="/")
    assert (ran.code, ran.out) == (7, "42\n/\n")
    assert run("command", tmp_path, command="pwd").out == f"{tmp_path}\n"
    assert run("command", tmp_path, command="true", directory="/nothing here").code == 125


@pytest.mark.parametrize(
    ("interpreter", "script"),
    [
        (["/bin/sh"], 'printf "%s|" "$0" "$@"'),
        (["bash", "-eu"], 'printf "%s|" x "$@"'),
        (["python3", "-u"], "import sys; print('|'.join(sys.argv) + '|', end='')"),
        (["perl"], 'print join("|", "x", @ARGV), "|"'),
    ],
)
def test_script_runs_in_any_language_with_arguments_as_they_are(
    tmp_path: Path, interpreter: list[str], script: str
) -> None:
    assert shutil.which(interpreter[0])
    ran = run("script", tmp_path, script=script, interpreter=interpreter, arguments=HOSTILE)
    assert ran.err == ""
    assert ran.out.split("|", 1)[1] == "".join(f"{word}|" for word in HOSTILE)


def test_script_leaves_its_text_nowhere_and_can_read_the_parameters_again(tmp_path: Path) -> None:
    script = 'cat "/dev/fd/$ANYJOB_PARAMS_FD"; echo; ls -A "$TMPDIR"; env'
    (tmp_path / "tmp").mkdir()
    ran = run("script", tmp_path, script=script, env={"TMPDIR": str(tmp_path / "tmp")})
    given, *rest = ran.out.splitlines()
    assert json.loads(given)["params"]["script"] == script
    assert all("=" in line and "ANYJOB_PARAM_SCRIPT" not in line for line in rest)  # no file, no variable


def test_script_tells_an_interpreter_that_is_not_there(tmp_path: Path) -> None:
    ran = run("script", tmp_path, script="x", interpreter=["no-such-program"])
    assert ran.code == 1
    assert "cannot run 'no-such-program': No such file or directory" in ran.err


def test_python_runs_code(tmp_path: Path) -> None:
    ran = run("python", tmp_path, script="import sys\nprint(sys.argv[1:])\nsys.exit(3)", arguments=["a b"])
    assert (ran.code, ran.out) == (3, "['a b']\n")


def test_facts_are_json_and_the_result(tmp_path: Path) -> None:
    ran = run("facts", tmp_path)
    facts = json.loads(ran.out)
    assert facts["system"]["hostname"] == socket.gethostname()
    assert facts["hardware"]["memory"]["total"] > 0
    assert ran.reports == [{"result": facts}]


def test_packages_are_listed_by_name_and_version(tmp_path: Path) -> None:
    lines = run("packages", tmp_path).out.splitlines()
    assert len(lines) > 50
    assert all(line.count("\t") == 1 and all(line.split("\t")) for line in lines)
    some = run("packages", tmp_path, name="openssh").out.splitlines()
    assert some
    assert all("openssh" in line.split("\t")[0] for line in some)
    assert run("packages", tmp_path, name="no such \\n thing'").out == ""


def test_service_asks_whoever_is_in_charge(tmp_path: Path) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    for program in ("service", "systemctl"):
        (programs / program).write_text('#!/bin/sh\necho "$0 $@"\n')
        (programs / program).chmod(0o755)
    ran = run("service", tmp_path, name="nginx", action="restart", env={"PATH": f"{programs}:{os.environ['PATH']}"})
    assert ran.code == 0
    systemd = Path("/run/systemd/system").is_dir()
    asked = "systemctl --no-ask-password restart -- nginx" if systemd else "service nginx restart"
    assert ran.out.startswith(f"{programs}/{asked}\n")


@pytest.mark.parametrize("name", ["-rf", "--help", "a b", "a;id", "$(id)", "../x", "a\n", ""])
def test_the_name_of_a_service_is_nothing_else(tmp_path: Path, name: str) -> None:
    with pytest.raises(ParamErrors):
        run("service", tmp_path, name=name)


@contextlib.contextmanager
def answering(status: int) -> Iterator[int]:
    """Serve HTTP with one answer on loopback; gives the port."""

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Location", "http://127.0.0.1:1/")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            return

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


def test_wait_for_a_port(tmp_path: Path) -> None:
    with answering(200) as port:
        up = run("wait-for", tmp_path, port=port, host="127.0.0.1", limit=10)
        assert (up.code, up.out) == (0, f"127.0.0.1:{port}: takes connections\n")
        assert run("wait-for", tmp_path, port=port, host="127.0.0.1", state="down", limit=1, every=0.2).code == 1
    assert run("wait-for", tmp_path, port=port, host="127.0.0.1", state="down", limit=10).code == 0
    late = run("wait-for", tmp_path, port=port, host="127.0.0.1", limit=1, every=0.2)
    assert late.code == 1
    assert "is not up after 1 s" in late.err


@pytest.mark.parametrize(("status", "wanted", "code"), [(200, None, 0), (302, None, 0), (404, None, 1), (404, 404, 0)])
def test_wait_for_a_url(tmp_path: Path, status: int, wanted: int | None, code: int) -> None:
    with answering(status) as port:
        ran = run("wait-for", tmp_path, what="url", url=f"http://127.0.0.1:{port}/", status=wanted, limit=1, every=0.2)
    assert (ran.code, ran.out) == (code, f"http://127.0.0.1:{port}/: answers {status}\n")


def test_wait_for_asks_for_what_it_waits_for() -> None:
    for given, missing in (({}, "port"), ({"what": "url"}, "url")):
        with pytest.raises(ParamErrors) as caught:
            validate(TYPES["wait-for"].params, given)
        assert caught.value.problems == ((missing, "is required"),)
