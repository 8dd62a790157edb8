"""A small SSH server for machines without `sshd`: runs commands as the current user, for whoever has the one key."""

import asyncio
import contextlib
import os
import pwd
import threading
from collections.abc import Sequence
from pathlib import Path

import asyncssh


class LoopbackServer:
    """Listens on loopback addresses in a thread of its own, so that whoever starts it needs no event loop.

    Args:
        addresses: to listen on.
        port: the same on all of them.
        directory: holds `host_key`, `authorized_keys` and `home`.
    """

    def __init__(self, addresses: Sequence[str], port: int, directory: Path) -> None:
        self._addresses = addresses
        self._port = port
        self._directory = directory
        self._loop = asyncio.new_event_loop()
        self._stopping = asyncio.Event()
        self._commands: set[asyncio.Task[None]] = set()
        self._ready = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="loopback-ssh", daemon=True)
        self._thread.start()
        self._ready.wait()
        if self._error is not None:
            raise RuntimeError(f"the small SSH server did not start: {self._error}")

    def stop(self) -> None:
        """Close the listeners and all connections."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
                runner.run(self._serve())
        except Exception as error:  # it is the starting thread's to tell
            self._error = error
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        listeners = [
            await asyncssh.listen(
                host,
                self._port,
                server_host_keys=[str(self._directory / "host_key")],
                authorized_client_keys=str(self._directory / "authorized_keys"),
                process_factory=self._serve_command,
                encoding=None,
                config=None,
                compression_algs=["none"],
                allow_scp=False,
            )
            for host in self._addresses
        ]
        self._ready.set()
        await self._stopping.wait()
        for listener in listeners:
            listener.close()
            await listener.wait_closed()
        for task in self._commands:
            task.cancel()
        await asyncio.gather(*self._commands, return_exceptions=True)

    async def _serve_command(self, process: asyncssh.SSHServerProcess[bytes]) -> None:
        """Run one command by the user's shell, as sshd does."""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  it is asyncssh's for this command
        self._commands.add(task)
        task.add_done_callback(self._commands.discard)
        user = pwd.getpwuid(os.geteuid())
        child = await asyncio.create_subprocess_exec(
            user.pw_shell or "/bin/sh",
            *(["-c", process.command] if process.command else []),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=self._directory / "home",
            env={
                "HOME": str(self._directory / "home"),
                "USER": user.pw_name,
                "LOGNAME": user.pw_name,
                "SHELL": user.pw_shell,
                "PATH": os.environ.get("PATH", os.defpath),
            },
            start_new_session=True,
        )
        assert child.stdin is not None and child.stdout is not None and child.stderr is not None  # noqa: S101, PT018
        try:
            async with asyncio.TaskGroup() as group:
                feeding = group.create_task(_feed(process.stdin, child.stdin))
                group.create_task(_forward(child.stdout, process.stdout))
                group.create_task(_forward(child.stderr, process.stderr))
                code = await child.wait()
                feeding.cancel()
            process.exit(code)
        finally:
            if child.returncode is None:
                child.kill()
            await child.wait()


async def _feed(source: asyncssh.SSHReader[bytes], target: asyncio.StreamWriter) -> None:
    """Carry standard input to the command, and its end or the loss of the connection as its end."""
    with contextlib.suppress(OSError, asyncssh.Error):
        while data := await source.read(1 << 16):
            target.write(data)
            await target.drain()
    target.close()


async def _forward(source: asyncio.StreamReader, target: asyncssh.SSHWriter[bytes]) -> None:
    """Carry output away; when nobody takes it any more, let the command not wait."""
    with contextlib.suppress(OSError, asyncssh.Error):
        while data := await source.read(1 << 16):
            target.write(data)
            await target.drain()
