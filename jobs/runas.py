"""Who may become whom where: the decision before a job is sent to a node under another account.

The first rule that fits decides. Without any rule every account but root is allowed, as far as the node's login can
become it. Root is never covered by a `*`: it must be named, or allowed for the whole site.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final

import msgspec

from inventory.fields import shown

_ACCOUNT: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}\$?")
_EVERYBODY: Final = ("*",)


class RunAsRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Callers, job types and nodes → accounts. Words may be globs, but `root` is only ever meant by its name."""

    accounts: tuple[str, ...]  #: on nodes
    groups: tuple[str, ...] = ()  #: on nodes, when one is asked for beside the account
    users: tuple[str, ...] = _EVERYBODY  #: of AnyJob; `@NAME` is a group of AnyJob
    types: tuple[str, ...] = _EVERYBODY  #: job types; `command` and `script` are `anyjob exec`
    nodes: dict[str, str] = {}  #: labels that a node must have, all of them; values may be globs


class RunAsPolicy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the settings say."""

    rules: tuple[RunAsRule, ...] = ()
    root: bool = False  #: whether root needs no rule of its own


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Whether it is allowed; `reason` tells which rule said so, or the way out."""

    allowed: bool
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who asks, and what for."""

    user: str
    groups: Collection[str] = ()
    type_name: str = "command"


def decide(
    policy: RunAsPolicy, caller: Caller, *, login: str, node_labels: Mapping[str, str], requested: str | None
) -> Decision:
    """Decide for one node.

    Args:
        policy: From the settings.
        caller: Who asks, and for which job type.
        login: The account that AnyJob logs in with; it is meant where none is requested.
        node_labels: Of the node.
        requested: `USER` or `USER:GROUP`, from the request, the node or the job type.
    """
    mistake = None if requested is None else account_error(requested)
    if mistake:
        return Decision(allowed=False, reason=mistake)
    account, _, group = (requested or login).partition(":")
    for number, rule in enumerate(policy.rules, 1):
        if _fits(rule, caller, node_labels) and _covers(rule.accounts, account, root=policy.root):
            if group and not _covers(rule.groups, group, root=False):
                continue
            return Decision(allowed=True, reason=f"run_as rule {number}")
    if policy.rules:
        wanted = f"{account}:{group}" if group else account
        return Decision(allowed=False, reason=f"no run_as rule lets {caller.user} run {caller.type_name} as {wanted}")
    if "root" in {account, group} and not policy.root:
        return Decision(allowed=False, reason="root needs an explicit yes: a run_as rule that names root")
    return Decision(allowed=True, reason="there are no run_as rules")


def account_error(text: str) -> str | None:
    """Say what is wrong with `USER` or `USER:GROUP`: both are names, never numbers."""
    account, colon, group = text.partition(":")
    for name in (account, group) if colon else (account,):
        if not _ACCOUNT.fullmatch(name):
            return f"{shown(name)} is not an account: write USER or USER:GROUP by name, not by number"
    return None


def _fits(rule: RunAsRule, caller: Caller, labels: Mapping[str, str]) -> bool:
    return (
        any(_names(word, caller) for word in rule.users)
        and any(fnmatchcase(caller.type_name, word) for word in rule.types)
        and all(key in labels and fnmatchcase(labels[key], word) for key, word in rule.nodes.items())
    )


def _names(word: str, caller: Caller) -> bool:
    if word.startswith("@"):
        return any(fnmatchcase(group, word[1:]) for group in caller.groups)
    return fnmatchcase(caller.user, word)


def _covers(words: Collection[str], name: str, *, root: bool) -> bool:
    if name == "root" and not root:
        return "root" in words
    return any(fnmatchcase(name, word) for word in words)
