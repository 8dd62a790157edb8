"""Reads a site's `policy.yaml`: the props that every run may have, and who may become whom (`jobs.runas`)."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from inventory.problems import InvalidFilesError, Problem
from inventory.section import Section
from inventory.yamlfile import Value, read
from jobs.jobtype import Param
from jobs.runas import RunAsPolicy, RunAsRule
from jobs.typeparams import read_params

NAME = "policy.yaml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What a site says for all job types."""

    props: tuple[Param, ...] = ()
    run_as: RunAsPolicy = field(default_factory=RunAsPolicy)


def load_policy(site: Path | None) -> Policy:
    """Read the policy of a site directory; a missing file is an empty one.

    Raises:
        InvalidFilesError: with every mistake.
    """
    path = None if site is None else site / NAME
    if path is None or not path.exists():
        return Policy()
    problems: list[Problem] = []
    root = Section.of(read(path), problems)
    props = read_params(root, "props")
    run_as = root.section("run_as") if "run_as" in root else None
    policy = RunAsPolicy() if run_as is None else _policy(run_as, str(path), problems)
    root.done(also=("props", "run_as"))
    if problems:
        raise InvalidFilesError(problems)
    return Policy(props=props, run_as=policy)


def _policy(section: Section, file: str, problems: list[Problem]) -> RunAsPolicy:
    is_root_allowed = section.boolean("root") or False
    rules: list[RunAsRule] = []
    listed = section.value("rules")
    if listed is not None and not isinstance(listed.content, tuple):
        section.problem("rules", f"expected a list of rules, found {listed.kind}")
    for index, item in enumerate(listed.content if listed and isinstance(listed.content, tuple) else ()):
        rule = _rule(item, file, f"{section.path('rules')}[{index + 1}]", problems)
        if rule is not None:
            rules.append(rule)
    section.done(also=("root", "rules"))
    return RunAsPolicy(rules=tuple(rules), root=is_root_allowed)


def _rule(value: Value, file: str, field: str, problems: list[Problem]) -> RunAsRule | None:
    section = Section(value, file=file, field=field, problems=problems)
    fields: dict[str, Any] = {}
    for name in ("accounts", "groups", "users", "types"):
        words = section.texts(name)
        if words:
            fields[name] = words
    labels = section.plain("nodes")
    if labels:
        fields["nodes"] = {key: str(word) for key, word in labels.items()}
    section.require("accounts")
    section.done(also=("accounts", "groups", "users", "types", "nodes"))
    return RunAsRule(**fields) if "accounts" in fields else None
