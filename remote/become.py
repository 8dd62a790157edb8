r"""Taking another user's rights on the way to a node, without I/O: the command line, what is asked, what went wrong.

```
 sudo -n -u USER -- sh -c SCRIPT           without a password: it never asks, so the first stage is sent at once
 sudo -S -p PROMPT -u USER -- sh -c SCRIPT with one: it may ask on standard error, and reads one line of standard input
 doas -n -u USER -- sh -c SCRIPT           it takes passwords from terminals only
 su -s /bin/sh -c SCRIPT USER              it may always ask, except when the login user is root
```

Where it may ask, nothing is sent before the script says that it runs (`\0AJ1 - became\n`): else the program would read
the first stage as a password, or Python the password as its first stage.
"""

import enum
import re
from collections.abc import Sequence
from typing import Final

from inventory.route import Become, Method
from remote.bootstrap import printed

PROMPT: Final = "AnyJob-password:"  #: stands in quotes in the command line
_SHELL: Final = "sh -c "  #: how the line that runs the script begins
_BECAME: Final = "'cd /;printf \"\\0AJ1 - became\\n\";'"  #: the shell joins it with the script that follows
_USER: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._@\\+$-]*")


class Refusal(enum.StrEnum):
    """Why a user's rights were not given."""

    MISSING = "missing"  #: the node does not have the program
    LOGIN_SHELL = "login_shell"  #: the login user's own shell runs no commands; the program was never reached
    TERMINAL = "terminal"  #: it wants one, and there is none
    UNKNOWN_USER = "unknown_user"
    NO_LOGIN = "no_login"  #: the target account is locked, has expired or has no shell
    NOT_ALLOWED = "not_allowed"
    WRONG_PASSWORD = "wrong_password"  # noqa: S105
    PASSWORD_NEEDED = "password_needed"  # noqa: S105
    OTHER = "other"


#: What the programs say, in the order in which it is looked for; `{method}` is the program's name.
_SAYINGS: Final[Sequence[tuple[Refusal, str]]] = (
    (Refusal.MISSING, r"env: .*\b{method}\b.*(no such file|not found)|\b{method}: (command )?not found"),
    (Refusal.LOGIN_SHELL, r"account is currently not available"),
    (Refusal.TERMINAL, r"must have a tty|no tty present|a tty is required|from a terminal"),
    (Refusal.UNKNOWN_USER, r"unknown (user|uid|id)|user \S+ does not exist"),
    (Refusal.NO_LOGIN, r"has expired|account validation|account is (locked|currently not)|restricted shell"),
    (Refusal.NOT_ALLOWED, r"not allowed to|not in the sudoers|may not run|not permitted|not enabled|permission denied"),
    (Refusal.WRONG_PASSWORD, r"incorrect password|try again"),
    (Refusal.PASSWORD_NEEDED, r"password is required|authentication (required|failure)|no password was provided"),
)

_SAID: Final = "it said: {said}"
_TEXTS: Final = {
    Refusal.MISSING: "there is no {method} in its path. Install it, or set `become` of the node to another method",
    Refusal.LOGIN_SHELL: "{said}",
    Refusal.TERMINAL: f"{{method}} wants a terminal ({_SAID}). Take `requiretty` out of its rules: "
    "Defaults:{name} !requiretty",
    Refusal.UNKNOWN_USER: "there is no user {user} there. Make the account, or correct `become` of the node",
    Refusal.NO_LOGIN: f"{{user}} cannot be become by {{method}}; {_SAID}. Unlock the account or give it a shell",
    Refusal.NOT_ALLOWED: f"the rules of {{method}} do not let {{name}} become {{user}} ({_SAID}). {{rule}}",
    Refusal.WRONG_PASSWORD: "{method} does not accept the password. Correct the secret; no password is sent "
    "twice, so that no account is locked",
    Refusal.PASSWORD_NEEDED: "{method} wants a password and was given none, or {name} may not become {user} at all. "
    "{rule}",
    Refusal.OTHER: f"{{method}} did not run the command; {_SAID}. Try there, as {{name}}: {{trial}}",
}
_RULES: Final = {
    Method.SUDO: "See there, as {name}: sudo -l. A rule that will do: {name} ALL=({user}) NOPASSWD: ALL",
    Method.DOAS: "It takes passwords from terminals only. A rule that will do: permit nopass {name} as {user}",
    Method.SU: "Only root becomes others without their password. Use sudo, or log in as root",
}
_TRIALS: Final = {
    Method.SUDO: "sudo -n -u {user} -- id",
    Method.DOAS: "doas -n -u {user} -- id",
    Method.SU: "su -s /bin/sh -c id {user}",
}


