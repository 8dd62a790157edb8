# ruff: noqa: UP, PTH  (runs on Python 3.6, and the imports of a job's start are counted)
"""What a job says to AnyJob, and what AnyJob says to it.

    import anyjob

    for number, table in enumerate(anyjob.param("tables"), start=1):
        anyjob.progress(100 * number / 12, "copying " + table)
        ...
    anyjob.result({"tables": 12})

Python 3.6 and newer, standard library only. AnyJob puts this file on the `PYTHONPATH` of every job. Outside of AnyJob the same
program runs, too: parameters come from `ANYJOB_PARAM_*`, and what it reports is printed to standard error.

A report never breaks a job: one that cannot be sent is told on standard error and forgotten. The names below are the
methods of one `Job`; `docs/reference/job-protocol.md` says what goes over the wire.
"""

import functools
import json
import os
import signal
import stat
import sys
import threading
import traceback

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType, TracebackType
    from typing import Any, Callable, Dict, Mapping, Optional, Type

MAX_LINE = 65536  # bytes; longer ones are dropped by the controller
MAX_TEXT = 8192  # characters of a message: what is longer belongs into the output
MAX_PARAMS = 4 << 20  # bytes: params, props and secrets together

_PARAM = "ANYJOB_PARAM_"


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
        self._given = None  # type: Optional[Dict[str, Any]]
        self._lock = threading.Lock()
        self._failed = False
        self._term = None  # type: Optional[threading.Event]

    # -- what it was given

    def params(self) -> "Dict[str, Any]":
        """Return all parameters, checked and completed by the job type."""
        return dict(self._inputs()["params"])

    def param(self, name: str, default: "Any" = None) -> "Any":
        """Return one parameter, or `default` where there is none of this name."""
        return self._inputs()["params"].get(name, default)

    def props(self) -> "Dict[str, Any]":
        """Return all props: what the system and its observers know about this job."""
        return dict(self._inputs()["props"])

    def prop(self, name: str, default: "Any" = None) -> "Any":
        """Return one prop, or `default`."""
        return self._inputs()["props"].get(name, default)

    def secret(self, name: str) -> str:
        """Return a secret parameter.

        Raises:
            LookupError: the job was given no secret of this name.
        """
        secrets = self._inputs()["secrets"]
        if name not in secrets:
            raise LookupError("this job was given no secret named %r" % name)
        return str(secrets[name])

    def _inputs(self) -> "Dict[str, Any]":
        with self._lock:
            if self._given is None:
                self._given = _read_inputs(self._env)
            return self._given

    # -- what it reports

    def progress(
        self, percent: "Optional[float]" = None, message: "Optional[str]" = None, stage: "Optional[str]" = None
    ) -> None:
        """Say how far the job is: `percent` of 0 to 100, the part of the work it is in, and what it does just now."""
        said = {"percent": percent, "stage": _cut(stage), "message": _cut(message)}
        self._send("progress", {name: value for name, value in said.items() if value is not None})

    def state(self, text: str) -> None:
        """Say in a word or two what the job is doing. It changes nothing but what people see."""
        self._send("state", _cut(text))

    def log(self, message: str, level: str = "info", tag: "Optional[str]" = None) -> None:
        """Add a line to the run's log; `level` is debug, info, warning or error, `tag` groups lines."""
        line = {"level": level, "message": _cut(message)}
        if tag is not None:
            line["tag"] = _cut(tag)
        self._send("log", line)

    def debug(self, message: str, tag: "Optional[str]" = None) -> None:
        """Log for who looks for a mistake."""
        self.log(message, "debug", tag)

    def info(self, message: str, tag: "Optional[str]" = None) -> None:
        """Log what is worth knowing."""
        self.log(message, "info", tag)

    def warning(self, message: str, tag: "Optional[str]" = None) -> None:
        """Log what somebody should look at."""
        self.log(message, "warning", tag)

    def error(self, message: str, tag: "Optional[str]" = None) -> None:
        """Log what went wrong. The job goes on; see `failure`."""
        self.log(message, "error", tag)

    def data(self, *values: "Mapping[str, Any]", **more: "Any") -> None:
        """Keep named values with the job; a name that was said before is replaced."""
        self._send("data", _together(values, more))

    def metrics(self, *values: "Mapping[str, float]", **more: float) -> None:
        """Keep named numbers with the job; a name that was said before is replaced."""
        self._send("metrics", _together(values, more))

    def result(self, value: "Any") -> None:
        """Say what came out: any JSON value of at most 16 KiB."""
        self._send("result", value)

    def success(self, message: str = "") -> None:
        """Say that it worked. The job goes on until it exits; an exit code other than 0 is still a failure."""
        self._failed = False
        self._send("success", _cut(message))

    def failure(self, message: str = "") -> None:
        """Say why it did not work. The job goes on until it exits; even the exit code 0 is then a failure."""
        self._failed = True
        self._send("failure", _cut(message))

    def mask(self, text: str) -> None:
        """Replace `text` by asterisks in all that the job writes from now on. It needs four characters or more."""
        self._send("mask", text)

    def heartbeat(self) -> None:
        """Say that the job is alive: it renews the limit on inactivity and is shown to nobody."""
        self._send("heartbeat", True)

    def redo(self) -> None:
        """Ask to be run again, as the next attempt, once this one has exited."""
        self._send("redo", True)

    def _send(self, key: str, value: "Any") -> None:
        try:
            text = json.dumps({key: value}, allow_nan=False, default=str, separators=(",", ":"))
            line = text.encode("utf-8") + b"\n"
            if len(line) > MAX_LINE:
                raise ValueError("%d bytes are more than %d" % (len(line), MAX_LINE))
        except (ValueError, TypeError, RecursionError) as error:
            _complain("a report (%s) is not sent: %s" % (key, error))
            return
        with self._lock:
            self._write(key, line)

    def _write(self, key: str, line: bytes) -> None:
        if self._fd is None:
            sys.stderr.write("anyjob: %s\n" % ("{\"mask\":\"***\"}" if key == "mask" else line.decode("ascii").rstrip()))
            return
        try:
            while line:
                line = line[os.write(self._fd, line) :]
        except OSError as error:
            self._fd = None
            _complain("reports go to standard error from now on: %s" % error)

    # -- its end

    def cancelled(self) -> bool:
        """Tell whether somebody has cancelled the job, or its time is over.

        From the first call on, the signal TERM no longer ends this process: it has the grace period to tidy up, then
        it is killed. A handler that was there before is still called.

        Raises:
            RuntimeError: the first call is not in the main thread.
        """
        if self._term is None:
            if threading.current_thread() is not threading.main_thread():
                raise RuntimeError("call anyjob.cancelled() once in the main thread before other threads do")
            self._term = _watch_term()
        return self._term.is_set()

    def exit(self) -> None:
        """Exit with the code 1 after `failure`, else 0."""
        sys.exit(1 if self._failed else 0)


