"""The command line. A command's module is imported when the command is used, and nothing heavy before it is needed."""

import importlib
import io
import sys
from typing import Any, Final

import click

from orchestrator import VERSION
from orchestrator.cli.invocation import COMMON, ERRORS, Failure, Invocation, common

_COMMANDS: Final = {
    # name: (where it is, what it does), in the order of the help
    "exec": ("orchestrator.cli.run:exec_", "Run a command or a script on nodes and watch it."),
    "run": ("orchestrator.cli.runtype:run", "Run a job type: a named job with checked values."),
    "types": ("orchestrator.cli.types:types", "Look at job types, and write your own."),
    "ps": ("orchestrator.cli.jobs:ps", "Show what runs now."),
    "history": ("orchestrator.cli.jobs:history", "Show runs, the newest first."),
    "show": ("orchestrator.cli.jobs:show", "Show a run and its jobs."),
    "logs": ("orchestrator.cli.logs:logs", "Print what a run's jobs have printed."),
    "follow": ("orchestrator.cli.logs:follow", "Watch a run until it ends."),
    "wait": ("orchestrator.cli.logs:wait", "Wait until runs have ended; the exit code tells how."),
    "cancel": ("orchestrator.cli.jobs:cancel", "End runs or single jobs."),
    "rerun": ("orchestrator.cli.again:rerun", "Run a run's jobs again, all or some of them."),
    "why": ("orchestrator.cli.again:why", "Tell what a run waits for, or why it failed."),
    "nodes": ("orchestrator.cli.nodes:nodes", "Look at the inventory, check nodes, trust their host keys."),
    "init": ("orchestrator.cli.site:init", "Make a site directory to start from."),
    "config": ("orchestrator.cli.site:config", "Check and show the settings."),
    "daemon": ("orchestrator.cli.serve:daemon", "Run the daemon."),
    "reload": ("orchestrator.cli.site:reload", "Make the daemon read its files again."),
    "web": ("orchestrator.cli.serve:web", "Serve the web pages."),
    "up": ("orchestrator.cli.serve:up", "Run the daemon and the web pages together."),
    "demo": ("orchestrator.cli.serve:demo", "Show AnyJob at work on nodes of this machine."),
    "completion": ("orchestrator.cli.completion:completion", "Print the completion script for a shell."),
}


class _Commands(click.Group):
    """A group whose commands are imported when they are called; `--help` needs none of them."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  click's form
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in _COMMANDS:
            return None
        module, _, name = _COMMANDS[cmd_name][0].partition(":")
        command = getattr(importlib.import_module(module), name)
        if not isinstance(command, click.Command):
            raise TypeError(f"{module}:{name} is not a command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in _COMMANDS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in _COMMANDS and not args[0].startswith("-"):
            import difflib  # noqa: PLC0415

            near = difflib.get_close_matches(args[0], _COMMANDS, n=1)
            hint = f" Did you mean {near[0]}?" if near else ""
            ctx.fail(f"there is no command {args[0]!r}.{hint}")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; whatever it does not expect to happen is told to people here, once for all."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            ctx.exit(130)
        except BrokenPipeError:
            _forget_output()
            ctx.exit(141)
        except Exception as error:
            told = _single(error)
            if not _is_for_people(told):
                raise
            raise Failure(told, ctx.ensure_object(Invocation)) from error


def _single(error: Exception) -> Exception:
    """Return the one error that groups of tasks have wrapped, and a group of several as it is."""
    while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def _is_for_people(error: Exception) -> bool:
    """Tell whether an error of a part that is imported late was written for people: those are told, not traced."""
    if isinstance(error, ERRORS) or (isinstance(error, OSError) and error.filename is not None):
        return True
    told = {
        "InvalidFilesError": "inventory.problems",
        "SiteError": "orchestrator.site",
        "StoreUnavailableError": "orchestrator.store.interface",
        "SocketTakenError": "orchestrator.local_server",
        "PortUnavailableError": "web.application",
    }
    return any(told.get(kind.__name__) == kind.__module__ for kind in type(error).__mro__)


def _forget_output() -> None:
    import os  # noqa: PLC0415

    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _version(context: click.Context, _parameter: click.Parameter, value: bool) -> None:  # noqa: FBT001  click's form
    if value:
        click.echo(f"anyjob {VERSION}")
        context.exit()


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "auto_envvar_prefix": None},
    epilog="Exit codes: docs/reference/exit-codes.md. `anyjob COMMAND --help` shows examples first.",
)
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Show the version.")
@common
@click.pass_context
def cli(context: click.Context) -> None:
    """Run jobs on any set of Linux nodes over SSH, and watch them live.

    \b
    anyjob exec -w 'web[01-20]' -- uname -r     the same command everywhere
    anyjob exec -a -G -- cat /etc/os-release    identical output folded
    anyjob ps                                   what runs now
    anyjob follow RUN                           watch it from anywhere
    """  # noqa: D301  click's mark for a paragraph that is not to be wrapped
    context.ensure_object(Invocation)


def main() -> None:
    """Run the command line of this process."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # what an encoding lacks is written out, not a crash
    cli(prog_name="anyjob")


__all__ = ["COMMON", "cli", "main"]
