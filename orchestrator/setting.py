"""What is known of one setting, and how a dataclass field is declared to be one."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from orchestrator.kinds import Kind


class Origin(NamedTuple):
    """Where a setting's value comes from."""

    source: str  #: `default`, `file` or `environment`
    place: str  #: `default`, `FILE:LINE`, or the variable's name


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What is known of one setting, apart from its value."""

    name: str  #: dotted path in `anyjob.yaml`
    variable: str  #: environment variable; a secret may also come from the file that `<variable>_FILE` names
    kind: Kind
    help: str
    default: Any = None  #: None = nothing set, or (with `default_text`) it depends on the site
    default_text: str | None = None  #: what people are told instead of the default
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    pattern: str | None = None  #: regular expression that a text must match as a whole
    expected: str | None = None  #: what `pattern` means, for people
    secret: bool = False  #: may hold a password: shown masked, never echoed


def setting(kind: Kind, variable: str, help: str, *, default: object = None, **told: Any) -> Any:  # noqa: A002
    """Declare a dataclass field that is a setting; `told` are further fields of `Setting`."""
    facts = {"kind": kind, "variable": variable, "help": help, "default": default, **told}
    return field(default=default, repr=not told.get("secret"), metadata={"setting": facts})
