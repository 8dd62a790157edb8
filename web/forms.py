"""The ad-hoc form: what a browser sent → a request, or what is wrong with each field. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from jobs.plan import ULID, check
from jobs.records import Request
from orchestrator.kinds import duration

FIELDS: Final = ("target", "command", "run_as", "timeout")
MAX_FIELD: Final = 32 << 10  #: characters
#: where the service names a part of a request, and the field that a person filled in
_FIELD_OF: Final = MappingProxyType({"argv": "command", "timeout_s": "timeout", "exclude": "target", "limit": "target"})


@dataclass(frozen=True, slots=True, kw_only=True)
class AdHoc:
    """The form as it was filled in. `errors` names a field (or "" for the whole form) and what is wrong there."""

    id: str
    values: Mapping[str, str]
    request: Request | None
    errors: Mapping[str, str] = field(default_factory=dict)

    def body(self) -> dict[str, Any]:
        """Return the request as the local API takes it. Raises ValueError if there are errors."""
        if self.request is None:
            raise ValueError("a form with errors makes no request")
        return {
            "target": self.request.target,
            "argv": list(self.request.argv),
            "run_as": self.request.run_as,
            "timeout_s": self.request.timeout_s,
            "source": self.request.source,
        }


def read(form: Mapping[str, str]) -> AdHoc:
    """Return the form with everything that is wrong with it. Unknown fields are refused, not ignored."""
    values = {name: form.get(name, "").strip() for name in FIELDS}
    errors: dict[str, str] = {}
    for name, value in values.items():
        if len(value) > MAX_FIELD:
            errors[name] = f"At most {MAX_FIELD} characters."
    if unknown := sorted(set(form) - {*FIELDS, "id", "csrf"}):
        errors[""] = f"This form has no field {unknown[0][:40]!r}."
    if not ULID.fullmatch(form.get("id", "")):
        errors[""] = "This form is damaged. Load the page again."
    if not values["target"]:
        errors["target"] = "Which nodes? For example web[01-20], @group or *."
    if not values["command"]:
        errors["command"] = "What is to run? For example: uname -a"
    timeout_s: float | None = None
    if values["timeout"]:
        try:
            timeout_s = duration(values["timeout"])
        except ValueError:
            errors["timeout"] = "A time such as 90s, 15m or 1h30m."
    request = Request(
        target=values["target"],
        argv=(values["command"].replace("\r\n", "\n"),),
        run_as=values["run_as"] or None,
        timeout_s=timeout_s,
        source="web",
    )
    for name, message in check(request):
        errors.setdefault(_FIELD_OF.get(name, name), message)
    return AdHoc(id=form.get("id", ""), values=values, request=None if errors else request, errors=errors)


def refused(form: AdHoc, code: str, message: str, problems: tuple[Mapping[str, Any], ...]) -> AdHoc:
    """Return the form with what the daemon found wrong, each at its field."""
    errors: dict[str, str] = {}
    for problem in problems:
        name = _FIELD_OF.get(str(problem.get("field", "")), str(problem.get("field", "")))
        text = str(problem.get("message") or message)
        errors[name if name in FIELDS else ""] = text
    if not errors:
        errors["target" if code == "bad_target" else ""] = message
    return AdHoc(id=form.id, values=form.values, request=None, errors=errors)
