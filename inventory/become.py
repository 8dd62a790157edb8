"""The field `become`: how it is written in our own format and in Ansible's, and what the parts amount to.

Ansible has one variable for each part, and each may come from another group. So a draft holds the parts one by one
(`become.on`, `become.method`, `become.user`); our own format, whose field is taken whole, writes all of them.
"""

from collections.abc import Mapping
from typing import Any, Final

from inventory.draft import Fields, Setting
from inventory.fields import shown, user_error
from inventory.model import Origin
from inventory.route import RUN_AS, Become, Method
from inventory.section import Section

ROOT: Final = "root"
_NONE: Final = "none"
_METHODS: Final = tuple(method.value for method in Method)
_TRUTH: Final = {
    **dict.fromkeys(("y", "yes", "on", "1", "true", "t"), True),
    **dict.fromkeys(("n", "no", "off", "0", "false", "f"), False),
}


def native(section: Section) -> Fields:
    """Read `become: sudo`, `become: none` or `become: {method: sudo, user: www}`; mistakes are recorded."""
    value = section.value("become")
    if value is None:
        return {}
    if isinstance(value.content, dict):
        parts = section.section("become")
        method = parts.choice("method", _METHODS)
        user = parts.text("user")
        mistake = None if user in (None, RUN_AS) else user_error(str(user))
        if mistake:
            parts.problem("user", mistake, f"a name, or {RUN_AS!r} for whoever the job runs as (quoted)")
        parts.done()
        return _whole(Method(method or Method.SUDO), user or ROOT, section)
    if value.content is False or value.text == _NONE:
        return _whole(None, ROOT, section)
    chosen = section.choice("become", (*_METHODS, _NONE))
    return _whole(Method(chosen), ROOT, section) if chosen else {}


def _whole(method: Method | None, user: str, section: Section) -> Fields:
    origin = Origin(section.file, section.place("become")[0])
    parts = {"become.on": method is not None, "become.method": method or Method.SUDO, "become.user": user}
    return {key: Setting(value, origin) for key, value in parts.items()}


def truth(text: str) -> bool:
    """Read `ansible_become`.

    Raises:
        ValueError: neither a yes nor a no.
    """
    answer = _TRUTH.get(text.lower())
    if answer is None:
        raise ValueError(f"expected yes or no, found {shown(text)}")
    return answer


def resolved(fields: Mapping[str, Setting]) -> dict[str, Setting]:
    """Put the parts together: the field `become` with the place that switched it on or off; empty where nothing did."""
    on = fields.get("become.on")
    if on is None:
        return {}
    if not on.value or _part(fields, "become.method", Method.SUDO) is None:
        return {"become": Setting(None, on.origin)}
    method = Method(_part(fields, "become.method", Method.SUDO))
    return {"become": Setting(Become(method=method, user=_part(fields, "become.user", ROOT)), on.origin)}


def _part(fields: Mapping[str, Setting], key: str, default: Any) -> Any:
    return fields[key].value if key in fields else default
