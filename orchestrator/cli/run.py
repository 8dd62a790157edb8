"""`anyjob exec`: from the words on the command line to a request, and on to the watching."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import click

from orchestrator.cli.completion import GROUP, TARGET
from orchestrator.cli.invocation import Format, Invocation, common
from orchestrator.cli.options import DURATION, Examples, watch_options
from orchestrator.cli.watching import View, watch_run
from orchestrator.client import Client, new_run_id

_STDIN_MAX: Final = 16 << 20  # what a node takes as a job's input, see docs/reference/node-protocol.md


@dataclass(frozen=True, slots=True, kw_only=True)
class Selected:
    """Which nodes: the options of clush, pdsh and ansible as one expression."""

    nodes: tuple[str, ...]
    groups: tuple[str, ...]
    all: bool

    def expression(self) -> str:
        """Return the target expression. Several parts are a union, each of them a whole."""
        parts = [*(["all"] if self.all else []), *self.nodes, *(f"@{group.removeprefix('@')}" for group in self.groups)]
        if not parts:
            raise click.UsageError("which nodes? Give -w TARGET, -g GROUP or -a (all).")
        return parts[0] if len(parts) == 1 else ",".join(f"({part})" for part in parts)


@click.command(
    "exec",
    cls=Examples,
    context_settings={"allow_interspersed_args": False, "show_default": False},
    examples="""
