"""The kinds of names on the command line (targets, groups, nodes, runs), and their completion in bash, zsh and fish.

A name is asked from the running daemon, which has the inventory in memory. Without one there is silence: a TAB must
never start anything, print an error or wait.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import click
from click.shell_completion import CompletionItem, get_completion_class

from orchestrator.cli.invocation import Invocation, common
from orchestrator.client import ApiError

_SHELLS: Final = ("bash", "zsh", "fish")
_LAST_NAME: Final = re.compile(r"[^,&!^():]*\Z")  # what stands behind the last operator of a target expression
_PATIENCE_S: Final = 0.5


class _Known(click.ParamType):  # type: ignore[type-arg]  # generic in newer releases of click only
    """A text that the daemon can complete."""

    def __init__(self, name: str, kinds: Sequence[str]) -> None:
        self.name = name
        self._kinds = kinds

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Take the text as it is; of a pasted web address take the id."""
        text = str(value)
        if not text.strip():
            self.fail("expected a name, not an empty text", param, ctx)
        return text.rstrip("/").rpartition("/")[2] if self.name == "run" and "/runs/" in text else text

    def shell_complete(
        self,
        ctx: click.Context,
        param: click.Parameter,  # noqa: ARG002  click's form
        incomplete: str,
    ) -> list[CompletionItem]:
        """Return what the last name of the expression can become."""
        invocation = ctx.ensure_object(Invocation)
        last = "" if self.name == "run" else _LAST_NAME.search(incomplete)
        prefix = last[0] if last else incomplete if self.name == "run" else ""
        before = incomplete[: len(incomplete) - len(prefix)]
        at = prefix.startswith("@")
        kinds = ("job",) if self.name == "run" and "-" in prefix else self._kinds
        items = [
            f"{'@' if at and kind == 'group' else ''}{item}"
            for kind in kinds
            if not at or kind == "group"
            for item in _ask(invocation, kind, prefix.removeprefix("@"))
        ]
        return [CompletionItem(before + item) for item in items]


class _Target(_Known):
    """A target expression. Files in it are read here: the daemon reads none for a caller."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the expression with the names of `@./file` and `^file` in their place. Raises ApiError."""
        expression = str(super().convert(value, param, ctx))
        names_file = "^" in expression or ("@" in expression and "/" in expression)
        if not names_file or (ctx is not None and ctx.resilient_parsing):
            return expression
        from inventory import TargetError, inline_files  # noqa: PLC0415  20 ms, for few expressions

        try:
            return inline_files(expression, Path.cwd())
        except TargetError as error:
            raise ApiError("bad_target", str(error)) from error


TARGET: Final = _Target("target", ("node", "group"))
GROUP: Final = _Known("group", ("group",))
NODE: Final = _Known("node", ("node",))
RUN: Final = _Known("run", ("run",))
JOB_TYPE: Final = _Known("type", ("type",))


def _ask(invocation: Invocation, kind: str, prefix: str) -> list[str]:
    from orchestrator.client import Client  # noqa: PLC0415

    try:
        with Client.connect(invocation.socket_path(), timeout_s=_PATIENCE_S) as client:
            return [str(item) for item in client.call("complete", kind=kind, prefix=prefix)["items"]]
    except Exception:
        return []


@click.command("completion")
@click.argument("shell", type=click.Choice(_SHELLS))
@common
def completion(shell: str) -> None:
    """Print the completion script for SHELL.

    \b
    bash   eval "$(anyjob completion bash)"        in ~/.bashrc
    zsh    eval "$(anyjob completion zsh)"         in ~/.zshrc
    fish   anyjob completion fish > ~/.config/fish/completions/anyjob.fish
    """  # noqa: D301  click's mark for a paragraph that is not to be wrapped
    from orchestrator.cli import cli  # noqa: PLC0415  the whole program is the thing to be completed

    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"{shell} cannot be completed")
    click.echo(kind(cli, {}, "anyjob", "_ANYJOB_COMPLETE").source())