def in_front(become: Become, line: str, *, may_ask: bool) -> str:
    """Put a method in front of the line that runs the script (`sh -c '...'`).

    Args:
        become: whose rights, and how.
        line: what `remote.bundle.command` returns.
        may_ask: there is a password, so sudo is to ask for it if it needs one.

    Raises:
        ValueError: a user name that could be more than a name to a shell.
    """
    if not _USER.fullmatch(become.user):
        raise ValueError(f"become: expected a user name, found {become.user!r}")
    script = _BECAME + line.removeprefix(_SHELL)
    asking = f"-S -p '{PROMPT}'" if may_ask else "-n"
    lines = {
        Method.SUDO: f"sudo {asking} -H -u '{become.user}' -- {_SHELL}{script}",
        Method.DOAS: f"doas -n -u '{become.user}' -- {_SHELL}{script}",
        Method.SU: f"su -s /bin/sh -c {script} '{become.user}'",
    }
    # Errors in English, as far as the login's own environment allows it; Python's character set stays as it is.
    return f"env LC_MESSAGES=C {lines[become.method]}"


def waits(become: Become, *, may_ask: bool) -> bool:
    """Whether nothing may be sent before the node says that the rights were given."""
    return become.method is Method.SU or (become.method is Method.SUDO and may_ask)


def asks(become: Become, stderr_end: bytes) -> bool:
    """Whether the program waits for a password. sudo shows our prompt; su its own, which no line end follows."""
    if become.method is Method.SUDO:
        return stderr_end.endswith(PROMPT.encode())
    return become.method is Method.SU and stderr_end.rstrip(b" ").endswith((b":", "\N{FULLWIDTH COLON}".encode()))


def reason(become: Become, said: bytes, *, answered: bool) -> Refusal:
    """Find out why a program refused.

    Args:
        become: whose rights were to be taken, and how.
        said: what was printed, on standard error first.
        answered: a password was sent.
    """
    text = said.decode("utf-8", "replace").lower()
    found = [why for why, saying in _SAYINGS if re.search(saying.replace("{method}", become.method), text)]
    if become.method is Method.SU and Refusal.LOGIN_SHELL in found:
        found.remove(Refusal.LOGIN_SHELL)  # su runs the target's shell, which says the same
    why = next(iter(found), Refusal.OTHER)
    return Refusal.WRONG_PASSWORD if answered and why is Refusal.PASSWORD_NEEDED else why


def refused(become: Become, why: Refusal, said: bytes, login: str) -> str:
    """Return what happened and the way out, for people; `login` is the name of the login user."""
    names = {"name": login, "user": become.user}
    return _TEXTS[why].format(
        **names,
        method=become.method,
        said=_own_words(become.method, said) or "nothing",
        rule=_RULES[become.method].format(**names),
        trial=_TRIALS[become.method].format(**names),
    )


def _own_words(method: Method, said: bytes) -> str:
    """Take the program's own lines (`sudo: ...`) where there are any, from among lectures and start-up files."""
    said = said.replace(PROMPT.encode(), b"").replace(b"Password: ", b"")
    own = [line for line in said.splitlines() if line.startswith(f"{method}: ".encode())]
    return printed(b" ".join(own) or said)
