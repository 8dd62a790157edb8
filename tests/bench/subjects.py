"""How each tool does the work of a case. Every function is one repetition and returns what was measured."""

import hashlib
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.client import Client, new_run_id
from tests.bench.measure import Clock, Metric, Sample, forget_peak, latencies, peak_mb
from tests.bench.testbed import Finished, Site, Testbed, run

HELLO = "echo hi"


@dataclass(frozen=True, slots=True)
class Subject:
    """A tool in a case; `prepare` is not measured."""

    name: str
    measure: Callable[[], Sample]
    prepare: Callable[[], None] | None = None
    missing: str | None = None


class WrongResultError(Exception):
    """A tool did not do what was asked, so that its time says nothing."""


# --- bare asyncssh


def _bare(bed: Testbed, case: str, hosts: Sequence[str], command: str, rounds: int = 1) -> tuple[Finished, Any]:
    words = [str(bed.nodes.directory), str(bed.nodes.port), case, ",".join(hosts), str(rounds), command]
    finished = run([sys.executable, "-m", "tests.bench.bare", *words])
    result = json.loads(finished.out)
    if result["failed"]:
        raise WrongResultError(f"bare asyncssh: {result['failed']} commands failed")
    return finished, result


def bare_cold(bed: Testbed, count: int) -> Sample:
    """Connect, run, close, in a new interpreter."""
    finished, result = _bare(bed, "cold", bed.addresses(count), HELLO)
    return _whole(finished) | {Metric.INSIDE: result["inside"]}


def bare_warm(bed: Testbed, count: int, rounds: int) -> Sample:
    """Run on open connections, a new channel for each command."""
    finished, result = _bare(bed, "warm", bed.addresses(count), HELLO, rounds)
    return {**latencies(result["rounds"]), Metric.CPU: result["cpu"], Metric.RSS: finished.peak_mb}


def bare_flood(bed: Testbed) -> Sample:
    """Connect, and read what `cat` prints."""
    path, digest = bed.flood(bed.flood_bytes)
    finished, result = _bare(bed, "flood", bed.addresses(1), f"cat {path}")
    _same("bare asyncssh", result["sha256"], digest)
    rate = {Metric.RATE: bed.flood_bytes / result["inside"] / 1e6, Metric.INSIDE: result["inside"]}
    return {**rate, **_whole(finished)}


# --- programs that start ssh


def clush_once(bed: Testbed, count: int, *, keep: bool) -> Sample:
    """Run on all nodes; with `keep`, over the connections that ssh has kept from before."""
    config = bed.master_config if keep else bed.ssh_config
    hosts = bed.addresses(count)
    finished = run([str(bed.clush), "-q", "-o", f"-F {config}", "-f", "64", "-w", ",".join(hosts), HELLO])
    if finished.out.count(b": hi\n") != count:
        raise WrongResultError(f"clush: {count} lines expected, got {finished.out[:200]!r}")
    return _whole(finished)


def clush_warm(bed: Testbed, count: int, rounds: int) -> Sample:
    """Run several times over kept connections."""
    return _repeated(lambda: clush_once(bed, count, keep=True), rounds)


def clush_flood(bed: Testbed, size: int) -> Sample:
    """Let it print a smaller file: it takes a while for each line."""
    path, digest = bed.flood(size)
    finished = run([str(bed.clush), "-q", "-N", "-o", f"-F {bed.ssh_config}", "-w", bed.addresses(1)[0], f"cat {path}"])
    _same("clush", finished.digest, digest)
    return {Metric.RATE: size / finished.wall_s / 1e6, **_whole(finished)}


def ssh_flood(bed: Testbed) -> Sample:
    """Read what `ssh` prints through a pipe."""
    path, digest = bed.flood(bed.flood_bytes)
    finished = run(["ssh", "-F", str(bed.ssh_config), bed.addresses(1)[0], f"cat {path}"])
    _same("ssh", finished.digest, digest)
    return {Metric.RATE: bed.flood_bytes / finished.wall_s / 1e6, **_whole(finished)}


# --- AnyJob


def command_once(site: Site, count: int) -> Sample:
    """Run `anyjob exec`; with a daemon if the site has one, else with the whole stack inside itself."""
    with Clock(site.pids) as clock:
        finished = run(site.command("exec", "-w", target(count), "--", HELLO))
    if finished.out.count(b": hi\n") != count:
        raise WrongResultError(f"anyjob: {count} lines expected, got {finished.out[:200]!r}")
    daemon = {Metric.DAEMON_RSS: peak_mb(site.pids[0])} if site.pids else {}
    return {**_whole(finished), Metric.CPU: clock.cpu + finished.cpu_s, **daemon}


