"""Templates of job types: what a node is told to run, for one node and one set of values.

Each argument is a template of its own, so a value can never become two arguments or a piece of shell. An argument that
is exactly one `{{ expression }}` becomes one argument per item where the expression is a list, and none where there is
no value (None). Scripts are never templates. Templates run in Jinja2's sandbox, know only the `FACTS`, and stop at what
is undefined or without value instead of writing nothing.
"""

import collections
import functools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from jinja2 import StrictUndefined, TemplateError, TemplateSyntaxError, Undefined, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

from jobs.jobtype import Action, CommandAction, Kind, Param, ScriptAction
from jobs.params import Values

FACTS: Final = ("params", "props", "node", "run", "job", "attempt", "user", "run_as")
MAX_TEMPLATE: Final = 64 << 10  #: characters of one template
MAX_TEXT: Final = 48 << 10  #: bytes of all arguments and of all variables: they travel in one frame header
MAX_VARIABLE: Final = 4 << 10  #: bytes of a parameter that is given as a variable too
_SINGLE: Final = re.compile(r"\{\{(?![-+])(?P<expression>(?:(?!\{\{|\}\}|\{%|\{#).)+)(?<![-+])\}\}", re.DOTALL)


class RenderError(ValueError):
    """Templates that give nothing usable; `problems` holds every (field, message) at once."""

    def __init__(self, problems: Sequence[tuple[str, str]]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(f"{field}: {message}" for field, message in self.problems))


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What templates know beside the parameters."""

    node: str
    run: str
    job: str
    user: str  #: who submitted it
    attempt: int = 1
    run_as: str = ""
    props: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """What is run. `argv` are the arguments of `script` where there is one."""

    argv: tuple[str, ...]
    script: str | None = None
    interpreter: tuple[str, ...] | None = None


def render(action: Action, values: Values, facts: Facts) -> Rendered:
    """Fill in an action's templates.

    Raises:
        RenderError: With every argument that cannot be filled in, or with the size that does not fit.
    """
    if isinstance(action, CommandAction):
        argv = _arguments("command", action.argv, values, facts)
        if not argv or not argv[0]:
            raise RenderError([("command[1]", "gives no program to run")])
        return Rendered(argv=argv)
    if isinstance(action, ScriptAction):
        arguments = _arguments("args", action.args, values, facts)
        return Rendered(argv=arguments, script=action.text, interpreter=action.interpreter)
    return Rendered(argv=())


def render_env(env: Mapping[str, str], values: Values, facts: Facts) -> dict[str, str]:
    """Fill in the templates of variables, and add `ANYJOB_PARAM_NAME` for each parameter.

    Files, secrets and values of more than 4 KiB are not among the variables: they are in the JSON on the descriptor.

    Raises:
        RenderError: With every variable that cannot be filled in, or with the size that does not fit.
    """
    problems: list[tuple[str, str]] = []
    filled = {f"ANYJOB_PARAM_{name.upper()}": text for name, text in _variables(values.plain)}
    context = _context(values, facts)
    for name, template in env.items():
        try:
            filled[name] = _text(template, context)
        except _FAILURES as error:
            problems.append((f"env.{name}", _message(error)))
    size = sum(len(name.encode()) + len(text.encode()) + 6 for name, text in filled.items())
    if size > MAX_TEXT:
        problems.append(("env", f"the variables are {size} bytes together, {MAX_TEXT} fit"))
    if problems:
        raise RenderError(problems)
    return filled


def check(template: str, params: Sequence[Param]) -> list[str]:
    """Say everything that is wrong with a template before any value is known."""
    if len(template) > MAX_TEMPLATE:
        return [f"is longer than {MAX_TEMPLATE} characters"]
    try:
        tree = _environment().parse(template)
        _template(template)  # filters and tests are known only to the compiler
    except TemplateSyntaxError as error:
        return [f"is not a template: {error.message}"]
    kinds = {param.name: param.kind for param in params}
    return [*_unknown(tree), *_misused(tree, kinds)]


def _unknown(tree: nodes.Template) -> Iterator[str]:
    if any(tree.find_all((nodes.Include, nodes.Extends, nodes.Import, nodes.FromImport))):
        yield "takes in another file: there is none here"
    assigned = {node.name for node in tree.find_all(nodes.Name) if node.ctx == "store"}
    for name in dict.fromkeys(node.name for node in tree.find_all(nodes.Name) if node.ctx == "load"):
        if name not in FACTS and name not in assigned:
            yield f"{name!r} is not known here: templates know {', '.join(FACTS)}; a parameter is params.NAME"


def _misused(tree: nodes.Template, kinds: Mapping[str, Kind]) -> Iterator[str]:
    """Every use of `params` that is not `params.NAME` of a parameter that may be seen by everybody."""
    named = 0
    uses: list[nodes.Getattr | nodes.Getitem] = [*tree.find_all(nodes.Getattr), *tree.find_all(nodes.Getitem)]
    for node in uses:
        if not isinstance(node.node, nodes.Name) or node.node.name != "params":
            continue
        name = node.attr if isinstance(node, nodes.Getattr) else getattr(node.arg, "value", None)
        if not isinstance(name, str):
            continue
        named += 1
        if name not in kinds:
            yield f"there is no parameter {name!r}"
        elif kinds[name] in {Kind.SECRET, Kind.FILE}:
            yield (
                f"{name!r} is a {kinds[name]}: it would be seen in the list of processes; "
                "the job reads it from $ANYJOB_PARAMS_FD"
            )
    if named != sum(node.name == "params" for node in tree.find_all(nodes.Name)):
        yield "params is used as a whole: write params.NAME"


def _arguments(field: str, templates: Sequence[str], values: Values, facts: Facts) -> tuple[str, ...]:
    problems: list[tuple[str, str]] = []
    arguments: list[str] = []
    context = _context(values, facts)
    for index, template in enumerate(templates, 1):
        try:
            arguments += _argument(template, context)
        except _FAILURES as error:
            problems.append((f"{field}[{index}]", _message(error)))
    size = sum(len(argument.encode()) + 3 for argument in arguments)
    if size > MAX_TEXT:
        problems.append(
            (field, f"the arguments are {size} bytes together, {MAX_TEXT} fit; read large values from JSON")
        )
    if problems:
        raise RenderError(problems)
    return tuple(arguments)


def _argument(template: str, context: Mapping[str, Any]) -> list[str]:
    single = _SINGLE.fullmatch(template)
    if single is None:
        return [_text(template, context)]
    value = _expression(single["expression"])(**context)
    if value is None or (isinstance(value, Undefined) and not isinstance(value, StrictUndefined)):
        return []  # the latter is what an `if` without `else` gives
    return [_written(item) for item in value] if isinstance(value, list | tuple) else [_written(value)]


def _text(template: str, context: Mapping[str, Any]) -> str:
    text: str = _template(template).render(context)
    if "\0" in text:
        raise ValueError("has a NUL character")
    return text


def _written(value: object) -> str:
    """Write a value as templates do: numbers as in JSON, flags as true and false."""
    if value is None:
        raise ValueError("has no value: give the parameter a default, or write the argument as one {{ expression }}")
    if isinstance(value, StrictUndefined):
        return str(value)  # raises with the name
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple | dict):
        raise ValueError("is a list in the middle of a text: write {{ params.NAME | join(',') }}")  # noqa: TRY004
    text = str(value)
    if "\0" in text:
        raise ValueError("has a NUL character")
    return text


def _context(values: Values, facts: Facts) -> dict[str, Any]:
    return {
        "params": _Named(dict.fromkeys(values.absent) | dict(values.plain)),
        "props": _Named(collections.defaultdict(lambda: None, facts.props or {})),
        "node": facts.node,
        "run": facts.run,
        "job": facts.job,
        "attempt": facts.attempt,
        "user": facts.user,
        "run_as": facts.run_as,
    }


class _Named:
    """Values by name and nothing else: a parameter may be called `items`, which a dict would answer itself."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values

    def __getitem__(self, name: str) -> Any:
        try:
            return self._values[name]
        except KeyError as error:
            raise ValueError(f"there is no parameter {name!r}") from error


def _variables(plain: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in plain.items():
        if isinstance(value, dict):
            continue
        if isinstance(value, bool):
            text = "1" if value else "0"
        else:
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        if len(text.encode()) <= MAX_VARIABLE:
            yield name, text


def _message(error: Exception) -> str:
    return str(error) or type(error).__name__


_FAILURES: Final = (TemplateError, ValueError, TypeError, ArithmeticError, LookupError)


@functools.cache
def _environment() -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(
        undefined=StrictUndefined, autoescape=False, keep_trailing_newline=True, finalize=_written, cache_size=0
    )
    environment.globals.clear()
    return environment


@functools.lru_cache(maxsize=512)
def _template(template: str) -> Any:
    return _environment().from_string(template)


@functools.lru_cache(maxsize=512)
def _expression(expression: str) -> Any:
    return _environment().compile_expression(expression, undefined_to_none=False)
