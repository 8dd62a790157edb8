"""Reads what a job type runs: a command, a script or a Python function."""

import re
from pathlib import Path
from typing import Final

from inventory.fields import shown
from inventory.problems import InvalidFilesError
from inventory.section import Section
from inventory.yamlfile import MAX_BYTES, decode
from jobs.jobtype import Action, CommandAction, Param, PythonAction, ScriptAction
from jobs.rendering import check

ACTIONS: Final = ("command", "script", "script_file", "python")
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_MODULE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*")


def read_action(section: Section, params: tuple[Param, ...]) -> Action | None:
    """Read `command`, `script`, `script_file` or `python`; None = it is missing or not usable."""
    present = [key for key in ACTIONS if key in section]
    if len(present) != 1:
        many = f"has {' and '.join(present)}" if present else "has nothing to run"
        section.problem(present[0] if present else "command", many, f"write exactly one of {', '.join(ACTIONS)}")
    script = _script(section)
    interpreter, arguments = section.texts("interpreter"), section.texts("args") or ()
    check_templates(section, "args", arguments, params)
    if script is None:
        for key in ("interpreter", "args"):
            if key in section and "script_file" not in section and "script" not in section:
                section.problem(key, "only a script has one", "in a command both are part of the list")
    python = _python(section) if "python" in section else None
    command = _command(section, params)
    if script is not None:
        return ScriptAction(text=script, interpreter=interpreter, args=arguments)
    return python or command


def _command(section: Section, params: tuple[Param, ...]) -> CommandAction | None:
    value = section.value("command")
    if value is None:
        return None
    if not isinstance(value.content, tuple) or not value.content:
        hint = "write [program, argument]; what needs a shell is a script"
        section.problem("command", "expected a list: the program and its arguments", hint)
        return None
    argv = section.texts("command") or ()
    check_templates(section, "command", argv, params)
    return CommandAction(argv=argv)


def _script(section: Section) -> str | None:
    text, name = section.text("script"), section.text("script_file")
    if name is not None:
        text = _script_file(section, name)
    if text is not None and not text.strip():
        section.problem("script" if name is None else "script_file", "is empty")
    if text is not None and "\0" in text:
        section.problem("script" if name is None else "script_file", "has a NUL character")
    return text


def _script_file(section: Section, name: str) -> str | None:
    path = _inside(section, "script_file", name)
    if path is None:
        return None
    try:
        with path.open("rb") as stream:
            return decode(stream.read(MAX_BYTES + 1), str(path))
    except OSError as error:
        section.problem("script_file", f"{path} cannot be read: {error.strerror}")
    except InvalidFilesError as error:
        section.problems += error.problems
    return None


def _inside(section: Section, key: str, name: str) -> Path | None:
    """Give the path of a file beside the definition; outside of that directory there is none."""
    base = Path(section.file).parent.resolve()
    path = (base / name).resolve()
    if path.is_relative_to(base):
        return path
    section.problem(key, f"{shown(name)} is not below {base}")
    return None


def _python(section: Section) -> PythonAction | None:
    below = section.section("python")
    module, file, function = below.text("module"), below.text("file"), below.text("function")
    root = _inside(below, "root", below.text("root") or ".")
    below.done()
    if (module is None) == (file is None):
        below.problem("module", "expected either a module or a file")
        return None
    if module is not None and not _MODULE.fullmatch(module):
        below.problem("module", f"{shown(module)} is not the name of a module")
    if function is not None and not _NAME.fullmatch(function):
        below.problem("function", f"{shown(function)} is not the name of a function")
    if root is None:
        return None
    wanted = file or f"{module}".replace(".", "/") + ".py"
    path = (root / wanted).resolve()
    if not path.is_relative_to(root):
        below.problem("file", f"{shown(wanted)} is not below {root}")
    elif not path.is_file() and (file or not (root / wanted[:-3] / "__init__.py").is_file()):
        below.problem("file" if file else "module", f"there is no {root / wanted}")
    return PythonAction(root=str(root), module=module, file=file, function=function or "main")


def check_templates(section: Section, key: str, templates: tuple[str, ...], params: tuple[Param, ...]) -> None:
    """Record what is wrong with templates before any value is known."""
    for index, template in enumerate(templates, 1):
        for mistake in check(template, params):
            section.problem(key, f"item {index}: {mistake}" if len(templates) > 1 else mistake)
