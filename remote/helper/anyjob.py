"""What a job says to AnyJob, and what AnyJob says to it.

    import anyjob

    for number, table in enumerate(anyjob.param("tables"), start=1):
        anyjob.progress(100 * number / 12, "copying " + table)
    anyjob.result({"tables": 12})

Python 3.6 and newer, standard library only. AnyJob puts this file on the `PYTHONPATH` of every job. Outside of AnyJob
the same program runs, too: parameters come from `ANYJOB_PARAM_*`, and reports are printed to standard error.

A report never breaks a job: one that cannot be sent is told on standard error and forgotten. The module's names are
those of the one `Job` there is; `docs/reference/job-protocol.md` says what goes over the wire.
"""

import functools
import importlib
import inspect
import json
import os
import signal
import stat
import sys
import threading
import traceback

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import FrameType
    from typing import Any

MAX_LINE = 65536  # bytes; longer ones are dropped by the controller
MAX_TEXT = 8192  # characters of a message: what is longer belongs into the output

_NOTHING = {}  # type: dict[str, Any]


class Job:
    """The job that this process is: what it was given, and what it reports."""

    def __init__(self, env: "Mapping[str, str]") -> None:
        """Take the environment that AnyJob made."""
        self.id = env.get("ANYJOB_JOB_ID", "")  #: the same for all attempts
        self.run = env.get("ANYJOB_RUN_ID", "")  #: the jobs that were started together share it
        self.node = env.get("ANYJOB_NODE", "")  #: its name in the inventory
        self.user = env.get("ANYJOB_USER", "")  #: who asked for it; not the account that it runs as
        self.type = env.get("ANYJOB_TYPE", "")  #: the job type
        self.token = env.get("ANYJOB_TOKEN", "")  #: this attempt's own name
        self.attempt = int(env.get("ANYJOB_ATTEMPT") or 1)  #: 1 at first
        self._env = env
        self._fd = _reporting(env.get("ANYJOB_FD"))
        self._given = None  # type: dict[str, Any] | None
        self._lock = threading.RLock()  # a handler of signals may report, too
        self.failed = False  #: `failure` was said last
        self._term = None  # type: threading.Event | None

    def params(self) -> "dict[str, Any]":
        """Return all parameters, checked and completed by the job type."""
        return dict(self._inputs()["params"])

    def param(self, name: str, default: "Any" = None) -> "Any":
        """Return one parameter, or `default` where there is none of this name."""
        return self._inputs()["params"].get(name, default)

    def props(self) -> "dict[str, Any]":
        """Return all props: what the system and its observers know about this job."""
        return dict(self._inputs()["props"])

    def prop(self, name: str, default: "Any" = None) -> "Any":
        """Return one prop, or `default`."""
        return self._inputs()["props"].get(name, default)

    def secret(self, name: str) -> str:
        """Return a secret parameter. A name that there is none of raises `LookupError`."""
        secrets = self._inputs()["secrets"]
        if name not in secrets:
            raise LookupError(f"this job was given no secret named {name!r}")
        return str(secrets[name])

    def _inputs(self) -> "dict[str, Any]":
        if self._given is None:
            self._given = _read_inputs(self._env)
        return self._given

    def progress(
        self, percent: "float | None" = None, message: "str | None" = None, stage: "str | None" = None
    ) -> None:
        """Say how far the job is: `percent` of 0 to 100, the part of the work it is in, and what it does just now."""
        said = {"percent": percent, "stage": _cut(stage), "message": _cut(message)}
        self._send("progress", {key: value for key, value in said.items() if value is not None})

    def state(self, text: str) -> None:
        """Say in a word or two what the job is doing. It changes nothing but what people see."""
        self._send("state", _cut(text))

    def log(self, message: str, level: str = "info", tag: "str | None" = None) -> None:
        """Add a line to the run's log; `level` is debug, info, warning or error, `tag` groups lines."""
        line = {"level": level, "message": _cut(message)}
        if tag is not None:
            line["tag"] = _cut(tag)
        self._send("log", line)

    debug = functools.partialmethod(log, level="debug")
    info = functools.partialmethod(log, level="info")
    warning = functools.partialmethod(log, level="warning")
    error = functools.partialmethod(log, level="error")

    def data(self, values: "Mapping[str, Any]" = _NOTHING, **more: "Any") -> None:
        """Keep named values with the job; a name that was said before is replaced."""
        self._send("data", dict(values, **more))

    def metrics(self, values: "Mapping[str, float]" = _NOTHING, **more: float) -> None:
        """Keep named numbers with the job; a name that was said before is replaced."""
        self._send("metrics", dict(values, **more))

    def result(self, value: "Any") -> None:
        """Say what came out: any JSON value of at most 16 KiB."""
        self._send("result", value)

    def success(self, message: str = "") -> None:
        """Say that it worked. The job goes on until it exits; an exit code other than 0 is still a failure."""
        self.failed = False
        self._send("success", _cut(message))

    def failure(self, message: str = "") -> None:
        """Say why it did not work. The job goes on until it exits; even the exit code 0 is then a failure."""
        self.failed = True
        self._send("failure", _cut(message))

    def mask(self, text: str) -> None:
        """Replace `text` by asterisks in all that the job writes from now on. It needs four characters or more."""
        self._send("mask", text)

    def heartbeat(self) -> None:
        """Say that the job is alive: it renews the limit on inactivity and is shown to nobody."""
        self._send("heartbeat", value=True)

    def redo(self) -> None:
        """Ask to be run again, as the next attempt, once this one has exited."""
        self._send("redo", value=True)

    def _send(self, key: str, value: "Any") -> None:
        try:
            line = json.dumps({key: value}, allow_nan=False, default=str, separators=(",", ":")).encode() + b"\n"
        except (ValueError, TypeError, RecursionError) as error:
            _say(f"a report ({key}) is not sent: {error}")
            return
        if len(line) > MAX_LINE:
            _say(f"a report ({key}) is not sent: its {len(line)} bytes are more than {MAX_LINE}")
            return
        with self._lock:
            self._write(key, line)

    def _write(self, key: str, line: bytes) -> None:
        if self._fd is None:
            _say('{"mask":"***"}' if key == "mask" else line.decode("ascii").rstrip())
            return
        try:
            while line:
                line = line[os.write(self._fd, line) :]
        except OSError as error:
            self._fd = None
            _say(f"reports go to standard error from now on: {error}")

    def cancelled(self) -> bool:
        """Tell whether somebody has cancelled the job, or its time is over.

        From the first call on, which must be in the main thread, the signal TERM no longer ends this process: it has
        the grace period to tidy up, then it is killed. A handler that was there before is still called.
        """
        if self._term is None:
            came, before = threading.Event(), signal.getsignal(signal.SIGTERM)

            def note(number: int, frame: "FrameType | None") -> None:
                came.set()
                if callable(before):
                    before(number, frame)

            signal.signal(signal.SIGTERM, note)
            self._term = came
        return self._term.is_set()


