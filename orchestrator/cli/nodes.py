"""`nodes list|show|check|trust`: which machines there are, whether they are usable, and whose host keys are trusted."""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from orchestrator.cli.completion import TARGET
from orchestrator.cli.escapes import plain
from orchestrator.cli.exitcode import UNREACHABLE
from orchestrator.cli.invocation import Format, Invocation, common
from orchestrator.cli.options import Examples
from orchestrator.cli.table import Cell, Row, table
from orchestrator.cli.terminal import Terminal
from orchestrator.cli.wording import size

if TYPE_CHECKING:
    from orchestrator.cli.trust import Finding

Node = Mapping[str, Any]

inventory_option = click.option(
    "-i", "--inventory", multiple=True, type=click.Path(path_type=Path), metavar="FILE",
    help="Inventory to use instead of the site's (repeatable).",
)  # fmt: skip


@click.group()
def nodes() -> None:
    """Look at the inventory, check nodes, trust their host keys."""


@nodes.command(
    "list",
    cls=Examples,
    examples="""
anyjob nodes list
anyjob nodes list '@web&dc=fra' -o ndjson | jq -r .host
""",
)
@click.argument("target", required=False, type=TARGET, metavar="[TARGET]")
@inventory_option
@common
@click.pass_obj
def list_(invocation: Invocation, /, target: str | None, inventory: Sequence[Path]) -> None:
    """List nodes, with the groups that they are in."""
    found = _nodes(invocation, target, inventory)
    invocation.emit(found, "nodes", lambda terminal: _listed(found["nodes"], terminal))


@nodes.command(
    cls=Examples,
    examples="""
anyjob nodes show web17
""",
)
@click.argument("target", type=TARGET, metavar="TARGET")
@inventory_option
@common
@click.pass_obj
def show(invocation: Invocation, /, target: str, inventory: Sequence[Path]) -> None:
    """Show all that the inventory says of nodes."""
    found = _nodes(invocation, target, inventory)
    invocation.emit(found, "nodes", lambda terminal: "\n".join(_shown(node, terminal) for node in found["nodes"]))


@nodes.command(
    cls=Examples,
    examples="""
anyjob nodes check                  every node
anyjob nodes check @web --become deploy --become postgres
""",
)
@click.argument("target", required=False, type=TARGET, metavar="[TARGET]")
@click.option("--become", multiple=True, metavar="USER", help="Ask whether jobs could run as this user (repeatable).")
@inventory_option
@common
@click.pass_obj
def check(invocation: Invocation, /, target: str | None, become: Sequence[str], inventory: Sequence[Path]) -> None:
    """Connect to nodes and tell what they are like. The exit code is 4 if one of them cannot be used."""
    asked = {"target": target, "inventory": _absolute(inventory), "users": list(become)}
    checked: list[Node] = []
    with invocation.daemon() as client:
        for frame in client.stream("check", **asked):
            found = json.loads(frame.payload)
            node = {"node": found["name"], **found}
            checked.append(node)
            if invocation.output is Format.NDJSON:
                click.echo(json.dumps(node))
    checked.sort(key=lambda node: (node["order"], node["name"]))
    if invocation.output is not Format.NDJSON:
        invocation.emit({"nodes": checked}, "nodes", lambda terminal: _checked(checked, become, terminal))
    sys.exit(0 if all(node["reachable"] for node in checked) else UNREACHABLE)


@nodes.command(
    cls=Examples,
    examples="""
anyjob nodes trust                   show the keys of all nodes, ask, write them into the site's known_hosts
anyjob nodes trust 'web[01-20]' --yes
anyjob nodes trust web17 --replace   its key has changed, and you know why
""",
)
@click.argument("target", required=False, type=TARGET, metavar="[TARGET]")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.option("--replace", is_flag=True, help="Replace keys that have changed.")
@inventory_option
@common
@click.pass_obj
def trust(
    invocation: Invocation, /, target: str | None, inventory: Sequence[Path], *, yes: bool, replace: bool
) -> None:
    """Scan the host keys of nodes and trust them from now on.

    Compare the fingerprints with what `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` prints on the node itself.
    """
    from orchestrator.cli.trust import known_hosts_file, scan, store  # noqa: PLC0415  paramiko: 100 ms

    file = known_hosts_file(invocation)
    found = _nodes(invocation, target, inventory)
    findings = scan(found["nodes"], file)
    document = {"nodes": [finding.fields() for finding in findings], "known_hosts": str(file)}
    if invocation.output is Format.HUMAN:
        click.echo(_fingerprints(findings, invocation.terminals.out), nl=False)
    wanted = [finding for finding in findings if finding.fresh and (replace or not finding.changed)]
    changed = [finding for finding in findings if finding.changed]
    if wanted and (yes or _agreed(len(wanted), file)):
        store(wanted, file, replace=replace)
        invocation.say(f"{file}: now trusts {len(wanted)} {'node' if len(wanted) == 1 else 'nodes'}")
    elif not wanted and not changed and all(finding.keys for finding in findings):
        invocation.say(f"{file}: nothing new")
    if invocation.output is not Format.HUMAN:
        invocation.emit(document, "nodes", lambda _: "")
    if changed and not replace:
        invocation.say("a key that has changed was not taken: if you know why it has, use --replace")
    sys.exit(1 if (changed and not replace) or not all(finding.keys for finding in findings) else 0)


