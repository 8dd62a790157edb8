"""Bare asyncssh, as a program of its own: the least that a Python client does. Prints its measurements as JSON.

    python -m tests.bench.bare DIRECTORY PORT cold|warm|flood ADDRESSES ROUNDS COMMAND

DIRECTORY is that of `remote.loopback.LoopbackNodes`. It uses the library as its documentation shows, with the
key read once and no agent.
"""

import asyncio
import getpass
import hashlib
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import asyncssh


def options(directory: Path, port: int) -> asyncssh.SSHClientConnectionOptions:
    """Return the options of every connection; the server settles the algorithms."""
    return asyncssh.SSHClientConnectionOptions(
        port=port,
        username=getpass.getuser(),
        config=None,
        agent_path=None,
        client_keys=[asyncssh.read_private_key(str(directory / "id_ed25519"))],
        known_hosts=asyncssh.import_known_hosts((directory / "known_hosts").read_text()),
        compression_algs=["none"],
    )


async def cold(hosts: Sequence[str], how: asyncssh.SSHClientConnectionOptions, command: str) -> dict[str, Any]:
    """Connect to all, run the command, close."""
    slots = asyncio.Semaphore(64)

    async def one(host: str) -> bool:
        async with slots, asyncssh.connect(host, options=how) as connection:
            return (await connection.run(command)).exit_status == 0

    began = time.perf_counter()
    good = await asyncio.gather(*(one(host) for host in hosts))
    return {"inside": time.perf_counter() - began, "failed": good.count(False)}


async def warm(
    hosts: Sequence[str], how: asyncssh.SSHClientConnectionOptions, command: str, rounds: int
) -> dict[str, Any]:
    """Run the command on all connections at once, round after round; a round ends with the last of them."""
    connections = await asyncio.gather(*(asyncssh.connect(host, options=how) for host in hosts))
    seconds, failed, cpu = [], 0, 0.0
    for number in range(rounds + 1):  # the first one warms up
        began, before = time.perf_counter(), time.process_time()
        results = await asyncio.gather(*(connection.run(command) for connection in connections))
        failed += sum(result.exit_status != 0 for result in results)
        if number:
            seconds.append(time.perf_counter() - began)
            cpu += time.process_time() - before
    for connection in connections:
        connection.close()
    return {"rounds": seconds, "failed": failed, "cpu": cpu / rounds}


async def flood(host: str, how: asyncssh.SSHClientConnectionOptions, command: str) -> dict[str, Any]:
    """Read what the command prints, in the pieces that come."""
    digest = hashlib.sha256()
    began = time.perf_counter()
    async with asyncssh.connect(host, options=how) as connection:
        process = await connection.create_process(command, encoding=None, window=2 << 20)
        while piece := await process.stdout.read(1 << 18):
            digest.update(piece)
    return {"inside": time.perf_counter() - began, "sha256": digest.hexdigest(), "failed": 0}


async def main(words: Sequence[str]) -> dict[str, Any]:
    """Do what the command line says and return what came of it."""
    directory, port, case, names, rounds, command = words
    how = options(Path(directory), int(port))
    hosts = names.split(",")
    match case:
        case "cold":
            result = await cold(hosts, how, command)
        case "warm":
            result = await warm(hosts, how, command, int(rounds))
        case _:
            result = await flood(hosts[0], how, command)
    return result


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main(sys.argv[1:]))))
