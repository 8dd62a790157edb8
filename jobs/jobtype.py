"""What a job type is: the records that every face, the store and the dispatcher share.

They are read from files by `jobs.typefile`; `docs/reference/job-types.md` has the fields as people write them.

Actions and retries travel to the store as bare objects: `encode` writes them, `decode_action` and `decode_retry` read
them back.
"""

import enum
from typing import Any, Literal

import msgspec

OutputLimit = Literal["gap", "block", "kill"]  #: what is beyond the limit: dropped, not read, or the job's end
Leftovers = Literal["kill", "wait", "leave"]  #: what becomes of processes that outlive the job's own


class Kind(enum.StrEnum):
    """What kind of value a parameter takes; `docs/reference/parameters.md` has a heading for each."""

    TEXT = "text"  #: text; forms show one line
    TEXTAREA = "textarea"  #: text; forms show several lines
    INT = "int"  #: a whole number
    NUMBER = "number"  #: a finite number
    FLAG = "flag"  #: true or false
    CHOICE = "choice"  #: one of the options
    CHOICES = "choices"  #: any of the options
    DATETIME = "datetime"  #: a date and time
    DURATION = "duration"  #: a length of time, in seconds
    NODE = "node"  #: the name of a node
    FILE = "file"  #: a name and a content
    SECRET = "secret"  # noqa: S105  #: text that is never shown, kept or logged in clear
    LIST = "list"  #: several values of one kind


class Option(msgspec.Struct, frozen=True, kw_only=True):
    """One of the values that a choice offers."""

    value: str
    label: str


class DynamicOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Where the options of a choice come from, when a program lists them: one per line, `VALUE` or `VALUE<tab>LABEL`.

    Only a description: the orchestrator runs it.
    """

    command: tuple[str, ...] = ()  #: argv; empty = `script`
    script: str | None = None  #: text of a POSIX shell script
    on: str = "controller"  #: or `node`: the first node of the target
    timeout_s: float = 10.0
    cache_s: float = 60.0  #: how long an answer may be used again


class Param(msgspec.Struct, frozen=True, kw_only=True):
    """A parameter or a prop of a job type."""

    name: str
    kind: Kind
    label: str
    help: str = ""
    required: bool = False
    default: Any = None  #: as `jobs.params` gives values; None = none
    pattern: str | None = None  #: see `jobs.pattern`; a text must match it as a whole
    min: float | None = None  #: of numbers and durations (seconds)
    max: float | None = None
    min_length: int | None = None  #: characters of texts, items of `choices` and `list`, bytes of `file`
    max_length: int | None = None
    options: tuple[Option, ...] = ()  #: of `choice` and `choices`
    dynamic: DynamicOptions | None = None
    visible_when: dict[str, tuple[Any, ...]] = {}  #: earlier parameter → values with one of which this one is there
    implicit: bool = False  #: may be given as a bare word
    access: str | None = None  #: expression: who may set it; None = everyone
    items: "Param | None" = None  #: what the items of a `list` are


class CommandAction(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="command"):
    """Runs a program: one template per argument, never a shell."""

    argv: tuple[str, ...]


class ScriptAction(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="script"):
    """Runs a text: never a template; values reach it as arguments, variables and JSON."""

    text: str
    interpreter: tuple[str, ...] | None = None  #: None = its `#!` line, or `/bin/sh`
    args: tuple[str, ...] = ()  #: one template per argument


class PythonAction(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="python"):
    """Calls a Python function of the site; what lies below `root` is pushed as a bundle."""

    root: str  #: absolute directory on the controller
    module: str | None = None  #: dotted name below `root`; None = `file`
    file: str | None = None  #: path relative to `root`
    function: str = "main"


Action = CommandAction | ScriptAction | PythonAction


class Retry(msgspec.Struct, frozen=True, kw_only=True):
    """When a job is tried again; `jobs.retry` decides."""

    count: int  #: further attempts after the first
    delay_s: float = 10.0  #: before the second attempt
    backoff: float = 2.0  #: factor from one delay to the next
    max_delay_s: float = 3600.0
    on: tuple[str, ...] = ("failed", "timed_out", "unreachable")  #: see `jobs.retry.OUTCOMES`; also `exit:CODE`


class JobType(msgspec.Struct, frozen=True, kw_only=True):
    """A definition: label, params, what runs, as whom, limits. What is None is decided by the site's settings."""

    name: str
    label: str
    action: Action
    description: str = ""
    group: str | None = None  #: category in lists and forms
    icon: str | None = None
    order: int = 0
    disabled: str | None = None  #: the reason
    nodes: str | None = None  #: target expression: where it may run; None = everywhere
    except_nodes: str | None = None  #: target expression: where it may not
    default_nodes: str | None = None  #: target expression: where it runs if nobody says
    min_nodes: int = 1
    max_nodes: int | None = None
    params: tuple[Param, ...] = ()
    props: tuple[Param, ...] | None = None  #: replaces the site's; None = the site's
    run_as: str | None = None  #: USER or USER:GROUP
    env: dict[str, str] = {}  #: name → template
    cwd: str | None = None
    umask: int | None = None
    nice: int | None = None
    rlimits: dict[str, tuple[int | None, int | None]] = {}  #: name → (soft, hard); None = unlimited
    timeout_s: float | None = None
    inactivity_s: float | None = None
    start_timeout_s: float | None = None
    grace_s: float | None = None
    retry: Retry | None = None
    success_codes: tuple[int, ...] = (0,)
    max_output: int | None = None  #: bytes
    on_output_limit: OutputLimit = "gap"
    leftovers: Leftovers = "kill"
    confirm: str | None = None  #: what a person is asked before it starts; None = nothing
    redact: tuple[str, ...] = ()  #: regular expressions of what is masked in its output
    source: str = ""  #: FILE:LINE of its definition
    stock: bool = False  #: comes with AnyJob


def encode(record: Action | Retry) -> dict[str, Any]:
    """Give an action or a retry as a bare object that JSON can carry."""
    bare: dict[str, Any] = msgspec.to_builtins(record)
    return bare


def decode_action(bare: dict[str, Any]) -> Action:
    """Read an action that `encode` wrote.

    Raises:
        msgspec.ValidationError: It is not one.
    """
    action: Action = msgspec.convert(bare, CommandAction | ScriptAction | PythonAction)
    return action


def decode_retry(bare: dict[str, Any]) -> Retry:
    """Read a retry that `encode` wrote.

    Raises:
        msgspec.ValidationError: It is not one.
    """
    return msgspec.convert(bare, Retry)