class _Main:
    """Makes a function, or the body of a `with`, the job.

    A function is called with what its first argument is named for: `job`, else the parameters. What it returns is the
    result. An exception is the failure: its traceback goes to standard error and the exit code is 1.
    """

    def __call__(self, function: "Callable[..., Any]") -> "Callable[[], None]":
        @functools.wraps(function)
        def whole() -> None:
            with self as job:
                value = _call(function, job)
                if value is not None:
                    job.result(value)

        del whole.__wrapped__  # type: ignore[attr-defined]  # its signature is its own: it takes nothing
        return whole

    def __enter__(self) -> Job:
        return _job

    def __exit__(
        self, kind: "Optional[Type[BaseException]]", error: "Optional[BaseException]", where: "Optional[TracebackType]"
    ) -> None:
        if isinstance(error, Exception):
            traceback.print_exception(kind, error, where)
            _job.failure("%s: %s" % (type(error).__name__, error))
        if error is None or isinstance(error, Exception):
            sys.stdout.flush()
            _job.exit()


def run(path: str, target: str) -> None:
    """Run a function of a bundle as the job, then exit.

    Args:
        path: the bundle, a zip file or a directory.
        target: `module:function`, or `directory/file.py:function` for a file of the bundle.
    """
    name, _, function = target.rpartition(":")
    with main as job:
        value = _call(_load(path, name, function), job)
        if value is not None:
            job.result(value)