def _agreed(number: int, file: Path) -> bool:
    if not sys.stdin.isatty():
        raise click.UsageError("nobody can be asked here: compare the fingerprints, then use --yes.")
    return click.confirm(f"Trust the keys of {number} {'node' if number == 1 else 'nodes'} ({file})?", err=True)


def _nodes(invocation: Invocation, target: str | None, inventory: Sequence[Path]) -> dict[str, Any]:
    with invocation.daemon() as client:
        found = client.call("nodes", target=target, inventory=_absolute(inventory))
    for problem in found["problems"]:
        invocation.say(f"warning: {plain(problem)}")
    for node in found["nodes"]:
        node["node"] = node["name"]
    return found


def _absolute(paths: Sequence[Path]) -> list[str]:
    return [str(path.absolute()) for path in paths]


def _listed(found: Sequence[Node], terminal: Terminal) -> str:
    rows: list[Row] = [
        [
            Cell(node["name"], ("dim",) if node["disabled"] else ()),
            _address(node),
            " ".join(group for group in node["groups"] if group != "all") or "-",
            _pairs(node["labels"]) or "-",
            f"disabled: {node['disabled']}" if node["disabled"] else "",
        ]
        for node in found
    ]
    return table(("NODE", "ADDRESS", "GROUPS", "LABELS", ""), rows, terminal)


def _address(node: Node) -> str:
    user = f"{node['user']}@" if node["user"] else ""
    host = f"[{node['host']}]" if ":" in node["host"] else node["host"]
    return f"{user}{host}" + (f":{node['port']}" if node["port"] != 22 else "")


def _pairs(values: Mapping[str, Any]) -> str:
    return " ".join(f"{key}={value}" for key, value in values.items())


def _shown(node: Node, terminal: Terminal) -> str:
    facts = {
        "address": _address(node),
        "groups": " ".join(node["groups"]),
        "labels": _pairs(node["labels"]),
        "jump": " ".join(node["jump"]),
        "identity": " ".join(node["identity"]),
        "python": node["python"],
        "max_jobs": node["max_jobs"],
        "disabled": node["disabled"],
        **{f"vars.{key}": json.dumps(value, ensure_ascii=False) for key, value in node["vars"].items()},
    }
    lines = [f"  {name:<10} {plain(str(value))}\n" for name, value in facts.items() if value not in (None, "")]
    return terminal.paint(plain(node["name"]), "bold") + "\n" + "".join(lines)


def _checked(found: Sequence[Node], become: Sequence[str], terminal: Terminal) -> str:
    rows: list[Row] = []
    for node in found:
        if not node["reachable"]:
            rows.append([node["name"], Cell(str(node.get("reason") or "no"), ("red",)), *["-"] * 5, node["message"]])
            continue
        offset = node.get("clock_offset_s")
        latency = node.get("latency_ms")
        users = ", ".join(f"{user}: {node.get('can_become', {}).get(user, '?')}" for user in become)
        rows.append(
            [
                node["name"],
                Cell("ok", ("green",)),
                "-" if latency is None else f"{latency:.1f} ms",
                f"{node.get('python') or '-'} {node.get('python_path') or ''}".strip(),
                str(node.get("login") or "-"),
                "-" if node.get("spool_free") is None else size(node["spool_free"]),
                "-" if offset is None else f"{round(offset, 1) + 0:+.1f} s",
                users,
            ]
        )
    return table(("NODE", "STATE", "LATENCY", "PYTHON", "LOGIN", "SPOOL FREE", "CLOCK", "NOTE"), rows, terminal)


def _fingerprints(findings: Sequence["Finding"], terminal: Terminal) -> str:
    rows: list[Row] = []
    for finding in findings:
        if not finding.keys:
            rows.append([finding.node, Cell("no key", ("red",)), "-", "-", finding.problem])
        for key in finding.keys:
            state, style = finding.verdict(key)
            rows.append([finding.node, Cell(state, style), key.algorithm, key.fingerprint, finding.note(key)])
    return table(("NODE", "STATE", "KIND", "FINGERPRINT", "NOTE"), rows, terminal)
