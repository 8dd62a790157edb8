"""Pieces of commands: help with examples first, the kinds of values, the options of everything that is watched."""

import functools
from collections.abc import Callable
from typing import Any, Final

import click

from orchestrator.cli.exitcode import RcMode
from orchestrator.cli.invocation import COMMON
from orchestrator.cli.watching import View
from orchestrator.kinds import duration


class Examples(click.Command):
    """A command whose help shows examples first and the options of every command last."""

    def __init__(self, *arguments: Any, examples: str, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.examples = examples.strip().splitlines()

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples, then the text."""
        formatter.write_paragraph()
        with formatter.indentation():
            for line in self.examples:
                formatter.write(f"{'':{formatter.current_indent}}{line}\n")
        super().format_help_text(ctx, formatter)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the command's own options, then the common ones."""
        own: list[tuple[str, str]] = []
        shared: list[tuple[str, str]] = []
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx) if isinstance(parameter, click.Option) else None
            if record is not None:
                (shared if parameter.name in COMMON else own).append(record)
        for title, records in (("Options", own), ("Options of every command", shared)):
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)


class Duration(click.ParamType):  # type: ignore[type-arg]  # generic in newer releases of click only
    """A span of time in seconds: `90s`, `5m`, `2h`, `1h30m`."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return seconds."""
        try:
            return duration(value)
        except ValueError as error:
            self.fail(f"{value!r}: {error}", param, ctx)


DURATION: Final = Duration()


def watch_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options of watching; it gets them as its parameter `view`."""

    @functools.wraps(function)
    def with_view(*arguments: Any, **options: Any) -> Any:
        view = View(
            gather=options.pop("gather"),
            prefix=not options.pop("no_prefix"),
            raw=options.pop("raw"),
            rc_mode=RcMode(options.pop("rc_mode")),
            progress=not options.pop("no_progress"),
            detach_on_interrupt=options.pop("detach_on_interrupt"),
        )
        return function(*arguments, view=view, **options)

    options = (
        click.option("-G", "--gather", is_flag=True, help="Show identical output once, under its nodes (as clush -b)."),
        click.option("--no-prefix", is_flag=True, help="Lines without the node's name; piped: the bytes as they came."),
        click.option("--raw", is_flag=True, help="The bytes as they came, even to a terminal, which they may command."),
        click.option("--rc-mode", type=click.Choice([str(mode) for mode in RcMode]), default=str(RcMode.ANY),
                     help="Exit code for several nodes: any (default), max (largest), first (first failure's)."),
        click.option("--no-progress", is_flag=True, help="No progress line."),
        click.option("--detach-on-interrupt", is_flag=True, help="Without a terminal, Ctrl-C leaves the jobs running."),
    )  # fmt: skip
    decorated: Callable[..., Any] = with_view
    for option in reversed(options):
        decorated = option(decorated)
    return decorated
