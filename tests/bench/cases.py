"""The cases: who is measured, how often, and what is compared with what."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from tests.bench import subjects as of
from tests.bench.measure import Metric, Sample
from tests.bench.subjects import Subject
from tests.bench.testbed import Site, Sites, Testbed

NAMES: Final = ("cold", "warm", "flood", "growth")
BARE, CLUSH, SSH = "bare asyncssh", "clush", "ssh into a pipe"
DAEMON, CLIENT, EMBEDDED = "anyjob exec", "AnyJob, in-process client", "anyjob exec, no daemon"
MEMORY = "the same, spool in memory"


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """`ours` held against `anchor` by a metric; what is better lies below 1 for times and above 1 for rates."""

    ours: str
    anchor: str
    metric: Metric


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One table. The subjects take turns in each repetition."""

    name: str
    title: str
    subjects: Sequence[Subject]
    comparisons: Sequence[Comparison] = ()
    scale: Sequence[int] = ()  #: of a growth case: the size of each subject
    runs: int | None = None  #: repetitions, where it is not the number that was asked for


@dataclass(frozen=True, slots=True, kw_only=True)
class Extent:
    """How much is done."""

    nodes: int = 64
    flood_bytes: int = 200_000_000
    clush_bytes: int = 10_000_000
    sizes: tuple[int, ...] = (16, 64, 256)
    floods: tuple[int, ...] = (1, 4, 16)
    flood_part: int = 12_500_000
    rounds: int = 100  #: of one node
    many_rounds: int = 15  #: of all nodes
    commands: int = 10


QUICK: Final = Extent(
    nodes=16,
    flood_bytes=50_000_000,
    clush_bytes=2_000_000,
    sizes=(4, 16, 64),
    floods=(1, 2, 4),
    flood_part=5_000_000,
    rounds=30,
    many_rounds=5,
    commands=3,
)