class _Main:
    """Makes a function, or the body of a `with`, the job.

    A function gets the parameters, or the `Job` if its first argument is named `job`; what it returns is the result.
    An exception is the failure: its traceback goes to standard error and the exit code is 1.
    """

    def __call__(self, function: "Callable[..., Any]") -> "Callable[[], None]":
        @functools.wraps(function)
        def whole() -> None:
            with self as job:
                _call(function, job)

        del whole.__wrapped__  # it takes nothing, whatever `function` takes
        return whole

    def __enter__(self) -> Job:
        return _job

    def __exit__(self, *raised: "Any") -> None:
        error = raised[1]
        if isinstance(error, Exception):
            traceback.print_exception(*raised)
            _job.failure(f"{type(error).__name__}: {error}")
        if error is None or isinstance(error, Exception):
            sys.stdout.flush()
            sys.exit(1 if _job.failed else 0)


def run(path: str, target: str) -> None:
    """Run a function of a bundle as the job, then exit.

    Args:
        path: the bundle, a zip file or a directory.
        target: `module:function`, or `directory/file.py:function` for a file of the bundle.
    """
    name, _, function = target.rpartition(":")
    sys.path.insert(0, path)
    if name.endswith(".py"):
        directory, _, name = name[:-3].rpartition("/")
        sys.path.insert(0, f"{path}/{directory}".rstrip("/"))
    with main as job:
        _call(getattr(importlib.import_module(name), function), job)


