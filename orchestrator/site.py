"""The site directory: where an installation's settings, inventory and job types live, and how it is found.

Cheap to import (the command line does so at every start): nothing is read here but directory entries.
"""

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

CONFIG_NAME: Final = "anyjob.yaml"
SYSTEM_SITE: Final = Path("/etc/anyjob")
SYSTEM_DATA: Final = Path("/var/lib/anyjob")


class SiteError(Exception):
    """The site that was asked for cannot be used; the message says where and the way out."""


class Site(NamedTuple):
    """A site directory that has an `anyjob.yaml`."""

    path: Path  #: absolute
    found_by: str  #: for people: `--site`, `ANYJOB_SITE`, `the current directory`, `the user's configuration`, ...

    @property
    def config(self) -> Path:
        """The settings file."""
        return self.path / CONFIG_NAME


def find(explicit: Path | None, env: Mapping[str, str], cwd: Path) -> Site | None:
    """Return the site: `explicit` (`--site`), `$ANYJOB_SITE`, `cwd`, `~/.config/anyjob`, `/etc/anyjob`; else None.

    A site that was named must exist. One that merely lies in the current directory must not be another user's:
    its inventory may be a program, which would run with our rights.

    Raises:
        SiteError: the named site has no settings file, or the current directory is not to be trusted.
    """
    if explicit is not None:
        return _named(cwd / explicit, "--site")
    if env.get("ANYJOB_SITE"):
        return _named(cwd / home(env, env["ANYJOB_SITE"]), "ANYJOB_SITE")
    if os.path.isfile(cwd / CONFIG_NAME):  # noqa: PTH113  False, not an error, where we may not look
        _refuse_foreign(cwd)
        return Site(cwd, "the current directory")
    for path, found_by in ((user_site(env), "the user's configuration"), (SYSTEM_SITE, "the system's configuration")):
        if os.path.isfile(path / CONFIG_NAME):  # noqa: PTH113
            return Site(path, found_by)
    return None


def user_site(env: Mapping[str, str]) -> Path:
    """Return where a user's own site is: `$XDG_CONFIG_HOME/anyjob`, by default `~/.config/anyjob`."""
    return _xdg(env, "XDG_CONFIG_HOME", ".config") / "anyjob"


def default_data_dir(site: Site | None, env: Mapping[str, str]) -> Path:
    """Return where run-time data goes unless the setting `data_dir` says otherwise."""
    if site is None:
        return _xdg(env, "XDG_STATE_HOME", ".local/state") / "anyjob"
    return SYSTEM_DATA if site.path == SYSTEM_SITE else site.path / ".anyjob"


def home(env: Mapping[str, str], text: str = "~") -> Path:
    """Return `text` as a path, with a leading `~` replaced by `$HOME` (by the account's own without one)."""
    path = Path(text)
    if path.parts[:1] != ("~",):
        return path.expanduser() if text.startswith("~") else path
    return Path(env.get("HOME") or Path.home()).joinpath(*path.parts[1:])


def _xdg(env: Mapping[str, str], variable: str, default: str) -> Path:
    # XDG Base Directory Specification: a relative path in these variables is to be ignored.
    path = Path(env.get(variable, ""))
    return path if path.is_absolute() else home(env) / default


def _named(path: Path, found_by: str) -> Site:
    path = Path(os.path.abspath(path))  # noqa: PTH100  keeps symbolic links as the user wrote them
    try:
        if stat.S_ISREG((path / CONFIG_NAME).stat().st_mode):
            return Site(path, found_by)
        problem = f"{path / CONFIG_NAME} is not a file"
    except FileNotFoundError:
        problem = f"there is no {CONFIG_NAME} in {path}"
    except OSError as error:
        problem = f"cannot look at {path / CONFIG_NAME}: {error.strerror}"
    raise SiteError(f"{found_by}: {problem}; `anyjob init {path}` makes a new site")


def _refuse_foreign(cwd: Path) -> None:
    directory, owner = cwd.stat(), (cwd / CONFIG_NAME).stat().st_uid
    if directory.st_mode & stat.S_IWOTH:
        problem = "everybody may write to this directory"
    elif not {directory.st_uid, owner} <= {0, os.geteuid()}:
        problem = "it belongs to another user"
    else:
        return
    raise SiteError(
        f"{cwd / CONFIG_NAME} is not used: {problem}, and a site can make programs run; "
        f"`anyjob --site .` uses it all the same"
    )