def make(name: str, bed: Testbed, sites: Sites, extent: Extent) -> list[Case]:
    """Return the tables of a case."""
    match name:
        case "cold":
            return [_cold(bed, sites, extent.nodes)]
        case "warm":
            return [
                _warm(bed, sites, 1, extent.rounds, extent.commands),
                _warm(bed, sites, extent.nodes, extent.many_rounds, max(3, extent.commands // 2)),
            ]
        case "flood":
            return [_flood(bed, sites.live, extent)]
        case _:
            return _growth(bed, sites.live, extent)


def _cold(bed: Testbed, sites: Sites, count: int) -> Case:
    site, lone = sites.live, sites.lone
    return Case(
        name="cold",
        title=f"`echo hi` on {count} nodes that nobody is connected to",
        subjects=[
            Subject(BARE, partial(of.bare_cold, bed, count)),
            _clush(bed, partial(of.clush_once, bed, count, keep=False)),
            Subject(DAEMON, partial(of.command_once, site, count), site.restart),
            Subject(CLIENT, partial(of.client_once, site, count), site.restart),
            Subject(EMBEDDED, partial(of.command_once, lone, count), site.stop),
        ],
        comparisons=[
            Comparison(ours=CLIENT, anchor=BARE, metric=Metric.INSIDE),
            Comparison(ours=DAEMON, anchor=BARE, metric=Metric.WALL),
            Comparison(ours=DAEMON, anchor=CLUSH, metric=Metric.WALL),
            Comparison(ours=EMBEDDED, anchor=CLUSH, metric=Metric.WALL),
            Comparison(ours=DAEMON, anchor=BARE, metric=Metric.CPU),
        ],
    )


def _warm(bed: Testbed, sites: Sites, count: int, rounds: int, commands: int) -> Case:
    def in_process(name: str, site: Site) -> Subject:
        return Subject(name, partial(of.client_warm, site, count, rounds), partial(_connect, site, count))

    def masters() -> None:
        of.clush_once(bed, count, keep=True)

    return Case(
        name=f"warm {count}",
        title=f"`echo hi` on {count} node{'s' * (count > 1)} with open connections: time of a whole run",
        subjects=[
            Subject(BARE, partial(of.bare_warm, bed, count, rounds)),
            _clush(bed, partial(of.clush_warm, bed, count, commands), masters),
            in_process(CLIENT, sites.live),
            in_process(MEMORY, sites.memory),
            Subject(
                DAEMON, partial(of.command_warm, sites.live, count, commands), partial(_connect, sites.live, count)
            ),
        ],
        comparisons=[
            Comparison(ours=CLIENT, anchor=BARE, metric=Metric.P50),
            Comparison(ours=CLIENT, anchor=BARE, metric=Metric.P99),
            Comparison(ours=DAEMON, anchor=CLUSH, metric=Metric.P50),
            Comparison(ours=DAEMON, anchor=CLUSH, metric=Metric.CPU),
        ],
    )


def _flood(bed: Testbed, site: Site, extent: Extent) -> Case:
    connect = partial(_renew, site, 1)
    return Case(
        name="flood",
        title=f"{extent.flood_bytes / 1e6:g} MB in lines of 100 bytes from one node to one follower"
        f" (clush: {extent.clush_bytes / 1e6:g} MB)",
        subjects=[
            Subject(BARE, partial(of.bare_flood, bed)),
            Subject(SSH, partial(of.ssh_flood, bed)),
            _clush(bed, partial(of.clush_flood, bed, extent.clush_bytes)),
            Subject(CLIENT, partial(of.client_flood, site, bed, size=extent.flood_bytes), connect),
            Subject(DAEMON, partial(of.command_flood, site, bed), connect),
        ],
        comparisons=[
            Comparison(ours=CLIENT, anchor=SSH, metric=Metric.RATE),
            Comparison(ours=CLIENT, anchor=BARE, metric=Metric.RATE),
            Comparison(ours=DAEMON, anchor=CLUSH, metric=Metric.RATE),
            Comparison(ours=CLIENT, anchor=BARE, metric=Metric.CPU),
        ],
    )


def _growth(bed: Testbed, site: Site, extent: Extent) -> list[Case]:
    def flooded(count: int) -> Subject:
        measure = partial(of.client_flood, site, bed, size=extent.flood_part, count=count)
        return Subject(f"{count} x {extent.flood_part / 1e6:g} MB", measure, partial(_renew, site, count))

    return [
        Case(
            name="growth, cold",
            title="cold, from a client in this process, by the number of nodes",
            subjects=[Subject(f"{n} nodes", partial(of.client_once, site, n), site.restart) for n in extent.sizes],
            scale=extent.sizes,
        ),
        Case(
            name="growth, bare",
            title="the same by bare asyncssh (its own start is not in `inside`)",
            subjects=[Subject(f"{n} nodes", partial(of.bare_cold, bed, n)) for n in extent.sizes],
            scale=extent.sizes,
        ),
        Case(
            name="growth, warm",
            title="warm, from a client in this process, by the number of nodes",
            subjects=[
                Subject(f"{n} nodes", partial(of.client_warm, site, n, 5), partial(_connect, site, n))
                for n in extent.sizes
            ],
            scale=extent.sizes,
        ),
        Case(
            name="growth, floods",
            title="floods at once to one follower, by their number",
            subjects=[flooded(count) for count in extent.floods],
            scale=extent.floods,
        ),
    ]


def _connect(site: Site, count: int) -> None:
    site.restart()
    of.watch(site, [of.HELLO], count)


def _renew(site: Site, count: int) -> None:
    site.renew()
    of.watch(site, [of.HELLO], count)


def _clush(bed: Testbed, measure: Callable[[], Sample], prepare: Callable[[], None] | None = None) -> Subject:
    return Subject(CLUSH, measure, prepare, missing=None if bed.clush else "clush is not installed")
