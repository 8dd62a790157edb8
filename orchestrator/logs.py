"""What the daemon and the web process write to standard error: text for people, JSON lines for machines.

A record is a fixed phrase and facts: `log.info("job started", extra={"job": "01JD-1", "node": "web01"})`. Names of
nodes and users, output and errors of other programs are facts, never part of the phrase, and each of their control
characters is escaped, so that nobody can forge a record or steer a terminal.
"""

import json
import logging
import time
from collections.abc import Iterator, Mapping
from typing import Final, TextIO

from orchestrator.setting_groups import Log

PACKAGES: Final = ("orchestrator", "web", "remote", "jobs", "inventory")
_FIRST: Final = ("run", "job", "node", "user")  #: the facts that come first in a line, in this order
_OWN: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def configure(settings: Log, stream: TextIO) -> None:
    """Send every record of this process to `stream`, in the format and from the level that the settings say.

    Other people's libraries are heard from `warning` on, or from `debug` on if that is the level.
    """
    is_text = settings.format == "text" or (settings.format == "auto" and stream.isatty())
    level = settings.level.upper()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(TextFormatter() if is_text else JsonFormatter())
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level if level in ("DEBUG", "ERROR") else "WARNING")
    for package in PACKAGES:
        logging.getLogger(package).setLevel(level)


class JsonFormatter(logging.Formatter):
    """One JSON object per line, ASCII only: `ts` (RFC 3339), `level`, `event`, the facts, `logger`, `traceback`."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line without its end."""
        seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line: dict[str, object] = {
            "ts": f"{seconds}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **dict(_facts(record)),
            "logger": record.name,
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


class TextFormatter(logging.Formatter):
    """`HH:MM:SS level phrase key=value ...` in local time; the lines of a traceback follow, each set off by `  | `."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, or the lines of a traceback, without the last line's end."""
        clock = time.strftime("%H:%M:%S", time.localtime(record.created))
        parts = [f"{clock} {record.levelname.lower():<7} {escape(record.getMessage())}"]
        parts += [f"{escape(key)}={_shown(value)}" for key, value in _facts(record)]
        lines = [" ".join(parts)]
        if record.exc_info:
            lines += [f"  | {escape(line)}" for line in self.formatException(record.exc_info).split("\n")]
        return "\n".join(lines)


def escape(text: str) -> str:
    r"""Return `text` with all that does not print (controls, bidi marks, surrogates) as `\xNN` or `\uNNNN`."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def _facts(record: logging.LogRecord) -> Iterator[tuple[str, object]]:
    given: Mapping[str, object] = {key: value for key, value in vars(record).items() if key not in _OWN}
    for key in (*_FIRST, *sorted(given.keys() - set(_FIRST))):
        if given.get(key) is not None:
            yield key, given[key]


def _shown(value: object) -> str:
    text = value if isinstance(value, str) else str(value)
    is_bare = text and not any(char.isspace() or char in "\"'=\\" for char in text)
    return escape(text if is_bare else json.dumps(text, ensure_ascii=False))
