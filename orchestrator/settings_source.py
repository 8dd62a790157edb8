"""Where the values of settings come from: the environment, then `anyjob.yaml`. Mistakes are told all at once.

A value that may be a secret is never part of a message.
"""

import difflib
import os
import re
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from inventory.problems import InvalidFilesError, Problem, did_you_mean
from orchestrator import kinds
from orchestrator.kinds import Kind
from orchestrator.setting import Origin, Setting
from orchestrator.site import Site, home

if TYPE_CHECKING:
    from inventory.yamlfile import Value

#: what a job finds in its environment, so that `anyjob` called by a job does not complain
_OF_JOBS: Final = re.compile(r"ANYJOB_(SITE|RUN_ID|JOB_ID|NODE|USER|ATTEMPT|PARAM_\w+)")
_PASSWORD: Final = re.compile(r"(?<=://)[^/]*@")  # RFC 3986 section 3.2.1
_MAX_SECRET_BYTES: Final = 64 << 10

_READERS: Final = {
    Kind.TEXT: kinds.text,
    Kind.CHOICE: kinds.text,
    Kind.BOOLEAN: kinds.boolean,
    Kind.INTEGER: kinds.integer,
    Kind.DURATION: kinds.duration,
    Kind.SIZE: kinds.size,
    Kind.PATH: kinds.text,
    Kind.PATHS: kinds.texts,
}

