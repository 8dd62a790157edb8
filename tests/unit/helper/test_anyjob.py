"""`import anyjob`, on every Python that this machine has."""

import os
import signal
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from jobs.reports import Finish, Log, Progress, Report, Result
from tests.interpreters import find_interpreters
from tests.unit.helper.jobprocess import HELPER, Ended, run

INTERPRETERS = find_interpreters()


@pytest.fixture(params=sorted(INTERPRETERS))
def python(request: pytest.FixtureRequest) -> str:
    return INTERPRETERS[request.param]


def work(python: str, source: str, **given: Any) -> Ended:
    return run([python, "-c", f"import anyjob\n{source}"], **given)


EVERYTHING = """
anyjob.progress(40)
anyjob.progress(0.5, "half", stage="copy")
anyjob.progress(stage="tidy")
anyjob.state("warm")
anyjob.log("look", "warning", tag="db")
anyjob.debug("d"); anyjob.info("i"); anyjob.warning("w"); anyjob.error("e", tag="t")
anyjob.data({"a": [1, None]}, b="x")
anyjob.metrics(rows=12, s=-1.5)
anyjob.result({"rows": 12})
anyjob.mask("hunter22")
anyjob.heartbeat()
anyjob.redo()
anyjob.success("all there")
anyjob.failure("or not")
"""


def test_each_method_reports(python: str) -> None:
    ended = work(python, EVERYTHING)
    assert (ended.code, ended.out, ended.err) == (0, "", "")
    assert ended.said == [
        Report(progress=Progress(percent=40)),
        Report(progress=Progress(percent=0.5, stage="copy", message="half")),
        Report(progress=Progress(stage="tidy")),
        Report(state="warm"),
        Report(log=Log(level="warning", message="look", tag="db")),
        Report(log=Log(level="debug", message="d")),
        Report(log=Log(level="info", message="i")),
        Report(log=Log(level="warning", message="w")),
        Report(log=Log(level="error", message="e", tag="t")),
        Report(data={"a": [1, None], "b": "x"}),
        Report(metrics={"rows": 12, "s": -1.5}),
        Report(result=Result(value={"rows": 12})),
        Report(mask="hunter22"),
        Report(heartbeat=True),
        Report(redo=True),
        Report(finish=Finish(ok=True, message="all there")),
        Report(finish=Finish(ok=False, message="or not")),
    ]


def test_inputs_come_out_as_they_were_given(python: str) -> None:
    params = {"text": 'a\n"b" 漢 😀', "zero": 0, "none": None, "list": [1, {"x": []}]}
    ended = work(
        python,
        "print(ascii((anyjob.params(), anyjob.param('zero', 7), anyjob.param('no', 7), anyjob.props(), "
        "anyjob.prop('p'), anyjob.secret('s'))))",
        params=params,
        props={"p": "v"},
        secrets={"s": "hünter"},
        env={"PYTHONIOENCODING": "utf-8"},
    )
    assert ended.err == ""
    assert ended.out == ascii((params, 0, 7, {"p": "v"}, "v", "hünter")) + "\n"


def test_a_secret_that_was_not_given_is_an_error_that_names_it(python: str) -> None:
    ended = work(python, "anyjob.secret('pin')", secrets={"other": "hunter22"})
    assert ended.code == 1
    assert "LookupError: this job was given no secret named 'pin'" in ended.err
    assert "hunter22" not in ended.err


def test_a_job_knows_who_it_is(python: str) -> None:
    env = {
        "JOB_ID": "J-1",
        "RUN_ID": "J",
        "NODE": "web01",
        "ATTEMPT": "2",
        "TOKEN": "J-1.2",
        "USER": "ada",
        "TYPE": "copy",
    }
    ended = work(
        python,
        "print(anyjob.job_id, anyjob.run_id, anyjob.node, anyjob.attempt, anyjob.token, anyjob.user, anyjob.type_name)",
        env={f"ANYJOB_{name}": value for name, value in env.items()},
    )
    assert ended.out == "J-1 J web01 2 J-1.2 ada copy\n"


