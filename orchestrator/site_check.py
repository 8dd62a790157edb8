"""Every mistake of a site's files: what `anyjob config check` tells."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from inventory.problems import InvalidFilesError, Problem
from orchestrator.settings import Settings, load
from orchestrator.site import Site


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What was found; without problems the daemon takes the files as they are."""

    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)  #: how much there is of what: `nodes`, `groups`


def check(site: Site | None, env: Mapping[str, str]) -> Report:
    """Read the settings and, as far as they tell where it is, the inventory."""
    try:
        settings = load(site, env)
    except InvalidFilesError as error:
        # With settings that cannot be read the inventory is looked for at its usual place, to tell all at once.
        usual = None if site is None else Settings(inventory=(site.path / "inventory.yaml",), data_dir=site.path)
        report = Report(problems=()) if usual is None else _inventory(usual)
        return Report(problems=_sorted((*error.problems, *report.problems)), warnings=report.warnings)
    report = _inventory(settings)
    return Report(problems=report.problems, warnings=(*settings.warnings, *report.warnings), counts=report.counts)


def _inventory(settings: Settings) -> Report:
    if not settings.inventory:
        return Report(problems=())
    from inventory import load as load_inventory  # noqa: PLC0415  after the settings: they tell whether there is one

    try:
        found = load_inventory(settings.inventory, cache_dir=None, allow_empty=True)
    except InvalidFilesError as error:
        return Report(problems=error.problems)
    return Report(problems=(), warnings=found.warnings, counts={"nodes": len(found.nodes), "groups": len(found.groups)})


def _sorted(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    return InvalidFilesError(problems).problems
