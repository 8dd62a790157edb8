"""`python -m tests.bench`: AnyJob, clush, ssh and bare asyncssh side by side on this machine."""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from tests.bench.cases import NAMES, QUICK, Case, Extent, make
from tests.bench.measure import Series
from tests.bench.report import document, machine, save, table
from tests.bench.testbed import Site, Sites, Testbed


def main(words: Sequence[str]) -> int:
    """Run the cases and print their tables."""
    arguments = _arguments(words)
    extent = QUICK if arguments.quick else Extent()
    if arguments.nodes:
        extent = replace(extent, nodes=arguments.nodes)
    runs = arguments.runs or (1 if arguments.quick else 3)
    facts, documents = machine(), []
    print(
        f"{facts['cores']} cores, load {facts['load'][0]}, Python {facts['python']}; medians of {runs} (least-greatest)"
    )
    with ExitStack() as stack:
        # Unix sockets have short names: not below a long TMPDIR.
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ajb-", dir="/tmp")))
        count = max(extent.nodes, *extent.sizes, *extent.floods)
        bed = stack.enter_context(Testbed(directory, count=count, flood_bytes=extent.flood_bytes))
        stack.callback(bed.close_masters)
        memory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ajb-", dir="/dev/shm")))
        sites = Sites(
            live=stack.enter_context(Site(bed, "s")),
            lone=Site(bed, "lone"),
            memory=stack.enter_context(Site(bed, "m", spool=memory)),
        )
        for name in arguments.case or NAMES:
            for case in make(name, bed, sites, extent):
                series = _measure(case, case.runs or runs)
                bed.close_masters()
                print(f"\n{table(case, series)}", flush=True)
                documents.append(document(case, series))
    if arguments.json:
        save(arguments.json, facts, documents)
    return 0


def _measure(case: Case, runs: int) -> list[Series]:
    """Let the subjects take turns, so that what disturbs the machine for a while disturbs all of them."""
    series = [Series(subject.name, missing=subject.missing) for subject in case.subjects]
    for _ in range(runs):
        for subject, one in zip(case.subjects, series, strict=True):
            if subject.missing is None:
                if subject.prepare is not None:
                    subject.prepare()
                one.samples.append(subject.measure())
    return series


def _arguments(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("case", nargs="*", choices=[[], *NAMES], help="default: all")
    parser.add_argument("--runs", type=int, metavar="N", help="repetitions (3)")
    parser.add_argument("--nodes", type=int, metavar="N", help="nodes of cold and warm (64)")
    parser.add_argument("--json", metavar="FILE", help="write all samples there")
    parser.add_argument("--quick", action="store_true", help="less of everything, under a minute: does it work?")
    return parser.parse_args(words)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
