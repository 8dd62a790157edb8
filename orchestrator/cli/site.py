"""`anyjob init`, `config check|show|schema`, `reload`: the site directory and its settings."""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from orchestrator.cli.escapes import plain
from orchestrator.cli.invocation import Invocation, common
from orchestrator.cli.options import Examples
from orchestrator.cli.table import Cell, table
from orchestrator.cli.terminal import Terminal

if TYPE_CHECKING:
    from orchestrator.site_check import Report

_SOURCE_STYLE: Final = {"default": ("dim",), "file": (), "environment": ("cyan",)}


@click.command(
    cls=Examples,
    examples="""
anyjob init ~/.config/anyjob     a site of your own, found from everywhere
anyjob init /etc/anyjob          the machine's, for the daemon as a service
anyjob init .                    one beside your project
""",
)
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path), metavar="DIR")
@common
@click.pass_obj
def init(invocation: Invocation, directory: Path) -> None:
    """Make a site directory to start from: settings, inventory, job types, known host keys.

    Every file tells in comments what goes there. Nothing that is there already is changed.
    """
    from orchestrator.starter import create  # noqa: PLC0415

    files = create(directory.absolute())
    place = plain(str(directory.absolute()))
    then = [f"cd {_quoted(place)}", "anyjob nodes trust", "anyjob exec -a -- uname -n"]

    def human(terminal: Terminal) -> str:
        names = ", ".join(str(path.relative_to(directory.absolute())) for path in files)
        steps = "".join(f"  {terminal.paint(step, 'bold')}\n" for step in then)
        return f"Made {place}: {names}\nPut your nodes into inventory.yaml, then:\n{steps}"

    document = {"site": str(directory.absolute()), "files": [str(path) for path in files], "next": then}
    invocation.emit(document, None, human)


@click.group()
def config() -> None:
    """Check and show the settings."""


@config.command(
    cls=Examples,
    examples="""
anyjob config check                   every mistake, with file:line:column
anyjob --site ./new config check      of another site
anyjob config check -o json           for an editor or a pipeline
""",
)
@common
@click.pass_obj
def check(invocation: Invocation) -> None:
    """Look for mistakes in settings and inventory; the exit code is 1 if there is one.

    The daemon refuses what this refuses.
    """
    from orchestrator.site_check import check as check_site  # noqa: PLC0415

    site = invocation.site
    report = check_site(site, invocation.env)
    document: dict[str, Any] = {
        "ok": not report.problems,
        "site": str(site.path) if site else None,
        "problems": [
            {"severity": severity, **asdict(problem)}
            for severity, problems in (("error", report.problems), ("warning", report.warnings))
            for problem in problems
        ],
        **report.counts,
    }
    name = "no site: only the environment was checked" if site is None else str(site.path)
    invocation.emit(document, "problems", lambda terminal: _said(name, report, terminal))
    if report.problems:
        sys.exit(1)


def _said(name: str, report: "Report", terminal: Terminal) -> str:
    lines = [f"{terminal.paint('warning:', 'yellow')} {plain(str(warning))}" for warning in report.warnings]
    lines += [f"{terminal.paint('error:', 'red', 'bold')} {plain(str(problem))}" for problem in report.problems]
    if report.problems:
        many = "1 mistake" if len(report.problems) == 1 else f"{len(report.problems)} mistakes"
        lines.append(f"{plain(name)}: {many}")
    else:
        counts = "".join(f", {count} {what[:-1] if count == 1 else what}" for what, count in report.counts.items())
        lines.append(f"{plain(name)}: {terminal.paint('ok', 'green')}{counts}")
    return "".join(f"{line}\n" for line in lines)


@config.command(
    cls=Examples,
    examples="""
anyjob config show                    all settings as they are in force
anyjob config show --origin           and where each one comes from
anyjob config show ssh.user web.port  only these
""",
)
@click.argument("names", nargs=-1, metavar="[SETTING]...")
@click.option("--origin", is_flag=True, help="Tell where each value comes from: file and line, variable, or default.")
@common
@click.pass_obj
def show(invocation: Invocation, names: tuple[str, ...], origin: bool) -> None:  # noqa: FBT001  click's form
    """Show the settings that are in force; passwords are masked."""
    from orchestrator.settings import SETTINGS, value_of  # noqa: PLC0415
    from orchestrator.settings_source import show as written  # noqa: PLC0415

    for name in names:
        if name not in SETTINGS:
            from inventory.problems import did_you_mean  # noqa: PLC0415

            raise click.UsageError(f"there is no setting {name!r}. {did_you_mean(name, SETTINGS)}".strip())
    settings = invocation.settings()
    rows = [
        {
            "name": name,
            "value": written(setting, value_of(settings, name)) or None,
            "origin": settings.origins[name].place,
            "source": settings.origins[name].source,
            "variable": setting.variable,
        }
        for name, setting in SETTINGS.items()
        if not names or name in names
    ]
    for warning in settings.warnings:
        invocation.say(f"warning: {plain(str(warning))}")
    document = {
        "site": str(settings.site.path) if settings.site else None,
        "found_by": settings.site.found_by if settings.site else None,
        "socket": str(settings.socket_path),
        "settings": rows,
    }
    invocation.emit(document, "settings", lambda terminal: _listed(rows, terminal, origin=origin))


def _listed(rows: list[dict[str, Any]], terminal: Terminal, *, origin: bool) -> str:
    from orchestrator.settings import SETTINGS  # noqa: PLC0415

    head = ["SETTING", "VALUE", *(["FROM"] if origin else [])]
    cells = []
    for row in rows:
        unset = SETTINGS[row["name"]].default_text or ""
        value = Cell(row["value"] or f"({unset})", _SOURCE_STYLE[row["source"]])
        cells.append([row["name"], value, *([row["origin"]] if origin else [])])
    return table(head, cells, terminal)


@config.command(
    cls=Examples,
    examples="""
anyjob config schema > anyjob.schema.json
""",
)
@common
def schema() -> None:
    """Print the JSON Schema of anyjob.yaml, with which editors complete and check it.

    Put this line at the top of anyjob.yaml: # yaml-language-server: $schema=anyjob.schema.json
    """
    from orchestrator.settings_views import json_schema  # noqa: PLC0415

    click.echo(json.dumps(json_schema(), indent=2))


@click.command(
    cls=Examples,
    examples="""
anyjob reload
""",
)
@common
@click.pass_obj
def reload(invocation: Invocation) -> None:
    """Make the daemon read settings and inventory again; with a mistake in them it keeps the old ones.

    Running jobs are not touched. `systemctl reload anyjob` and the signal HUP do the same.
    """
    with invocation.daemon(embed=False) as client:
        result = client.call("reload")
    invocation.emit(result, None, lambda _: f"reloaded: {result['nodes']} nodes\n")


def _quoted(path: str) -> str:
    import shlex  # noqa: PLC0415

    return shlex.quote(path)