def _load(path: str, name: str, function: str) -> "Callable[..., Any]":
    import importlib  # noqa: PLC0415  jobs that are programs of their own do not need it

    sys.path.insert(0, path)
    if name.endswith(".py"):
        directory, _, file = name.rpartition("/")
        if directory:
            sys.path.insert(0, os.path.join(path, directory))
        name = file[:-3]
    found = getattr(importlib.import_module(name), function, None)
    if not callable(found):
        raise LookupError("%s has no function %r" % (name, function))
    return found


def _call(function: "Callable[..., Any]", job: Job) -> "Any":
    import inspect  # noqa: PLC0415

    names = list(inspect.signature(function).parameters)
    if not names:
        return function()
    return function(job if names[0] == "job" else job.params())


def _reporting(number: "Optional[str]") -> "Optional[int]":
    """Return the descriptor for reports; None outside of AnyJob, and where a parent has closed it."""
    if not number:
        return None
    try:
        kind = os.fstat(int(number)).st_mode
    except (ValueError, OSError):
        kind = 0
    # A program that closes descriptors before it starts another may leave something else under this number.
    if stat.S_ISFIFO(kind) or stat.S_ISSOCK(kind):
        return int(number)
    _complain("descriptor %s (ANYJOB_FD) was not handed on; reports go to standard error" % number)
    return None


def _read_inputs(env: "Mapping[str, str]") -> "Dict[str, Any]":
    number = env.get("ANYJOB_PARAMS_FD")
    if not number:
        given = {name[len(_PARAM) :].lower(): value for name, value in env.items() if name.startswith(_PARAM)}
        return {"params": given, "props": {}, "secrets": {}}
    try:
        value = json.loads(_read_all(int(number)).decode("utf-8"))
        return {key: dict(value.get(key) or {}) for key in ("params", "props", "secrets")}
    except OSError as error:
        raise RuntimeError(
            "the parameters cannot be read from descriptor %s (ANYJOB_PARAMS_FD): %s. A program that starts this one "
            "must hand the descriptor on (in Python: subprocess's pass_fds)" % (number, error)
        ) from None
    except (ValueError, AttributeError, TypeError):  # its text may be a secret
        raise RuntimeError(
            "descriptor %s (ANYJOB_PARAMS_FD) does not give the parameters; another process may have read them" % number
        ) from None


def _read_all(fd: int) -> bytes:
    if stat.S_ISREG(os.fstat(fd).st_mode):
        return os.pread(fd, MAX_PARAMS, 0)  # the position is shared with other processes of the job
    pieces = []
    while not pieces or pieces[-1]:
        pieces.append(os.read(fd, 65536))
    return b"".join(pieces)


def _watch_term() -> threading.Event:
    came = threading.Event()
    before = signal.getsignal(signal.SIGTERM)

    def note(number: int, frame: "Optional[FrameType]") -> None:
        came.set()
        if callable(before):
            before(number, frame)

    signal.signal(signal.SIGTERM, note)
    return came


def _together(mappings: "Any", more: "Dict[str, Any]") -> "Dict[str, Any]":
    whole = {}  # type: Dict[str, Any]
    for mapping in mappings:
        whole.update(mapping)
    whole.update(more)
    return whole


def _cut(text: "Optional[Any]") -> "Optional[str]":
    if text is None:
        return None
    text = str(text).encode("utf-8", "surrogateescape").decode("utf-8", "replace")  # file names may be any bytes
    return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "\u2026"


def _complain(text: str) -> None:
    sys.stderr.write("anyjob: %s\n" % text)


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