anyjob exec -w 'web[01-20]' -- systemctl is-active nginx   no shell: a program and its arguments
anyjob exec -g web -- 'df -h / | tail -1'                  one word is run by sh -c
anyjob exec -a -G -- uname -r                              identical output folded
anyjob exec -w db1 --script backup.sh -- --full            a local script with its arguments
anyjob exec -w '@web&dc=fra!web03' --timeout 5m -d -- ./rebuild
tar c site | anyjob exec -w web1 --stdin --cwd /srv -- tar x
""",
)
@click.argument("command", nargs=-1, type=click.UNPROCESSED, metavar="[--] COMMAND [ARG]...")
@click.option(
    "-w",
    "--nodes",
    multiple=True,
    type=TARGET,
    metavar="TARGET",
    help="Nodes, as web[01-20], @group, web*, key=value, joined by , & ! ^ (repeatable).",
)
@click.option("-g", "--group", multiple=True, type=GROUP, metavar="GROUP", help="All nodes of a group (repeatable).")
@click.option("-a", "--all", "every", is_flag=True, help="All nodes of the inventory.")
@click.option("-x", "--exclude", metavar="TARGET", type=TARGET, help="But not these.")
@click.option("-l", "--limit", metavar="TARGET", type=TARGET, help="Only those of them that are also here, as ^FILE.")
@click.option(
    "-i",
    "--inventory",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Inventory to use instead of the site's (repeatable).",
)
@click.option("-f", "--fanout", type=click.IntRange(1), metavar="N", help="At most N jobs at once.")
@click.option("--timeout", type=DURATION, help="End each job after this time, as 90s, 5m, 2h.")
@click.option("--grace", type=DURATION, help="Between TERM and KILL when a job is ended; default 10s.")
@click.option("-e", "--env", multiple=True, metavar="KEY=VALUE", help="Add to the job's environment (repeatable).")
@click.option("--cwd", metavar="DIR", help="Directory to start in; default: the user's home.")
@click.option("--stdin", is_flag=True, help="Give each job our standard input.")
@click.option("-t", "--tty", is_flag=True, help="Run on a pseudo-terminal (standard error joins standard output).")
@click.option(
    "--script",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Run this local file; the words after -- are its arguments.",
)
@click.option("--interpreter", metavar="COMMAND", help="What runs the script, if not its #! line, as 'python3 -u'.")
@click.option("--run-as", metavar="USER[:GROUP]", help="Whom the job runs as on the node.")
@click.option("-u", "--user", metavar="USER", help="Whom to log in as.")
@click.option("--connect-timeout", type=DURATION, help="Give a node up after this time.")
@click.option("-d", "--detach", is_flag=True, help="Print the run's id and return at once.")
@click.option("-n", "--list-nodes", is_flag=True, help="Only show which nodes it would run on.")
@watch_options
@common
@click.pass_obj
def exec_(invocation: Invocation, /, view: View, command: tuple[str, ...], **options: Any) -> None:
    """Run a command or a script on nodes and watch it.

    Everything after -- is the command, untouched. The exit code is the command's own on one node; on several: 0 all
    succeeded, 2 some failed, 3 all failed, 4 some unreachable, 5 cancelled, 124 timed out.
    """
    request, payload = build_request(command, options)
    with invocation.daemon(embed=not options["detach"]) as client:
        if options["list_nodes"]:
            _list_nodes(invocation, client, request)
        elif options["detach"]:
            detach(invocation, client, request, payload)
        else:
            sys.exit(watch_run(invocation, client, view, submit=(request, payload), grace_s=options["grace"]))


def build_request(command: tuple[str, ...], options: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    """Return the request (see `docs/reference/local-api.md`) and the payload that belongs to it.

    Raises:
        click.UsageError: something is missing, or does not go together.
    """
    script_path: Path | None = options["script"]
    if not command and script_path is None and not options["list_nodes"]:
        raise click.UsageError("what shall be run? Give the command after --, or --script FILE.")
    script = b"" if script_path is None else script_path.read_bytes()
    if script_path is not None and not script:
        raise click.UsageError(f"{script_path} is empty.")
    stdin = _stdin() if options["stdin"] and not options["list_nodes"] else b""
    for name, data in (("standard input", stdin), ("the script", script)):
        if len(data) > _STDIN_MAX:
            raise click.UsageError(f"{name} is longer than 16 MiB; copy the file to the nodes first.")
    selected = Selected(nodes=options["nodes"], groups=options["group"], all=options["every"])
    request = {
        "target": selected.expression(),
        "exclude": options["exclude"],
        "limit": options["limit"],
        "inventory": [str(path.absolute()) for path in options["inventory"]],
        "argv": list(command) if command or script else ["true"],
        "interpreter": _words(options["interpreter"], script_path),
        "script_size": len(script),
        "stdin_size": len(stdin),
        "script_name": script_path.name if script_path else None,
        "env": dict(_pair(text) for text in options["env"]),
        "cwd": options["cwd"],
        "tty": terminal_size() if options["tty"] else None,
        "run_as": options["run_as"],
        "timeout_s": options["timeout"],
        "grace_s": options["grace"],
        "fanout": options["fanout"],
        "login_user": options["user"],
        "connect_timeout_s": options["connect_timeout"],
        "source": "cli",
    }
    _refuse_bytes(request)
    return request, script + stdin


def _stdin() -> bytes:
    if sys.stdin.isatty():
        click.echo("what you type is the jobs' standard input; Ctrl-D on an empty line ends it", err=True)
    return sys.stdin.buffer.read(_STDIN_MAX + 1)


def _words(interpreter: str | None, script: Path | None) -> list[str] | None:
    if interpreter is None:
        return None
    if script is None:
        raise click.UsageError("--interpreter needs --script.")
    import shlex  # noqa: PLC0415

    return shlex.split(interpreter)


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise click.UsageError(f"--env {text}: expected KEY=VALUE.")
    return key, value


def terminal_size() -> dict[str, Any]:
    """Return the size and kind of our terminal, as a job on one is told."""
    try:
        size = os.get_terminal_size(sys.stdout.fileno())
    except (OSError, ValueError):
        size = os.terminal_size((80, 24))
    return {"rows": size.lines, "cols": size.columns, "term": os.environ.get("TERM") or "xterm-256color"}


def _refuse_bytes(request: dict[str, Any]) -> None:
    """Refuse what is not UTF-8: a request is JSON. Python hands such bytes over as lone surrogates (PEP 383)."""
    texts = (value for value in request.values() if isinstance(value, str))
    for value in (*request["argv"], *request["env"].values(), *texts):
        try:
            value.encode()
        except UnicodeEncodeError:
            shown = os.fsencode(value).decode(errors="backslashreplace")
            raise click.UsageError(f"{shown}: not UTF-8. Put such bytes into a --script or into --stdin.") from None


def _list_nodes(invocation: Invocation, client: Client, request: dict[str, Any]) -> None:
    plan = client.call("plan", request={**request, "script_size": 0, "stdin_size": 0})
    plan["items"] = [{"node": name} for name in plan["nodes"]]
    if invocation.output is Format.HUMAN:
        invocation.say(f"{plan['folded']} ({plan['count']})")
    invocation.emit(plan, "items", lambda _: "".join(f"{name}\n" for name in plan["nodes"]))


def detach(invocation: Invocation, client: Client, request: dict[str, Any], payload: bytes) -> None:
    """Submit a run and tell how to watch it."""
    run = client.call("submit", payload, id=new_run_id(), request=request)
    invocation.emit(run, None, lambda _: f"{run['id']}\n")
    invocation.say(f"started on {run['nodes']} ({run['total']}); watch it: anyjob follow {run['id']}")