def test_two_processes_of_a_job_read_the_same_parameters(python: str) -> None:
    again = "import subprocess, sys; print(anyjob.param('a'), flush=True); "
    again += (
        "subprocess.check_call([sys.executable, '-c', 'import anyjob; print(anyjob.param(\"a\"))'], pass_fds=[7, 8])"
    )
    assert work(python, again, params={"a": 5}).out == "5\n5\n"


def test_a_process_without_the_descriptors_says_so(python: str) -> None:
    child = "import anyjob; anyjob.state('x'); anyjob.param('a')"
    ended = work(python, f"import subprocess, sys; subprocess.call([sys.executable, '-c', {child!r}])", params={"a": 5})
    assert ended.lines == []
    assert "descriptor 7 (ANYJOB_FD) was not handed on" in ended.err
    assert "RuntimeError: descriptor 8 (ANYJOB_PARAMS_FD) does not give the parameters" in ended.err


@pytest.mark.parametrize(
    ("call", "told"),
    [
        ("anyjob.result(float('nan'))", "a report (result) is not sent: "),
        ("anyjob.data(a='x' * 70000)", "a report (data) is not sent: its 70018 bytes are more than 65536"),
        ("a = []; a.append(a); anyjob.result(a)", "a report (result) is not sent: "),
        ("anyjob.data({(1, 2): 3})", "a report (data) is not sent: "),
    ],
)
def test_a_report_that_cannot_be_sent_breaks_nothing(python: str, call: str, told: str) -> None:
    ended = work(python, f"{call}\nanyjob.state('on')")
    assert (ended.code, ended.said) == (0, [Report(state="on")])
    assert ended.err.startswith(f"anyjob: {told}")


def test_what_json_does_not_know_is_sent_as_text(python: str) -> None:
    ended = work(python, "import pathlib; anyjob.result(pathlib.Path('/x')); anyjob.state('caf\\udce9' + 'x' * 9000)")
    assert ended.said[0] == Report(result=Result(value="/x"))
    assert isinstance(ended.said[1], Report)
    assert str(ended.said[1].state).startswith("caf\ufffdxxx")


def test_a_report_that_nobody_reads_breaks_nothing(python: str) -> None:
    source = "import os; r, w = os.pipe(); os.close(r); job = anyjob.Job({'ANYJOB_FD': str(w)}); job.state('x')"
    ended = work(python, source)
    assert ended.code == 0
    assert ended.err.splitlines()[0] == "anyjob: reports go to standard error from now on: [Errno 32] Broken pipe"


def test_threads_do_not_mix_their_lines(python: str) -> None:
    source = """
import threading
def say(n):
    for i in range(20): anyjob.state(str(n) * 100)
threads = [threading.Thread(target=say, args=(n,)) for n in range(8)]
[t.start() for t in threads]; [t.join() for t in threads]
"""
    ended = work(python, source)
    states = [report.state for report in ended.said if isinstance(report, Report)]
    assert sorted(map(str, states)) == sorted(str(number) * 100 for number in range(8) for _ in range(20))


def test_without_anyjob_it_prints_to_standard_error(python: str) -> None:
    alone = {"ANYJOB_FD": "", "ANYJOB_PARAMS_FD": "", "ANYJOB_PARAM_NAME": "given by hand"}
    ended = work(python, "anyjob.progress(3); anyjob.mask('hunter22'); print(anyjob.param('name'))", env=alone)
    assert (ended.code, ended.out) == (0, "given by hand\n")
    assert ended.err == 'anyjob: {"progress":{"percent":3}}\nanyjob: {"mask":"***"}\n'


TERM = """
import os, signal
before = []
signal.signal(signal.SIGTERM, lambda *_: before.append(1))
print(anyjob.cancelled())
os.kill(os.getpid(), signal.SIGTERM)
print(anyjob.cancelled(), before)
"""


def test_a_job_that_asks_sees_that_it_was_cancelled(python: str) -> None:
    assert work(python, TERM).out == "False\nTrue [1]\n"


def test_a_job_that_never_asks_is_ended_by_term(python: str) -> None:
    ended = work(python, "import os, signal; os.kill(os.getpid(), signal.SIGTERM); print('still here')")
    assert (ended.code, ended.out) == (-signal.SIGTERM, "")


