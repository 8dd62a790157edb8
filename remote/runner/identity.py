"""Whom a job runs as: looked up by name, taken on completely, and with an environment of its own."""

import collections
import grp
import os
import pwd

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Dict, NamedTuple, Optional, Tuple

NOBODY_ID = 2**32 - 1  # -1, which the set*id calls take for "leave it": as an id it must never reach them
SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin"
ROOT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

if TYPE_CHECKING:

    class Identity(NamedTuple):
        """A user and group, as the node's databases have them."""

        name: str
        uid: int
        gid: int
        groups: "Tuple[int, ...]"
        home: str
        shell: str

else:
    Identity = collections.namedtuple("Identity", ["name", "uid", "gid", "groups", "home", "shell"])
    Identity.__doc__ = "A user and group, as the node's databases have them."


class StartError(Exception):
    """A job cannot be started: a `reason` of the protocol, and a message that names what is wrong."""

    def __init__(self, reason: str, message: str) -> None:
        """Take the protocol's reason and the text."""
        super().__init__(message)
        self.reason = reason


def resolve(user: "Optional[str]", group: "Optional[str]") -> "Identity":
    """Look up whom a job is to run as; None is the login user, or the user's own group.

    Names only: `0`, `#0` and `-1` are no ids here, they are unknown unless an account has that very name.

    Raises:
        StartError: `no_such_user`, or `no_permission` to become it.
    """
    identity = _login() if user is None else _account(user)
    gid = identity.gid if group is None else _group(group)
    if NOBODY_ID in (identity.uid, gid):
        raise StartError("no_permission", "user %s has the id -1, which no process can have" % identity.name)
    if os.geteuid() == 0:
        return identity._replace(gid=gid, groups=tuple(os.getgrouplist(identity.name, gid)))
    if identity.uid != os.geteuid() or gid != os.getegid():
        text = "%s (uid %d) cannot become %s, group %d; log in as root, or as that user"
        raise StartError("no_permission", text % (_login().name, os.geteuid(), identity.name, gid))
    return identity


def _login() -> "Identity":
    uid = os.geteuid()
    try:
        return _of(pwd.getpwuid(uid))
    except KeyError:
        groups = tuple(os.getgroups())
        return Identity(str(uid), uid, os.getegid(), groups, os.environ.get("HOME", "/"), "/bin/sh")


def _account(user: str) -> "Identity":
    try:
        return _of(pwd.getpwnam(user))
    except (KeyError, UnicodeEncodeError):
        raise StartError("no_such_user", "user %r is not known on this node" % user) from None


def _of(account: "pwd.struct_passwd") -> "Identity":
    groups = tuple(os.getgroups())
    home, shell = account.pw_dir or "/", account.pw_shell or "/bin/sh"
    return Identity(account.pw_name, account.pw_uid, account.pw_gid, groups, home, shell)


def _group(group: str) -> int:
    try:
        return grp.getgrnam(group).gr_gid
    except (KeyError, UnicodeEncodeError):
        raise StartError("no_such_user", "group %r is not known on this node" % group) from None


def can_become(user: str) -> str:
    """Answer for one name of a `probe`: `yes`, `unknown_user` or `no`."""
    try:
        resolve(user, None)
    except StartError as error:
        return "unknown_user" if error.reason == "no_such_user" else "no"
    return "yes"


def become(identity: "Identity") -> None:
    """Turn this process into the user and group, with no way back, and check it. Called between fork and exec.

    Raises:
        StartError: `no_permission`.
    """
    if os.geteuid() == 0:
        os.setgroups(identity.groups)
        os.setresgid(identity.gid, identity.gid, identity.gid)
        os.setresuid(identity.uid, identity.uid, identity.uid)
        if set(os.getgroups()) != set(identity.groups):
            raise StartError("no_permission", "the groups of %s could not be taken on" % identity.name)
    if os.getresuid() != (identity.uid,) * 3 or os.getresgid() != (identity.gid,) * 3:
        raise StartError("no_permission", "user %s could not be taken on" % identity.name)
    if identity.uid != 0 and _can_return():
        raise StartError("no_permission", "root could not be given up for user %s" % identity.name)


def _can_return() -> bool:
    try:
        os.setuid(0)
    except PermissionError:
        return False
    return True


def environment(identity: "Identity", extra: "Dict[str, str]", term: "Optional[str]") -> "Dict[bytes, bytes]":
    """Return a job's whole environment: nothing is inherited from the login but its language."""
    clean = {
        "HOME": identity.home,
        "USER": identity.name,
        "LOGNAME": identity.name,
        "SHELL": identity.shell,
        "PATH": ROOT_PATH if identity.uid == 0 else SYSTEM_PATH,
        "LANG": os.environ.get("LANG") or "C.UTF-8",
    }
    if term is not None:
        clean["TERM"] = term
    clean.update(extra)
    return {text(name): text(value) for name, value in clean.items()}


def text(value: str) -> bytes:
    """Return what the kernel is given for a text, whatever the login's locale is."""
    return value.encode("utf-8", "surrogateescape")
