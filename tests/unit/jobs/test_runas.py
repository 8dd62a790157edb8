"""Who may become whom."""

from typing import Any

import pytest

from jobs.runas import Caller, Decision, RunAsPolicy, RunAsRule, account_error, decide

NONE = RunAsPolicy()


def decided(policy: RunAsPolicy, requested: str | None, **facts: Any) -> Decision:
    known: dict[str, Any] = {
        "user": "ann",
        "groups": (),
        "type_name": "command",
        "login": "root",
        "labels": {},
        **facts,
    }
    caller = Caller(user=known["user"], groups=known["groups"], type_name=known["type_name"])
    return decide(policy, caller, login=known["login"], node_labels=known["labels"], requested=requested)


def policy(*rules: RunAsRule, root: bool = False) -> RunAsPolicy:
    return RunAsPolicy(rules=rules, root=root)


@pytest.mark.parametrize(
    "name", ["#0", "-1", "0", "1000", "", "a b", "a:0", ":root", "a:", "a:b:c", "../x", "röot", "a\n"]
)
def test_an_account_is_a_name_and_never_a_number(name: str) -> None:
    assert account_error(name)
    assert not decided(policy(RunAsRule(accounts=("*",)), root=True), name).allowed


def test_root_needs_an_explicit_yes() -> None:
    assert not decided(NONE, "root").allowed
    assert not decided(NONE, None, login="root").allowed
    assert not decided(NONE, "deploy:root").allowed
    assert not decided(policy(RunAsRule(accounts=("*",))), "root").allowed
    assert decided(policy(RunAsRule(accounts=("root",))), "root").allowed
    assert decided(RunAsPolicy(root=True), "root").allowed
    assert decided(policy(RunAsRule(accounts=("*",)), root=True), None).allowed


def test_without_rules_every_other_account_is_allowed() -> None:
    assert decided(NONE, "deploy").allowed
    assert decided(NONE, None, login="ops").allowed


def test_rules_name_callers_groups_types_and_nodes() -> None:
    rules = policy(
        RunAsRule(accounts=("deploy",), users=("@ops",), types=("restart-*",), nodes={"env": "prod*"}),
        RunAsRule(accounts=("app-*",), users=("bob",)),
    )
    good: dict[str, Any] = {"groups": ("ops",), "type_name": "restart-app", "labels": {"env": "production"}}
    assert decided(rules, "deploy", **good) == Decision(allowed=True, reason="run_as rule 1")
    assert not decided(rules, "deploy", **{**good, "groups": ("dev",)}).allowed
    assert not decided(rules, "deploy", **{**good, "type_name": "command"}).allowed
    assert not decided(rules, "deploy", **{**good, "labels": {}}).allowed
    assert decided(rules, "app-web", user="bob").allowed
    refused = decided(rules, "app-web")
    assert not refused.allowed
    assert refused.reason == "no run_as rule lets ann run command as app-web"


def test_a_user_called_as_a_group_is_not_in_it() -> None:
    rules = policy(RunAsRule(accounts=("x",), users=("@ops",)))
    assert not decided(rules, "x", user="ops").allowed
    assert not decided(rules, "x", user="@ops").allowed


def test_another_group_needs_its_own_yes() -> None:
    rules = policy(RunAsRule(accounts=("app",), groups=("www-*",)))
    assert decided(rules, "app:www-data").allowed
    assert not decided(rules, "app:docker").allowed
    assert not decided(policy(RunAsRule(accounts=("app",), groups=("*",))), "app:root").allowed
