"""`anyjob run`: a job type with its values, asked for what is missing, confirmed where the type wants it."""

import sys
from pathlib import Path
from typing import Any

import click

from orchestrator.cli.completion import JOB_TYPE, TARGET
from orchestrator.cli.escapes import plain
from orchestrator.cli.invocation import Format, Invocation, common
from orchestrator.cli.options import DURATION, Examples, watch_options
from orchestrator.cli.run import detach, terminal_size
from orchestrator.cli.table import Row, table
from orchestrator.cli.terminal import Terminal
from orchestrator.cli.watching import View, watch_run
from orchestrator.cli.wording import written
from orchestrator.client import ApiError, Client

Request = dict[str, Any]


@click.command(
    "run",
    cls=Examples,
    examples="""
anyjob run restart web[01-04] unit=nginx           a job type, its nodes, its values
anyjob run restart -w @web unit=nginx force        a flag needs no value; !force switches it off
anyjob run deploy @web -p version=2.4 -p notes=@notes.txt
anyjob run deploy @web version=2.4 --dry-run       what it would do, where and as whom
anyjob types show deploy                           which values it takes
""",
)
@click.argument("type_name", type=JOB_TYPE, metavar="TYPE")
@click.argument("words", nargs=-1, metavar="[TARGET] [NAME=VALUE]...")
@click.option("-w", "--nodes", type=TARGET, metavar="TARGET", help="Nodes, if not the first word.")
@click.option("-x", "--exclude", type=TARGET, metavar="TARGET", help="But not these.")
@click.option("-l", "--limit", type=TARGET, metavar="TARGET", help="Only those of them that are also here.")
@click.option("-p", "--param", multiple=True, metavar="NAME=VALUE", help="A value; NAME=@FILE takes a file's content.")
@click.option("--prop", multiple=True, metavar="NAME=VALUE", help="A prop of the run (repeatable).")
@click.option("-i", "--inventory", multiple=True, type=click.Path(path_type=Path), metavar="FILE",
              help="Inventory to use instead of the site's (repeatable).")  # fmt: skip
@click.option("-f", "--fanout", type=click.IntRange(1), metavar="N", help="At most N jobs at once.")
@click.option("--timeout", type=DURATION, help="End each job after this time, instead of the type's limit.")
@click.option("--grace", type=DURATION, help="Between TERM and KILL when a job is ended.")
@click.option("--run-as", metavar="USER[:GROUP]", help="Whom the job runs as on the node.")
@click.option("-u", "--user", metavar="USER", help="Whom to log in as.")
@click.option("-t", "--tty", is_flag=True, help="Run on a pseudo-terminal.")
@click.option("-n", "--dry-run", is_flag=True, help="Show nodes, user, values and command; start nothing.")
@click.option("--confirm", metavar="TEXT", help="Answer to a type that asks: its name, or the number of nodes.")
@click.option("-d", "--detach", "detached", is_flag=True, help="Print the run's id and return at once.")
@watch_options
@common
@click.pass_obj
def run(invocation: Invocation, /, view: View, type_name: str, words: tuple[str, ...], **options: Any) -> None:
    """Run a job type on nodes and watch it.

    Words without a name are the target and then the type's implicit parameters, in their order. A name that is not the
    type's, or a value that does not fit, is an error: nothing is ignored.
    """
    request = _request(type_name, words, options)
    with invocation.daemon(embed=not options["detached"]) as client:
        planned = _settled(invocation, client, request, confirms=not options["dry_run"])
        if options["dry_run"]:
            invocation.emit(planned, None, lambda terminal: _plan_shown(planned, terminal))
            return
        if planned["defaulted"]:
            used = ", ".join(f"{name}={written(planned['values'][name])}" for name in planned["defaulted"])
            invocation.say(f"defaults used: {plain(used)}")
        if options["detached"]:
            detach(invocation, client, request, b"")
        else:
            sys.exit(watch_run(invocation, client, view, submit=(request, b""), grace_s=options["grace"]))


def _request(type_name: str, words: tuple[str, ...], options: dict[str, Any]) -> Request:
    return {
        "type": type_name,
        "target": options["nodes"] or "",
        "exclude": options["exclude"],
        "limit": options["limit"],
        "words": list(words),
        "params": dict(_pair(text, may_read=True) for text in options["param"]),
        "props": dict(_pair(text, may_read=False) for text in options["prop"]),
        "inventory": [str(path.absolute()) for path in options["inventory"]],
        "confirm": options["confirm"],
        "tty": terminal_size() if options["tty"] else None,
        "run_as": options["run_as"],
        "timeout_s": options["timeout"],
        "grace_s": options["grace"],
        "fanout": options["fanout"],
        "login_user": options["user"],
        "source": "cli",
    }


def _pair(text: str, *, may_read: bool) -> tuple[str, str]:
    """Read `NAME=VALUE`. Only here does `@FILE` stand for a file: a word on the command line is taken as it is."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise click.UsageError(f"{text}: expected NAME=VALUE.")
    if not (may_read and value.startswith("@")):
        return name, value
    try:
        return name, Path(value[1:]).read_text(encoding="utf-8")
    except OSError as error:
        raise click.UsageError(f"{text}: cannot read {value[1:]}: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise click.UsageError(f"{text}: {value[1:]} is not UTF-8 text.") from None


def _settled(invocation: Invocation, client: Client, request: Request, *, confirms: bool) -> dict[str, Any]:
    """Plan a request until nothing is missing: on a terminal, ask for values and for a confirmation."""
    asks = sys.stdin.isatty() and sys.stderr.isatty() and invocation.output is Format.HUMAN
    while True:
        try:
            planned = client.call("plan", request=request)
        except ApiError as error:
            missing = [p["field"].removeprefix("params.") for p in error.problems if p["message"] == "is required"]
            if not asks or not missing or len(missing) < len(error.problems):
                raise
            _ask_for(client, request, missing)
            continue
        if planned["confirm"] is None or not confirms:
            return planned
        if not asks:
            hint = f"--confirm {request['type']} (or --confirm {planned['count']}, the number of nodes)"
            raise ApiError("confirmation", f"{planned['confirm']} Answer it with {hint}.")
        click.echo(_plan_shown(planned, invocation.terminals.err), err=True)
        question = f"{plain(planned['confirm'])} Type the number of nodes ({planned['count']})"
        request["confirm"] = click.prompt(question, err=True)


def _ask_for(client: Client, request: Request, names: list[str]) -> None:
    described = {param["name"]: param for param in client.call("type", name=request["type"])["params"]}
    for name in names:
        param = described[name]
        label = plain(param["label"] or name)
        request["params"][name] = click.prompt(label, err=True, hide_input=param["kind"] == "secret")


def _plan_shown(planned: dict[str, Any], terminal: Terminal) -> str:
    facts: list[Row] = [
        ["type", planned["type"]],
        ["nodes", f"{planned['folded']} ({planned['count']})"],
        ["as", planned["run_as"] or "the login user"],
        *([["asks", planned["confirm"]]] if planned["confirm"] else []),
    ]
    command = planned.get("command") or []
    facts.append(["runs", " ".join(command) if command else "a script" if planned.get("script") else "Python"])
    values: list[Row] = [
        [name, "" if value is None else written(value), "default" if name in planned["defaulted"] else ""]
        for name, value in planned["values"].items()
    ]
    text = "".join(f"{terminal.paint(f'{name:<6}', 'bold')} {plain(str(value))}\n" for name, value in facts)
    return text + ("\n" + table(("PARAMETER", "VALUE", ""), values, terminal) if values else "")
