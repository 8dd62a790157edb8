"""The daemon's process: starts the stack, tells systemd, stops on SIGTERM, reloads on SIGHUP."""

import asyncio
import contextlib
import logging
import os
import signal
import socket
from collections.abc import Callable, Coroutine

from orchestrator import assembly
from orchestrator.planning import ServiceError
from orchestrator.settings import Settings

log = logging.getLogger(__name__)

Beside = Callable[[], Coroutine[None, None, None]]


async def serve(load: Callable[[], Settings], *, beside: Beside | None = None) -> None:
    """Run until SIGTERM or SIGINT. `beside` runs along (the web interface of `anyjob up`) and is cancelled at the end.

    Raises:
        InvalidFilesError: the settings or the inventory cannot be used; nothing has been started then.
        StoreUnavailableError: Redis cannot be reached or started.
        ExceptionGroup: a newer daemon has taken over.
    """
    stop, reload = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGHUP, reload.set)
    async with assembly.running(load, embedded=False) as stack:
        side = asyncio.ensure_future(_together(beside, stack, reload))
        log.info("daemon started", extra={"pid": os.getpid()})
        tell_systemd("READY=1\nSTATUS=serving")
        try:
            stopping = asyncio.ensure_future(stop.wait())
            await asyncio.wait({stopping, side}, return_when=asyncio.FIRST_COMPLETED)
            if side.done():
                side.result()
        finally:
            tell_systemd("STOPPING=1")
            log.info("daemon stopping", extra={"jobs": stack.dispatcher.jobs})
            side.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await side


async def _together(beside: Beside | None, stack: assembly.Stack, reload: asyncio.Event) -> None:
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(_reloading(stack, reload))
        if beside is not None:
            tasks.create_task(beside())


async def _reloading(stack: assembly.Stack, reload: asyncio.Event) -> None:
    while True:
        await reload.wait()
        reload.clear()
        try:
            count = await stack.reload()
        except ServiceError as error:
            log.error("configuration not reloaded", extra={"problem": str(error)})  # noqa: TRY400  no traceback
        else:
            log.info("configuration reloaded", extra={"nodes": count})


def tell_systemd(message: str) -> None:
    """Send a state to the service manager, if there is one (sd_notify(3))."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
        try:
            channel.sendto(message.encode(), "\0" + address[1:] if address.startswith("@") else address)
        except OSError as error:
            log.warning("systemd cannot be told", extra={"error": str(error)})
