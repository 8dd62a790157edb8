"""What one call of `anyjob` knows: the options that every command has, the site, and the way to the daemon."""

import contextlib
import enum
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from orchestrator.cli.escapes import plain
from orchestrator.cli.screen import Terminals
from orchestrator.cli.terminal import Terminal
from orchestrator.client import ApiError, Client, DaemonAbsentError
from orchestrator.site import Site, default_data_dir, find

if TYPE_CHECKING:
    from orchestrator.settings import Settings

Function = TypeVar("Function", bound=Callable[..., Any])
COMMON: Final = ("site", "output", "no_color", "quiet", "verbose", "help")
_DATA_DIR_KEY: Final = b"data_dir"


class Format(enum.StrEnum):
    """How results are written."""

    HUMAN = "human"
    JSON = "json"
    NDJSON = "ndjson"


@dataclass
class Invocation:
    """The object of click's context (`@click.pass_obj`); the options that every command has are written into it."""

    env: Mapping[str, str] = field(default_factory=lambda: os.environ)
    site_path: Path | None = None
    output: Format = Format.HUMAN
    no_color: bool = False
    quiet: bool = False
    verbose: bool = False
    embedded: bool = False  #: the daemon lives in this process, and ends with it

    @property
    def site(self) -> Site | None:
        """The site directory, None if there is none. Raises SiteError."""
        return find(self.site_path, self.env, Path.cwd())

    @property
    def terminals(self) -> Terminals:
        """What standard output and standard error can show."""
        colour = False if self.no_color else None
        return Terminals(
            Terminal.of(sys.stdout, self.env, colour=colour), Terminal.of(sys.stderr, self.env, colour=colour)
        )

    def settings(self) -> "Settings":
        """Read the settings. Raises InvalidFilesError with every mistake."""
        from orchestrator.settings import load  # noqa: PLC0415  costs as much as all the rest of a short command

        return load(self.site, self.env)

    def socket_path(self) -> Path:
        """Return where the daemon listens. The settings are read only if they can move it."""
        site = self.site
        if self.env.get("ANYJOB_DATA_DIR") or (site is not None and _DATA_DIR_KEY in site.config.read_bytes()):
            return self.settings().socket_path
        return default_data_dir(site, self.env) / "anyjob.sock"

    @contextlib.contextmanager
    def daemon(self, *, embed: bool = True) -> Iterator[Client]:
        """Connect to the daemon; without one, and without a configured Redis, run the whole stack in this process.

        Raises:
            DaemonAbsentError: none answers, and none can be started here.
        """
        try:
            client = Client.connect(self.socket_path())
        except DaemonAbsentError as absent:
            settings = self.settings() if embed else None
            if settings is None or settings.redis.url:
                raise
            self.note(f"{absent.path}: no daemon, starting one for this command")
            with self._embedded(settings) as client:
                yield client
            return
        with client:
            yield client

    @contextlib.contextmanager
    def _embedded(self, settings: "Settings") -> Iterator[Client]:
        from orchestrator.assembly import start_embedded  # noqa: PLC0415  imports everything

        self.embedded = True
        busy = "another command uses the daemon of this one: waiting until it ends (Ctrl-C leaves it without a daemon)"
        with start_embedded(settings, busy=lambda: self.say(busy)), Client.connect(settings.socket_path) as client:
            yield client

    def note(self, text: str) -> None:
        """Tell what is going on, with `-v`."""
        if self.verbose:
            click.echo(text, err=True)

    def say(self, text: str) -> None:
        """Tell people something that is no result: on standard error, unless `-q`."""
        if not self.quiet:
            click.echo(text, err=True)

    def emit(self, document: Mapping[str, Any], items: str | None, human: Callable[[Terminal], str]) -> None:
        """Write a result: `document` as JSON, the members of its list `items` one per line, or what `human` makes."""
        match self.output:
            case Format.JSON:
                sys.stdout.write(json.dumps(document, indent=2) + "\n")
            case Format.NDJSON:
                lines = [document] if items is None else document[items]
                sys.stdout.write("".join(json.dumps(line) + "\n" for line in lines))
            case Format.HUMAN:
                sys.stdout.write(human(self.terminals.out))


class Failure(click.ClickException):
    """An error for people. Exit code 1: the tool failed, not a job."""

    def __init__(self, error: Exception, invocation: Invocation) -> None:
        super().__init__(str(error))
        self._error = error
        self._invocation = invocation

    def show(self, file: Any = None) -> None:  # noqa: ARG002  click's form
        """Write the message and every problem to standard error; as an object where the output is for programs."""
        problems = getattr(self._error, "problems", ())
        if self._invocation.output is not Format.HUMAN:
            code = getattr(self._error, "code", "no_daemon" if isinstance(self._error, DaemonAbsentError) else "error")
            error = {"code": code, "message": self.message, "problems": [_fields(problem) for problem in problems]}
            click.echo(json.dumps({"error": error}), err=True)
            return
        label = self._invocation.terminals.err.paint("error:", "red", "bold")
        lines = [_problem(problem) for problem in problems]
        told = [line for line in lines if line not in self.message]
        message = "\n".join(plain(line) for line in self.message.splitlines())
        click.echo("\n".join([f"{label} {message}", *(f"  {plain(line)}" for line in told)]), err=True)


def _problem(problem: object) -> str:
    if not isinstance(problem, Mapping):
        return str(problem)
    place = ":".join(str(problem[name]) for name in ("file", "line", "column") if problem.get(name) is not None)
    parts = [part for part in (place, problem.get("field"), problem.get("message")) if part]
    return ": ".join(str(part) for part in parts) + (f"; {problem['hint']}" if problem.get("hint") else "")


def _fields(problem: object) -> Mapping[str, object]:
    return problem if isinstance(problem, Mapping) else {"message": str(problem)}


def _store(context: click.Context, parameter: click.Parameter, value: object) -> None:
    """Write a common option into the invocation, wherever on the line it stands."""
    if value is None or value is False or parameter.name is None:
        return
    invocation = context.ensure_object(Invocation)
    name = "site_path" if parameter.name == "site" else parameter.name
    setattr(invocation, name, Format(value) if name == "output" and isinstance(value, str) else value)


def common(function: Function) -> Function:
    """Give a command the options that every command has."""
    options = (
        click.option("--site", type=click.Path(path_type=Path, file_okay=False), metavar="DIR",
                     help="Site directory; default: $ANYJOB_SITE, ./, ~/.config/anyjob, /etc/anyjob."),
        click.option("-o", "--output", type=click.Choice([str(one) for one in Format]),
                     help="human (default), json: one document, ndjson: one object per line."),
        click.option("--no-color", is_flag=True, help="No colours (also: NO_COLOR=1)."),
        click.option("-q", "--quiet", is_flag=True, help="Only results and errors."),
        click.option("-v", "--verbose", is_flag=True, help="Tell more of what is going on."),
    )  # fmt: skip
    for option in reversed(options):
        function = option(function)
    for parameter in getattr(function, "__click_params__", ()):
        if parameter.name in COMMON:
            parameter.expose_value = False
            parameter.callback = _store
    return function


ERRORS: Final = (ApiError, DaemonAbsentError)
