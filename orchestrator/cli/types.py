"""`anyjob types`: which job types there are, what they take, and a start for one's own."""

from pathlib import Path
from typing import Any

import click

from orchestrator.cli.completion import JOB_TYPE
from orchestrator.cli.escapes import plain
from orchestrator.cli.invocation import Invocation, common
from orchestrator.cli.options import Examples
from orchestrator.cli.table import Row, table
from orchestrator.cli.terminal import Terminal
from orchestrator.cli.wording import written

_STARTER = """\
# A job type; `anyjob types check` finds mistakes, `anyjob reload` makes the daemon use it.
# All fields: docs/reference/job-types.md
{name}:
  label: {label}
  group: Mine
  params:
    greeting:
      kind: text
      label: What to say
      default: hello
      implicit: true
  command: [echo, "{{{{ params.greeting }}}} from {{{{ node }}}}"]
"""


@click.group()
def types() -> None:
    """Look at job types, and write your own."""


@types.command(
    "list",
    cls=Examples,
    examples="""
anyjob types list
anyjob types list -o json | jq -r '.types[].name'
""",
)
@common
@click.pass_obj
def list_(invocation: Invocation) -> None:
    """List the job types: those of the site, and those that come with AnyJob."""
    with invocation.daemon() as client:
        found = client.call("types")

    def human(terminal: Terminal) -> str:
        rows: list[Row] = [
            [one["name"], one["group"] or "", "stock" if one["stock"] else "site", _about(one)]
            for one in found["types"]
        ]
        return table(("NAME", "GROUP", "FROM", "WHAT"), rows, terminal)

    invocation.emit(found, "types", human)


def _about(job_type: dict[str, Any]) -> str:
    return f"disabled: {job_type['disabled']}" if job_type["disabled"] else job_type["label"]


@types.command(
    cls=Examples,
    examples="""
anyjob types show service
""",
)
@click.argument("name", type=JOB_TYPE)
@common
@click.pass_obj
def show(invocation: Invocation, name: str) -> None:
    """Show what a job type takes and how it is called."""
    with invocation.daemon() as client:
        found = client.call("type", name=name)
    invocation.emit(found, None, lambda terminal: _shown(found, terminal))


def _shown(found: dict[str, Any], terminal: Terminal) -> str:
    call = " ".join(["anyjob run", found["name"], "TARGET", *(_example(param) for param in found["params"])])
    head = f"{terminal.paint(plain(found['label']), 'bold')}\n"
    head += f"{plain(found['description'])}\n" if found["description"] else ""
    head += f"\n  {call}\n\n"
    rows: list[Row] = [
        [
            param["name"],
            param["kind"],
            "required"
            if param["required"]
            else ""
            if param["default"] is None
            else f"default {written(param['default'])}",
            param["help"] or param["label"],
        ]
        for param in found["params"]
    ]
    return head + (table(("PARAMETER", "KIND", "", "MEANING"), rows, terminal) if rows else "It takes no parameters.\n")


def _example(param: dict[str, Any]) -> str:
    text = param["name"] if param["kind"] == "flag" else f"{param['name']}=..."
    return text if param["required"] else f"[{text}]"


@types.command(
    cls=Examples,
    examples="""
anyjob types new deploy && $EDITOR jobs.d/deploy.yaml
""",
)
@click.argument("name")
@common
@click.pass_obj
def new(invocation: Invocation, name: str) -> None:
    """Write a commented start for a job type into the site's jobs.d."""
    from jobs.typefile import NAME  # noqa: PLC0415

    site = invocation.site
    if site is None:
        raise click.ClickException("there is no site to write to: `anyjob init DIR` makes one")
    if not NAME.fullmatch(name):
        raise click.UsageError(f"{name!r} is no name of a type: small letters, digits, - and _, at most 64.")
    path: Path = site.path / "jobs.d" / f"{name}.yaml"
    if path.exists():
        raise click.ClickException(f"{path} is there already")
    path.parent.mkdir(exist_ok=True)
    path.write_text(_STARTER.format(name=name, label=name.replace("-", " ").replace("_", " ").capitalize()))
    invocation.say(f"{path} written; edit it, then: anyjob types check && anyjob reload && anyjob run {name} NODE")


@types.command(
    cls=Examples,
    examples="""
anyjob types check
""",
)
@common
@click.pass_context
def check(context: click.Context) -> None:
    """Check the job types and the policy of the site; every mistake with its place."""
    from inventory.problems import InvalidFilesError  # noqa: PLC0415
    from jobs.policyfile import load_policy  # noqa: PLC0415
    from jobs.typefile import load_types  # noqa: PLC0415

    invocation = context.ensure_object(Invocation)
    site = invocation.site
    types_found = load_types(None if site is None else site.path / "jobs.d")
    problems = list(types_found.problems)
    try:
        load_policy(None if site is None else site.path)
    except InvalidFilesError as error:
        problems += error.problems
    document = {"types": len(types_found.by_name), "problems": [str(problem) for problem in problems]}
    invocation.emit(
        document, None, lambda _: "".join(f"{problem}\n" for problem in problems) or f"{document['types']} types, ok\n"
    )
    context.exit(1 if problems else 0)
