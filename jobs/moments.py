"""Dates and times as people write them.

Accepted, with `-`, `.`, `/` or nothing between the parts of a date and `:` or nothing between those of a time:

    2026-01-31T10:15:00+02:00   ISO 8601, also with Z, without zone, seconds or time
    2026-01-31 10:15:00         31-01-2026 10:15:00       seconds and time may be missing (midnight)
    10:15:00   10:15            today, where the caller knows what day it is

Years are 1900 to 2100. Eight digits in a row are never ambiguous: no month is 19, 20 or 21.
"""

import datetime
import re
from typing import Final

_DATE: Final = r"(?:(?P<y1>[0-9]{4})(?P<s1>[-./]?)(?P<m1>[0-9]{2})(?P=s1)(?P<d1>[0-9]{2})" + (
    r"|(?P<d2>[0-9]{2})(?P<s2>[-./]?)(?P<m2>[0-9]{2})(?P=s2)(?P<y2>[0-9]{4}))"
)
_TIME: Final = (
    r"(?P<hour>[0-9]{2})(?P<colon>:?)(?P<minute>[0-9]{2})(?:(?P=colon)(?P<second>[0-9]{2})(?:\.[0-9]{1,6})?)?"
)
_ZONE: Final = r"(?P<zone>Z|[-+][0-9]{2}:?[0-9]{2})?"
_MOMENT: Final = re.compile(rf"{_DATE}(?:[T ]{_TIME}{_ZONE})?")
_TODAY: Final = re.compile(_TIME.replace(":?", ":"))
MAX_TEXT: Final = 40


def parse_moment(text: str, today: datetime.date | None = None) -> str | None:
    """Give a date and time as `YYYY-MM-DDTHH:MM:SS`, with the zone if there is one; None = it is not one."""
    if len(text) > MAX_TEXT or not text.isascii():
        return None
    match = _MOMENT.fullmatch(text)
    if match is not None:
        found = [_read(match, "y1", "m1", "d1"), _read(match, "y2", "m2", "d2")]
        return next((moment for moment in found if moment), None)
    match = _TODAY.fullmatch(text)
    if match is None or today is None:
        return None
    return _written((today.year, today.month, today.day), match, None)


def _read(match: re.Match[str], year: str, month: str, day: str) -> str | None:
    if match[year] is None:
        return _swapped(match) if year == "y2" else None
    return _written((int(match[year]), int(match[month]), int(match[day])), match, match["zone"])


def _swapped(match: re.Match[str]) -> str | None:
    """Read eight digits in a row as day, month, year: the expression has read them the other way round."""
    if match["s1"]:
        return None
    digits = match["y1"] + match["m1"] + match["d1"]
    return _written((int(digits[4:]), int(digits[2:4]), int(digits[:2])), match, match["zone"])


def _written(date: tuple[int, int, int], match: re.Match[str], zone: str | None) -> str | None:
    hour, minute, second = (int(match[part] or 0) for part in ("hour", "minute", "second"))
    try:
        moment = datetime.datetime(*date, hour, minute, second)  # noqa: DTZ001  the zone, if there is one, stays text
        if zone not in {None, "Z"}:
            datetime.datetime.strptime(f"{zone}", "%z")
    except ValueError:
        return None
    if not 1900 <= moment.year <= 2100:
        return None
    if zone and zone != "Z":
        zone = f"{zone[:3]}:{zone[-2:]}"
    return moment.isoformat() + (zone or "")
