"""The one validator of parameters: the command line, the API, the web, chats and schedules all come here.

    values = validate(job_type.params, {"unit": "nginx", "force": True}, nodes=names)
    values.plain["unit"]

It is pure, tells every mistake at once, and ignores nothing silently: what it fills in is in `Values.defaulted`, what
it leaves out because another value hides it is in `Values.hidden`.
"""

import datetime
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from inventory.fields import shown
from inventory.problems import did_you_mean
from jobs.jobtype import Kind, Param
from jobs.paramkinds import Around, ValueRefusedError, accept

MAX_PLAIN: Final = 1 << 20  #: bytes of all plain values as JSON: what one job is given
MAX_SECRETS: Final = 48 << 10  #: bytes of all secrets as JSON


class ParamErrors(ValueError):  # noqa: N818  it is many
    """Values that a job type does not take; `problems` holds every (name, message). Never has a secret in it."""

    def __init__(self, problems: Sequence[tuple[str, str]]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(f"{name}: {message}" if name else message for name, message in self.problems))


@dataclass(frozen=True, slots=True, kw_only=True)
class Values:
    """Checked values. Secrets are apart, and in no representation of this record."""

    plain: Mapping[str, Any]
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    absent: frozenset[str] = frozenset()  #: parameters without any value
    defaulted: tuple[str, ...] = ()  #: names whose value is the default
    hidden: tuple[str, ...] = ()  #: names that were given, and left out because `visible_when` hides them


def validate(
    params: Sequence[Param],
    given: Mapping[str, Any],
    *,
    nodes: Collection[str] = (),
    today: datetime.date | None = None,
) -> Values:
    """Check what was given, fill in defaults, leave out what is hidden.

    Args:
        params: What the job type asks for.
        given: Name → JSON value; null is the same as not given.
        nodes: Names that a parameter of kind `node` may have; empty = every name that a node could have.
        today: For times without a date; None = those are refused.

    Raises:
        ParamErrors: With every mistake.
    """
    check = _Check(given, Around(nodes=nodes, today=today))
    known = {param.name for param in params}
    for name in given:
        if name not in known:
            check.problems.append((_shortened(name), _unknown(name, known)))
    for param in params:
        check.take(param)
    return check.result()


class _Check:
    def __init__(self, given: Mapping[str, Any], around: Around) -> None:
        self.given = given
        self.around = around
        self.problems: list[tuple[str, str]] = []
        self.values: dict[str, Any] = {}
        self.secrets: dict[str, str] = {}
        self.absent: set[str] = set()
        self.refused: set[str] = set()
        self.defaulted: list[str] = []
        self.hidden: list[str] = []

    def take(self, param: Param) -> None:
        value = self.given.get(param.name)
        visible = self._visible(param)
        given = value is not None
        if given:
            try:
                value = accept(param, value, self.around)
            except ValueRefusedError as error:
                self.refused.add(param.name)
                self.problems.append((param.name, str(error)))
                return
        if not visible:
            self.absent.add(param.name)
            if given:
                self.hidden.append(param.name)
        elif given:
            target: dict[str, Any] = self.secrets if param.kind == Kind.SECRET else self.values
            target[param.name] = value
        else:
            self._fill(param)

    def _visible(self, param: Param) -> bool:
        """A parameter whose condition is itself mistaken counts as there: its own mistakes are told too."""
        return all(
            name in self.refused or _among(self.values.get(name), allowed)
            for name, allowed in param.visible_when.items()
        )

    def _fill(self, param: Param) -> None:
        if param.default is not None:
            self.values[param.name] = param.default
            self.defaulted.append(param.name)
            return
        self.absent.add(param.name)
        if param.required and not self.refused & param.visible_when.keys():
            self.problems.append((param.name, "is required"))

    def result(self) -> Values:
        if not self.problems:
            for values, limit, what in (
                (self.values, MAX_PLAIN, "values"),
                (self.secrets, MAX_SECRETS, "secrets"),
            ):
                size = len(json.dumps(values, ensure_ascii=False).encode())
                if size > limit:
                    self.problems.append(("", f"all {what} together are {size} bytes of JSON, {limit} fit"))
        if self.problems:
            raise ParamErrors(self.problems)
        return Values(
            plain=self.values,
            secrets=self.secrets,
            absent=frozenset(self.absent),
            defaulted=tuple(self.defaulted),
            hidden=tuple(self.hidden),
        )


def _among(value: object, allowed: Sequence[object]) -> bool:
    """Whether a value is one of some; true is not 1 here."""
    return any(value == one and isinstance(value, bool) == isinstance(one, bool) for one in allowed)


def _shortened(name: object) -> str:
    return name[:64] if isinstance(name, str) else str(type(name))


def _unknown(name: object, known: Collection[str]) -> str:
    if not isinstance(name, str):
        return "the name of a parameter is text"
    hint = did_you_mean(name, known) or (f"known here: {', '.join(sorted(known))}" if known else "this takes none")
    return f"there is no parameter {shown(name)}; {hint}"