def _call(function: "Callable[..., Any]", job: Job) -> None:
    names = list(inspect.signature(function).parameters)
    given = [job if names[0] == "job" else job.params()] if names else []
    value = function(*given)
    if value is not None:
        job.result(value)


def _reporting(number: "str | None") -> "int | None":
    """Return the descriptor for reports; None outside of AnyJob, and where a parent has closed it."""
    if not number:
        return None
    try:
        kind = os.fstat(int(number)).st_mode
    except (ValueError, OSError):
        kind = 0
    # A program that closes descriptors before it starts another may leave something else under this number.
    if not stat.S_ISFIFO(kind) and not stat.S_ISSOCK(kind):
        _say(f"descriptor {number} (ANYJOB_FD) was not handed on; reports go to standard error")
        return None
    return int(number)


def _read_inputs(env: "Mapping[str, str]") -> "dict[str, Any]":
    number = env.get("ANYJOB_PARAMS_FD")
    if not number:
        given = {name[13:].lower(): value for name, value in env.items() if name.startswith("ANYJOB_PARAM_")}
        return {"params": given, "props": {}, "secrets": {}}
    try:
        value = json.loads(_read_all(int(number)).decode("utf-8"))
        return {key: dict(value.get(key) or {}) for key in ("params", "props", "secrets")}
    except (OSError, ValueError, AttributeError, TypeError):  # their texts may hold secrets
        raise RuntimeError(
            f"descriptor {number} (ANYJOB_PARAMS_FD) does not give the parameters: another process has read them, or "
            "what started this one did not hand it on (in Python: subprocess's pass_fds)"
        ) from None


def _read_all(fd: int) -> bytes:
    about = os.fstat(fd)
    if stat.S_ISREG(about.st_mode):
        return os.pread(fd, about.st_size, 0)  # the position is shared with other processes of the job
    return b"".join(iter(lambda: os.read(fd, 65536), b""))


def _cut(text: "Any | None") -> "str | None":
    if text is not None:
        text = str(text).encode("utf-8", "surrogateescape").decode("utf-8", "replace")  # file names may be any bytes
    return text if text is None or len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "\u2026"


def _say(text: str) -> None:
    sys.stderr.write(f"anyjob: {text}\n")


_job = Job(os.environ)
main = _Main()

job_id, run_id, node, user, type_name = _job.id, _job.run, _job.node, _job.user, _job.type
token, attempt = _job.token, _job.attempt
params, param, props, prop, secret = _job.params, _job.param, _job.props, _job.prop, _job.secret
progress, state, log, data, result, metrics = _job.progress, _job.state, _job.log, _job.data, _job.result, _job.metrics
debug, info, warning, error = _job.debug, _job.info, _job.warning, _job.error
success, failure, mask, heartbeat, redo = _job.success, _job.failure, _job.mask, _job.heartbeat, _job.redo
cancelled = _job.cancelled

if __name__ == "__main__":
    if len(sys.argv) != 4 or sys.argv[1] != "run":
        sys.exit("usage: anyjob.py run BUNDLE MODULE:FUNCTION")
    sys.modules["anyjob"] = sys.modules["__main__"]  # what the function imports is this, not a second copy
    run(sys.argv[2], sys.argv[3])
