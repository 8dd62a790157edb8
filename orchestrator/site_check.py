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
    """Read the settings, the job types, the policy, and, as far as the settings tell where it is, the inventory."""
    try:
        settings = load(site, env)
    except InvalidFilesError as error:
        # With settings that cannot be read the inventory is looked for at its usual place, to tell all at once.
        usual = None if site is None else Settings(inventory=(site.path / "inventory.yaml",), data_dir=site.path)
        report = Report(problems=()) if usual is None else _inventory(usual)
        return Report(problems=_sorted((*error.problems, *report.problems)), warnings=report.warnings)
    report, types = _inventory(settings), _types(site)
    return Report(
        problems=_sorted((*report.problems, *types.problems)),
        warnings=(*settings.warnings, *report.warnings),
        counts={**report.counts, **types.counts},
    )


def _inventory(settings: Settings) -> Report:
    if not settings.inventory:
        return Report(problems=())
    from inventory import load as load_inventory  # noqa: PLC0415  after the settings: they tell whether there is one

    try:
        found = load_inventory(settings.inventory, cache_dir=None, allow_empty=True)
    except InvalidFilesError as error:
        return Report(problems=error.problems)
    return Report(problems=(), warnings=found.warnings, counts={"nodes": len(found.nodes), "groups": len(found.groups)})


def _types(site: Site | None) -> Report:
    from jobs.policyfile import load_policy  # noqa: PLC0415  only where the settings are right
    from jobs.typefile import load_types  # noqa: PLC0415

    found = load_types(None if site is None else site.path / "jobs.d")
    problems = list(found.problems)
    try:
        load_policy(None if site is None else site.path)
    except InvalidFilesError as error:
        problems += error.problems
    return Report(problems=tuple(problems), counts={"types": len(found.by_name)})


def _sorted(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    return InvalidFilesError(problems).problems
