"""The settings of one process, and how they are read.

The commented `anyjob.yaml`, the JSON Schema, `docs/reference/settings.md` and `anyjob config show` are all made from
the declarations here and in `setting_groups.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final

from inventory.problems import InvalidFilesError, Problem
from orchestrator.kinds import Kind
from orchestrator.setting import Origin, Setting, setting
from orchestrator.setting_groups import GROUPS, Limits, Log, Redis, Remote, Retention, Ssh, Web
from orchestrator.settings_source import collect
from orchestrator.site import Site, default_data_dir, home


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings of one process, with where each value comes from."""

    data_dir: Path = setting(
        Kind.PATH,
        "ANYJOB_DATA_DIR",
        "Directory for AnyJob's own data: socket, output archive, embedded Redis. Only its owner may look into it.",
        default_text=".anyjob in the site (/var/lib/anyjob for /etc/anyjob); without a site ~/.local/state/anyjob",
    )
    inventory: tuple[Path, ...] = setting(
        Kind.PATHS,
        "ANYJOB_INVENTORY",
        "Inventories, in any of the formats that can be read; later ones win.",
        default=(),
        default_text="inventory.yaml in the site",
    )
    redis: Redis = field(default_factory=Redis)
    ssh: Ssh = field(default_factory=Ssh)
    remote: Remote = field(default_factory=Remote)
    limits: Limits = field(default_factory=Limits)
    retention: Retention = field(default_factory=Retention)
    web: Web = field(default_factory=Web)
    log: Log = field(default_factory=Log)
    site: Site | None = None
    origins: Mapping[str, Origin] = field(default_factory=dict)  #: by the setting's name
    warnings: tuple[Problem, ...] = ()  #: what is odd, but does not stop anything

    @property
    def socket_path(self) -> Path:
        """The daemon's unix socket."""
        return self.data_dir / "anyjob.sock"

    @property
    def archive_dir(self) -> Path:
        """Where finished output is kept."""
        return self.data_dir / "archive"


#: the field that holds each setting: its group (None = `Settings` itself) and its name there
_PLACES: Final = {
    (f"{group}." if group else "") + entry.name.removesuffix("_s"): (group, entry)
    for group, owner in ((None, Settings), *GROUPS.items())
    for entry in fields(owner)
    if "setting" in entry.metadata
}

SETTINGS: Final[Mapping[str, Setting]] = {
    name: Setting(name=name, **entry.metadata["setting"]) for name, (_, entry) in _PLACES.items()
}


def load(site: Site | None, env: Mapping[str, str]) -> Settings:
    """Read the settings: environment before `anyjob.yaml` before defaults.

    Raises:
        InvalidFilesError: with every mistake of the file and of the environment.
    """
    found = collect(SETTINGS, site, env)
    origins = {name: found.origins.get(name, Origin("default", "default")) for name in SETTINGS}
    own: dict[str, Any] = {
        "data_dir": default_data_dir(site, env),
        "inventory": (site.path / "inventory.yaml",) if site else (),
        "ssh.known_hosts": (*([site.path / "known_hosts"] if site else []), home(env, "~/.ssh/known_hosts")),
    }
    arguments: dict[str | None, dict[str, Any]] = {group: {} for group in (None, *GROUPS)}
    for name, value in (own | found.values).items():
        group, entry = _PLACES[name]
        arguments[group][entry.name] = value
    groups = {group: owner(**arguments[group]) for group, owner in GROUPS.items()}
    settings = Settings(site=site, origins=origins, warnings=found.warnings, **arguments[None], **groups)
    _require_short_socket(settings)
    return settings


def value_of(settings: Settings, name: str) -> Any:
    """Return the value of the setting called `name`."""
    group, entry = _PLACES[name]
    return getattr(getattr(settings, group) if group else settings, entry.name)


def _require_short_socket(settings: Settings) -> None:
    # sun_path of unix(7) has 108 bytes, and the embedded Redis has a socket one folder further down.
    room = 108 - len("/redis/redis.sock") - 1
    length = len(bytes(settings.data_dir))
    if length > room:
        message = f"{settings.data_dir} is {length} bytes long; a unix socket in it leaves room for {room}"
        hint = "set data_dir (or ANYJOB_DATA_DIR) to a shorter path"
        raise InvalidFilesError(
            [Problem(file=settings.origins["data_dir"].place, field="data_dir", message=message, hint=hint)]
        )
