"""What a node itself has to say about who may run there: its own file, and accounts that are locked or expired."""

import errno
import json
import os
import pwd
import stat
import time

from .identity import StartError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict

    from .identity import Identity

NODE_CONF = "/etc/anyjob/node.conf"
SHADOW = "/etc/shadow"
_KEYS = ("allowed_users", "clusters", "denied_users")


def admit(identity: "Identity", cluster: str, path: str = NODE_CONF) -> None:
    """Let the node's own file decide, if there is one. A file that others could have written forbids all.

    Raises:
        StartError: `forbidden_on_node`.
    """
    try:
        rules = _read(path)
    except FileNotFoundError:
        return
    except (OSError, ValueError) as error:
        raise StartError("forbidden_on_node", "%s cannot be used, so nothing is started: %s" % (path, error)) from None
    if cluster not in rules.get("clusters", [cluster]):
        raise StartError("forbidden_on_node", "%s: this node is not for cluster %r" % (path, cluster))
    name = identity.name
    if name not in rules.get("allowed_users", [name]):
        raise StartError("forbidden_on_node", "%s: no job may run as %s (allowed_users)" % (path, name))
    denied = rules.get("denied_users", [])
    if name in denied or identity.uid in map(_uid, denied):  # another name of a denied account is no way round
        raise StartError("forbidden_on_node", "%s: no job may run as %s (denied_users)" % (path, name))


def _uid(name: str) -> "Any":
    try:
        return pwd.getpwnam(name).pw_uid
    except KeyError:
        return None


def _read(path: str) -> "Dict[str, Any]":
    """Return the rules.

    Raises:
        ValueError: it is not safe, or not of the right form.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except NotADirectoryError:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path) from None
    with open(fd, "rb") as file:
        for state in (os.stat(os.path.dirname(path)), os.fstat(fd)):
            if state.st_uid != 0 or state.st_mode & 0o022:
                raise ValueError("it and its directory must belong to root and be writable by nobody else")
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise ValueError("it is no file")
        rules = json.loads(file.read(1 << 20).decode("utf-8"))
    if not isinstance(rules, dict) or not rules.keys() <= set(_KEYS):
        raise ValueError("expected a JSON object with %s only" % ", ".join(_KEYS))
    for key, names in rules.items():
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise ValueError("%s: expected a list of names" % key)
    return rules


def check_account(identity: "Identity", path: str = SHADOW) -> None:
    """Refuse an account that somebody has locked, or that has expired, where we are allowed to see that.

    A password that was never set (`!`, `*`) is how accounts of services look, and no lock.

    Raises:
        StartError: `account_locked`.
    """
    if identity.uid == os.geteuid():
        return  # it is logged in
    try:
        with open(path, "rb") as file:
            lines = [line for line in file if line.startswith(identity.name.encode() + b":")]
    except OSError:
        return
    for line in lines:
        fields = line.rstrip(b"\n").split(b":")
        password, expires = (fields + [b""] * 8)[1], (fields + [b""] * 8)[7]
        if password.startswith(b"!") and password.lstrip(b"!").startswith(b"$"):
            raise StartError("account_locked", "the account %s is locked; unlock it: usermod -U" % identity.name)
        if expires.isdigit() and time.time() // 86400 >= int(expires):
            text = "the account %s has expired; renew it: usermod --expiredate ''"
            raise StartError("account_locked", text % identity.name)