_WRITERS: Final[Mapping[Kind, Callable[[Any], str]]] = {
    Kind.BOOLEAN: lambda value: str(value).lower(),
    Kind.DURATION: kinds.show_duration,
    Kind.SIZE: lambda value: kinds.show_size(int(value)),
    Kind.PATHS: lambda value: ", ".join(str(path) for path in value),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The settings that somebody has set, by name."""

    values: dict[str, Any] = field(default_factory=dict)
    origins: dict[str, Origin] = field(default_factory=dict)
    warnings: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Given:
    """One value as somebody wrote it."""

    setting: Setting
    raw: object
    base: Path  #: what a relative path is relative to
    origin: Origin
    problem: Problem  #: a mistake in it, but for the message


def collect(known: Mapping[str, Setting], site: Site | None, env: Mapping[str, str]) -> Found:
    """Read what is set; the environment wins.

    Raises:
        InvalidFilesError: with every mistake of both.
    """
    problems: list[Problem] = []
    given = [] if site is None else list(_from_file(known, site, problems))
    given += _from_environment(known, env, problems)
    values: dict[str, Any] = {}
    origins: dict[str, Origin] = {}
    for item in given:
        try:
            values[item.setting.name] = read_value(item.setting, item.raw, item.base, env)
            origins[item.setting.name] = item.origin
        except ValueError as error:
            problems.append(replace(item.problem, message=str(error)))
    if problems:
        raise InvalidFilesError(problems)
    return Found(values=values, origins=origins, warnings=(*_unknown(known, env), *_exposed(known, site, origins)))


def read_value(setting: Setting, raw: object, base: Path, env: Mapping[str, str]) -> Any:
    """Return the typed value of what somebody wrote; relative paths are relative to `base`.

    Raises:
        ValueError: it is not what the setting wants; the message holds no secret.
    """
    try:
        value = _READERS[setting.kind](raw)
        _check(setting, value)
    except ValueError as error:
        shown = "" if setting.secret or "found" in str(error) else f", found {str(raw)[:80]!r}"
        raise ValueError(f"{error}{shown}") from None
    if setting.kind is Kind.PATH:
        return base / home(env, str(value))
    if setting.kind is Kind.PATHS:
        return tuple(base / home(env, path) for path in kinds.texts(value))
    return value


def _check(setting: Setting, value: Any) -> None:
    low, high = setting.low, setting.high
    if low is not None and high is not None and not low <= value <= high:
        raise ValueError(f"expected {show(setting, low)} to {show(setting, high)}")
    if setting.choices and value not in setting.choices:
        raise ValueError(f"expected one of {', '.join(setting.choices)}")
    if setting.pattern and not re.fullmatch(setting.pattern, value):
        raise ValueError(f"expected {setting.expected}")


def show(setting: Setting, value: Any) -> str:
    """Return a value as a person would write it in `anyjob.yaml`; a password in a URL is masked."""
    if value is None:
        return ""
    if setting.secret:
        return _PASSWORD.sub("***@", str(value))
    return _WRITERS.get(setting.kind, str)(value)


def _from_file(known: Mapping[str, Setting], site: Site, problems: list[Problem]) -> Iterator[_Given]:
    file = str(site.config)
    groups = {name.partition(".")[0] for name in known if "." in name}
    try:
        if _sets_nothing(
            site.config, groups
        ):  # the file that `anyjob init` writes: saves the YAML library at every start
            return
        from inventory import yamlfile  # noqa: PLC0415

        root = yamlfile.read(site.config).root
    except OSError as error:
        problems.append(Problem(file=file, message=f"cannot be read: {error.strerror}"))
        return
    except InvalidFilesError as error:
        problems.extend(_masked(known, problem) for problem in error.problems)
        return
    if root.content is not None and not isinstance(root.content, dict):
        problems.append(_problem(file, root, "", f"expected settings (name: value), found {root.kind}"))
    for name, value, place in _flatten(root, groups):
        if name in groups:
            problems.append(_problem(file, value, name, f"expected settings (name: value), found {value.kind}"))
        elif name not in known:
            hint = _hint(known, name)
            line, column = place
            problems.append(
                Problem(file=file, line=line, column=column, field=name[:200], message="unknown setting", hint=hint)
            )
        elif value.content is not None:
            origin = Origin("file", f"{file}:{place[0]}")
            problem = _problem(file, value, name)
            yield _Given(setting=known[name], raw=_plain(value), base=site.path, origin=origin, problem=problem)


def _sets_nothing(path: Path, groups: set[str]) -> bool:
    headings = {f"{group}:\n".encode() for group in groups}
    with path.open("rb") as stream:
        return all(not line.strip() or line.lstrip(b" ").startswith(b"#") or line in headings for line in stream)


def _flatten(root: "Value", groups: set[str]) -> Iterator[tuple[str, "Value", tuple[int, int]]]:
    content = root.content if isinstance(root.content, dict) else {}
    for key, value in content.items():
        if key in groups and isinstance(value.content, dict):
            for inner, inner_value in value.content.items():
                yield f"{key}.{inner}", inner_value, value.keys[inner]
        elif key not in groups or value.content is not None:
            yield key, value, root.keys[key]


def _plain(value: "Value") -> object:
    """A number as it was written (a prefix `007` is text), everything else as Python has it."""
    is_number = isinstance(value.content, (int, float)) and not isinstance(value.content, bool)
    return value.text if is_number else value.plain()


def _problem(file: str, value: "Value", name: str, message: str = "") -> Problem:
    return Problem(file=file, line=value.line, column=value.column, field=name[:200], message=message)


def _masked(known: Mapping[str, Setting], problem: Problem) -> Problem:
    """Hide what YAML found odd in a secret: a password may begin with `*`, `&` or `!`."""
    if problem.field in known and known[problem.field].secret:
        return replace(problem, message="is not plain text", hint="quote it")
    return problem


def _hint(known: Mapping[str, Setting], name: str) -> str:
    words = {other.partition(".")[0]: other.partition(".")[0] for other in known}
    words |= {other.rpartition(".")[2]: other for other in known}
    words |= {other: other for other in known}
    near = difflib.get_close_matches(name[:200], words, n=1)
    return f"did you mean {words[near[0]]}?" if near else ""


def _from_environment(
    known: Mapping[str, Setting], env: Mapping[str, str], problems: list[Problem]
) -> Iterator[_Given]:
    for setting in known.values():
        variable, text = setting.variable, env.get(setting.variable, "")
        indirect = env.get(f"{variable}_FILE", "") if setting.secret else ""
        if indirect and text:
            message = f"{variable} and {variable}_FILE are both set"
            problems.append(Problem(file=variable, message=message, hint="unset one of them"))
            continue
        if indirect:
            variable = f"{variable}_FILE"
            try:
                text = _read_secret(home(env, indirect))
            except (OSError, UnicodeDecodeError) as error:
                reason = error.strerror if isinstance(error, OSError) else "is not text"
                problems.append(Problem(file=variable, message=f"{indirect}: {reason}"))
                continue
        if text:
            raw: object = text.split(os.pathsep) if setting.kind is Kind.PATHS else text
            problem = Problem(file=variable, field=setting.name, message="")
            origin = Origin("environment", variable)
            yield _Given(setting=setting, raw=raw, base=Path.cwd(), origin=origin, problem=problem)


def _read_secret(path: Path) -> str:
    with path.open("rb") as stream:
        return stream.read(_MAX_SECRET_BYTES).decode().strip("\r\n")


def _unknown(known: Mapping[str, Setting], env: Mapping[str, str]) -> Iterator[Problem]:
    variables = {setting.variable for setting in known.values()}
    variables |= {f"{setting.variable}_FILE" for setting in known.values() if setting.secret}
    for name in sorted(env):
        if name.startswith("ANYJOB_") and name not in variables and not _OF_JOBS.fullmatch(name):
            hint = did_you_mean(name, variables)
            yield Problem(file="environment", field=name, message="no setting has this variable", hint=hint)


def _exposed(known: Mapping[str, Setting], site: Site | None, origins: Mapping[str, Origin]) -> Iterator[Problem]:
    secret = [name for name, origin in origins.items() if origin.source == "file" and known[name].secret]
    if site is not None and secret and site.config.stat().st_mode & stat.S_IROTH:
        message = f"may hold a password ({', '.join(secret)}) and everybody can read it"
        yield Problem(file=str(site.config), message=message, hint=f"chmod 640 {site.config}")