@pytest.mark.parametrize(
    ("function", "code", "said"),
    [
        ("def work(job): job.state(job.param('a'))", 0, [Report(state="5")]),
        ("def work(params): return params", 0, [Report(result=Result(value={"a": 5}))]),
        ("def work(): return 0", 0, [Report(result=Result(value=0))]),
        ("def work(): anyjob.failure('no')", 1, [Report(finish=Finish(ok=False, message="no"))]),
        ("def work(): raise SystemExit(3)", 3, []),
        ("def work(): 1 / 0", 1, [Report(finish=Finish(ok=False, message="ZeroDivisionError: division by zero"))]),
    ],
)
def test_main_makes_a_function_the_job(python: str, function: str, code: int, said: list[Report]) -> None:
    ended = work(python, f"@anyjob.main\n{function}\nwork()", params={"a": 5})
    assert (ended.code, ended.said) == (code, said)
    assert ("Traceback" in ended.err) is ("1 / 0" in function)


def test_main_makes_the_body_of_a_with_the_job(python: str) -> None:
    ended = work(python, "with anyjob.main as job:\n    job.state('in')\n    raise OSError('disk')")
    assert (ended.code, ended.said) == (
        1,
        [Report(state="in"), Report(finish=Finish(ok=False, message="OSError: disk"))],
    )


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    path = tmp_path / "bundle.zip"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("tasks/__init__.py", "")
        file.writestr(
            "tasks/copy.py", "import anyjob\nfrom tasks.names import NAME\ndef go(job):\n    anyjob.state(NAME)\n"
        )
        file.writestr("tasks/names.py", "NAME = 'imported'\n")
        file.writestr("scripts/my-job.py", "import beside\ndef go(params):\n    return beside.TWICE * params['a']\n")
        file.writestr("scripts/beside.py", "TWICE = 2\n")
        file.writestr("top.py", "def go():\n    raise ValueError('bad')\n")
    return path


@pytest.mark.parametrize(
    ("target", "code", "said"),
    [
        ("tasks.copy:go", 0, [Report(state="imported")]),
        ("scripts/my-job.py:go", 0, [Report(result=Result(value=10))]),
        ("top:go", 1, [Report(finish=Finish(ok=False, message="ValueError: bad"))]),
        ("top.py:go", 1, [Report(finish=Finish(ok=False, message="ValueError: bad"))]),
    ],
)
def test_a_function_of_a_bundle_is_the_job(
    python: str, bundle: Path, target: str, code: int, said: list[Report]
) -> None:
    ended = run([python, HELPER / "anyjob.py", "run", bundle, target], params={"a": 5})
    assert (ended.code, ended.said) == (code, said), ended.err


def test_a_bundle_without_a_name_is_run_through_its_descriptor(python: str, bundle: Path) -> None:
    program = [
        "sh",
        "-c",
        f'exec "$@" 6<{bundle}',
        "sh",
        python,
        HELPER / "anyjob.py",
        "run",
        "/proc/self/fd/6",
        "top:go",
    ]
    ended = run(program)
    assert (ended.code, ended.said) == (1, [Report(finish=Finish(ok=False, message="ValueError: bad"))])


@pytest.mark.parametrize(
    ("target", "told"), [("nothing:go", "No module named"), ("top:gone", "has no attribute 'gone'")]
)
def test_what_a_bundle_lacks_is_named(python: str, bundle: Path, target: str, told: str) -> None:
    ended = run([python, HELPER / "anyjob.py", "run", bundle, target])
    assert ended.code == 1
    assert told in ended.err


def test_its_import_leaves_no_compiled_file_and_takes_no_module_of_ours(tmp_path: Path) -> None:
    copy = tmp_path / "anyjob.py"
    copy.write_bytes((HELPER / "anyjob.py").read_bytes())
    code = (
        "import anyjob, sys; print(sorted(n for n in sys.modules if n.split('.')[0] in ('jobs', 'remote', 'msgspec')))"
    )
    env = {**os.environ, "PYTHONPATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
    assert [path.name for path in tmp_path.iterdir()] == ["anyjob.py"]
