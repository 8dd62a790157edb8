"""Commands that stay: the daemon, the web pages, both together, and the demo."""

import asyncio
import json
import signal
import sys
import tempfile
from collections.abc import Callable, Coroutine
from pathlib import Path

import click

from orchestrator.cli.invocation import Format, Invocation, common
from orchestrator.cli.options import Examples
from orchestrator.settings import Settings


def _serve(invocation: Invocation, load: Callable[[], Settings], *, web: Callable[[str], None] | None = None) -> None:
    """Run the daemon in this process until it is told to stop; with `web` the pages too, announced through it."""
    from orchestrator import daemon as process  # noqa: PLC0415  imports everything
    from orchestrator import logs  # noqa: PLC0415
    from orchestrator.store.interface import StaleEpochError  # noqa: PLC0415

    settings = load()
    logs.configure(settings.log, sys.stderr)
    for problem in settings.warnings:
        invocation.say(f"anyjob: {problem}")
    beside = None if web is None else lambda: _pages(settings, web)
    taken_over = False
    try:
        asyncio.run(process.serve(load, beside=beside))
    except* StaleEpochError:
        taken_over = True
    if taken_over:
        raise click.ClickException("a newer daemon has taken over this site's store; this one has stopped")


def _pages(settings: Settings, announce: Callable[[str], None]) -> Coroutine[None, None, None]:
    from web.application import serve  # noqa: PLC0415  Flask and uvicorn cost a quarter of a second

    return serve(settings.socket_path, settings.web.host, settings.web.port, announce=announce)


def _announce(invocation: Invocation) -> Callable[[str], None]:
    def announce(link: str) -> None:
        if invocation.output is Format.HUMAN:
            click.echo(f"Open this link once, in a browser on this machine:\n\n    {link}\n")
        else:
            click.echo(json.dumps({"link": link}))

    return announce


@click.command(
    cls=Examples,
    examples="""
anyjob daemon                           in the foreground, for the site in use
systemctl start anyjob                  as a service (contrib/anyjob.service)
""",
)
@common
@click.pass_obj
def daemon(invocation: Invocation) -> None:
    """Run the daemon of a site until SIGTERM. SIGHUP (or `anyjob reload`) reads settings and inventory again."""
    _serve(invocation, invocation.settings)


@click.command(
    cls=Examples,
    examples="""
anyjob up                               the daemon and the web pages, until Ctrl-C
ANYJOB_WEB_PORT=8080 anyjob up          on another port
""",
)
@common
@click.pass_obj
def up(invocation: Invocation) -> None:
    """Run the daemon and the web pages together; print the link that opens them."""
    _serve(invocation, invocation.settings, web=_announce(invocation))


@click.command(
    cls=Examples,
    examples="""
anyjob web                              pages for the running daemon, until Ctrl-C
""",
)
@common
@click.pass_obj
def web(invocation: Invocation) -> None:
    """Serve the web pages of a site whose daemon runs already; print the link that opens them."""
    from orchestrator import logs  # noqa: PLC0415

    settings = invocation.settings()
    logs.configure(settings.log, sys.stderr)
    with invocation.daemon(embed=False):
        pass  # fails with the way out if there is no daemon

    async def pages() -> None:
        serving = asyncio.ensure_future(_pages(settings, _announce(invocation)))
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, serving.cancel)
        await asyncio.wait({serving})
        if not serving.cancelled():
            serving.result()

    asyncio.run(pages())


@click.command(
    cls=Examples,
    examples="""
anyjob demo                             three nodes on this machine, a job on all of them
anyjob demo --keep                      the same nodes with daemon and web pages, until Ctrl-C
""",
)
@click.option("--keep", is_flag=True, help="Stay: run the daemon and the web pages on the demo's nodes until Ctrl-C.")
@click.option(
    "--directory",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where the demo lives. Default: a temporary directory; with --keep ./.demo",
)
@common
@click.pass_obj
def demo(invocation: Invocation, *, keep: bool, directory: Path | None) -> None:
    """Show AnyJob at work on three SSH servers that it starts on this machine, and leave nothing behind."""
    from orchestrator import demo as stage  # noqa: PLC0415  asyncssh
    from orchestrator.assembly import start_embedded  # noqa: PLC0415
    from orchestrator.settings import load  # noqa: PLC0415
    from orchestrator.site import find  # noqa: PLC0415

    echo = stage.Echo(colour=invocation.terminals.out.colour)
    with tempfile.TemporaryDirectory(prefix="anyjob-demo-") as scratch:
        place = directory or (Path.cwd() / ".demo" if keep else Path(scratch))
        echo.say("Starting three SSH nodes on this machine, a private Redis and the daemon ...")
        port = invocation.env.get("ANYJOB_WEB_PORT") or str(stage.web_port())
        with stage.site(place) as site:

            def settings() -> Settings:
                return load(find(site, {}, Path.cwd()), {"ANYJOB_LOG_LEVEL": "warning", "ANYJOB_WEB_PORT": port})

            if keep:
                _serve(invocation, settings, web=lambda link: _stay(echo.say, site, link))
                return
            with start_embedded(settings()):
                code = stage.tour(site, echo=echo)
        echo.say("\nAll of it has been stopped and removed again. Next:\n")
        for words, what in (
            ("demo --keep", "the same nodes to play with, and the web pages"),
            ("init mysite", "a site of your own: put your nodes into mysite/inventory.yaml"),
            ("--help", "all commands"),
        ):
            echo.say(f"  {f'{sys.argv[0]} {words}':<30}  {what}")
        sys.exit(code)


def _stay(say: Callable[[str], None], site: Path, link: str) -> None:
    say("\nThe nodes, the daemon and the web pages run until Ctrl-C. Open this link once:\n")
    say(f"    {link}\n")
    say("Or in another terminal:\n")
    say(f"    export ANYJOB_SITE={site}")
    say(f"    {sys.argv[0]} nodes check")
    say(f"    {sys.argv[0]} exec -w all -G -- uname -sr")
    say(f"    {sys.argv[0]} exec -g web -d -- 'for n in 1 2 3 4 5; do echo $n; sleep 1; done'")
    say(f"    {sys.argv[0]} ps\n")