def command_warm(site: Site, count: int, rounds: int) -> Sample:
    """Run `anyjob exec` several times."""
    return _repeated(lambda: command_once(site, count), rounds)


def client_once(site: Site, count: int) -> Sample:
    """Submit and follow to the end from this process."""
    with Clock(site.pids) as clock:
        watch(site, [HELLO], count)
    return {Metric.INSIDE: clock.wall, Metric.CPU: clock.cpu, Metric.DAEMON_RSS: peak_mb(site.pids[0])}


def client_warm(site: Site, count: int, rounds: int) -> Sample:
    """Submit and follow several times from this process; each run is one time."""
    seconds = []
    watch(site, [HELLO], count)  # opens the connections
    with Clock(site.pids) as clock:
        for _ in range(rounds):
            began = time.perf_counter()
            watch(site, [HELLO], count)
            seconds.append(time.perf_counter() - began)
    return {**latencies(seconds), Metric.CPU: clock.cpu / rounds, Metric.DAEMON_RSS: peak_mb(site.pids[0])}


def client_flood(site: Site, bed: Testbed, *, size: int, count: int = 1) -> Sample:
    """Let jobs print a file each and follow them from this process."""
    path, digest = bed.flood(size)
    daemon, *servers = site.pids
    for pid in site.pids:
        forget_peak(pid)
    with Clock(site.pids) as clock:
        digests = watch(site, ["cat", str(path)], count)
    for found in digests.values():
        _same("anyjob", found, digest)
    memory = {Metric.DAEMON_RSS: peak_mb(daemon), Metric.REDIS_RSS: max(map(peak_mb, servers))}
    return {
        Metric.RATE: count * size / clock.wall / 1e6,
        Metric.INSIDE: clock.wall,
        Metric.CPU: clock.cpu,
        **memory,
    }


def command_flood(site: Site, bed: Testbed) -> Sample:
    """Read what `anyjob exec --raw` prints through a pipe."""
    path, digest = bed.flood(bed.flood_bytes)
    with Clock(site.pids) as clock:
        finished = run(site.command("exec", "--raw", "-w", target(1), "--", "cat", str(path)))
    _same("anyjob exec", finished.digest, digest)
    cpu = {Metric.CPU: clock.cpu + finished.cpu_s}
    return {Metric.RATE: bed.flood_bytes / finished.wall_s / 1e6, **_whole(finished), **cpu}


def watch(site: Site, argv: list[str], count: int) -> dict[str, str]:
    """Submit a run on the first nodes, follow it to its end, and return the sha256 of what each job printed.

    Raises:
        WrongResultError: not every job succeeded.
    """
    digests: dict[str, Any] = {}
    with Client.connect(site.socket) as client:
        run_id = new_run_id()
        client.call("submit", id=run_id, request={"target": target(count), "argv": argv})
        with client.follow(run_id) as follow:
            for frame in follow:
                kind = frame.header["t"]
                if kind == "output":
                    digests.setdefault(frame.header["job"], hashlib.sha256()).update(frame.payload)
                elif kind == "end":
                    ended = json.loads(frame.payload)
                    if ended["counts"] != {"succeeded": count}:
                        raise WrongResultError(f"anyjob: {ended['counts']} of {count} jobs")
    if len(digests) != count:
        raise WrongResultError(f"anyjob: output of {len(digests)} jobs, expected {count}")
    return {job: digest.hexdigest() for job, digest in digests.items()}


def target(count: int) -> str:
    """Return the expression for the first nodes of a bench site."""
    return f"n[001-{count:03d}]"


def _repeated(once: Callable[[], Sample], rounds: int) -> Sample:
    samples = [once() for _ in range(rounds)]
    seconds = latencies([sample[Metric.WALL] for sample in samples])
    cpu = sum(sample[Metric.CPU] for sample in samples) / rounds
    return {**seconds, Metric.CPU: cpu, Metric.RSS: max(sample[Metric.RSS] for sample in samples)}


def _whole(finished: Finished) -> dict[Metric, float]:
    return {Metric.WALL: finished.wall_s, Metric.CPU: finished.cpu_s, Metric.RSS: finished.peak_mb}


def _same(who: str, found: str, expected: str) -> None:
    if found != expected:
        raise WrongResultError(f"{who}: the bytes that came are not those that were printed")
