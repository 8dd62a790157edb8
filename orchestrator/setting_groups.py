"""The settings by group, each declared once: name, kind, environment variable, meaning, default, limits.

A setting is called as its field without the unit: `Ssh.connect_timeout_s` is `ssh.connect_timeout`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from orchestrator.kinds import Kind
from orchestrator.setting import setting

_USER: Final = r"[A-Za-z0-9_][A-Za-z0-9_.@\\-]{0,255}"  # no leading dash: it would read as an option


@dataclass(frozen=True, slots=True, kw_only=True)
class Redis:
    """Where jobs, their states and their output are kept."""

    url: str | None = setting(
        Kind.TEXT,
        "ANYJOB_REDIS_URL",
        "Redis (7.0 or newer) or Valkey to use: redis://:password@host:6379/0, rediss:// for TLS, unix:///path.",
        default_text="a private server that AnyJob starts itself",
        secret=True,
        pattern=r"(redis|rediss|unix)://\S+",
        expected="a URL that begins with redis://, rediss:// or unix://",
    )
    prefix: str = setting(
        Kind.TEXT,
        "ANYJOB_REDIS_PREFIX",
        "First part of every key, so that several installations can share one server.",
        default="anyjob",
        pattern=r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}",
        expected="up to 64 letters, digits, '_', '.', '-'",
    )
    live_tail: int = setting(
        Kind.SIZE,
        "ANYJOB_REDIS_LIVE_TAIL",
        "Output per stream of a running job that stays in Redis; what is older moves to the data directory.",
        default=16 << 20,
        low=1 << 20,
        high=1 << 34,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Ssh:
    """How nodes are reached. What the inventory says of a node wins over these."""

    user: str | None = setting(
        Kind.TEXT,
        "ANYJOB_SSH_USER",
        "Login user on the nodes.",
        default_text="the user that the daemon runs as",
        pattern=_USER,
        expected="a user name",
    )
    identity: tuple[Path, ...] = setting(
        Kind.PATHS,
        "ANYJOB_SSH_IDENTITY",
        "Private keys to log in with; only their owner may be able to read them.",
        default=(),
        default_text="~/.ssh/id_ed25519, id_ecdsa, id_rsa, as far as they exist",
    )
    known_hosts: tuple[Path, ...] = setting(
        Kind.PATHS,
        "ANYJOB_KNOWN_HOSTS",
        "Files with the nodes' host keys; `anyjob nodes trust` writes to the first one.",
        default=(),
        default_text="known_hosts in the site, then ~/.ssh/known_hosts",
    )
    use_agent: bool = setting(
        Kind.BOOLEAN, "ANYJOB_SSH_USE_AGENT", "Also use the keys of the SSH agent at $SSH_AUTH_SOCK.", default=False
    )
    connect_timeout_s: float = setting(
        Kind.DURATION,
        "ANYJOB_SSH_CONNECT_TIMEOUT",
        "Time for one try to connect and log in.",
        default=15.0,
        low=0.1,
        high=3600,
    )
    connect_tries: int = setting(
        Kind.INTEGER,
        "ANYJOB_SSH_CONNECT_TRIES",
        "Tries to connect before a node counts as unreachable. A refused or unknown key is not tried again.",
        default=3,
        low=1,
        high=100,
    )
    keepalive_s: float = setting(
        Kind.DURATION,
        "ANYJOB_SSH_KEEPALIVE",
        "Pause between signs of life on a connection; after three without an answer it is dropped.",
        default=5.0,
        low=0.5,
        high=3600,
    )
    idle_s: float = setting(
        Kind.DURATION,
        "ANYJOB_SSH_IDLE",
        "Time that an unused connection stays open.",
        default=600.0,
        low=0,
        high=7 * 86400,
    )
    max_connections: int = setting(
        Kind.INTEGER,
        "ANYJOB_SSH_MAX_CONNECTIONS",
        "Connections open at once; unused ones are closed to make room.",
        default=1000,
        low=1,
        high=100_000,
    )
    handshakes: int = setting(
        Kind.INTEGER,
        "ANYJOB_SSH_HANDSHAKES",
        "Logins under way at once at one SSH server (sshd drops more than its MaxStartups, usually 10).",
        default=8,
        low=1,
        high=1000,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Remote:
    """What AnyJob uses on the nodes."""

    spool: str | None = setting(
        Kind.TEXT,
        "ANYJOB_SPOOL",
        "Directory on the nodes for the output of running jobs and the cached runner.",
        default_text="/var/lib/anyjob for root, else ~/.local/state/anyjob",
        pattern=r"/[^\0]{0,200}",
        expected="an absolute path",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What jobs may use, unless they ask for something else."""

    max_output: int = setting(
        Kind.SIZE,
        "ANYJOB_MAX_OUTPUT",
        "Bytes kept per output stream of a job. What is beyond is counted and dropped; the job goes on.",
        default=1 << 30,
        low=1 << 10,
        high=1 << 40,
    )
    fanout: int | None = setting(
        Kind.INTEGER,
        "ANYJOB_FANOUT",
        "Nodes that work on one run at the same time.",
        default_text="all of them",
        low=1,
        high=100_000,
    )
    grace_s: float = setting(
        Kind.DURATION,
        "ANYJOB_GRACE",
        "Time between TERM and KILL when a job is ended.",
        default=10.0,
        low=0,
        high=86400,
    )
    start_timeout_s: float | None = setting(
        Kind.DURATION,
        "ANYJOB_START_TIMEOUT",
        "Longest time that a job may wait for its start; then it is `expired`.",
        default_text="no limit",
        low=1,
        high=366 * 86400,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """How long things are kept after a job's end."""

    archive_after_s: float = setting(
        Kind.DURATION,
        "ANYJOB_ARCHIVE_AFTER",
        "When the output of an ended job moves from Redis to compressed files.",
        default=600.0,
        low=0,
        high=30 * 86400,
    )
    output_s: float = setting(
        Kind.DURATION,
        "ANYJOB_RETENTION_OUTPUT",
        "When output is deleted.",
        default=30 * 86400.0,
        low=60,
        high=36500 * 86400,
    )
    records_s: float = setting(
        Kind.DURATION,
        "ANYJOB_RETENTION_RECORDS",
        "When a run disappears from the history, its output too.",
        default=90 * 86400.0,
        low=60,
        high=36500 * 86400,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Web:
    """Where the web interface listens."""

    host: str = setting(
        Kind.TEXT,
        "ANYJOB_WEB_HOST",
        "Address to listen on.",
        default="127.0.0.1",
        pattern=r"[0-9A-Za-z:.\[\]-]{1,253}",
        expected="a host name or an IP address",
    )
    port: int = setting(
        Kind.INTEGER, "ANYJOB_WEB_PORT", "Port to listen on; 0 = any free one.", default=8642, low=0, high=65535
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """What the daemon writes to standard error."""

    format: str = setting(
        Kind.CHOICE,
        "ANYJOB_LOG_FORMAT",
        "`text` for people, `json` for machines (one object per line); `auto`: text on a terminal, else json.",
        default="auto",
        choices=("auto", "text", "json"),
    )
    level: str = setting(
        Kind.CHOICE,
        "ANYJOB_LOG_LEVEL",
        "Least important messages that are written.",
        default="info",
        choices=("debug", "info", "warning", "error"),
    )


GROUPS: Final[Mapping[str, type[Any]]] = {
    "redis": Redis,
    "ssh": Ssh,
    "remote": Remote,
    "limits": Limits,
    "retention": Retention,
    "web": Web,
    "log": Log,
}
