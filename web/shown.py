"""Text of nodes and jobs made safe to look at: terminal sequences removed, hidden characters made visible.

`static/text.js` does the same in the browser. HTML is escaped by the template, not here.
"""

import re
from typing import Final

_SEQUENCES: Final = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # CSI: colours, cursor
    r"|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)"  # OSC: titles, links
    r"|\x1b[()][0-9A-Za-z]"  # character sets
)
_HIDDEN: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")


def shown(text: str) -> str:
    """Return `text` with every control, zero-width and direction character in a visible form."""
    return _HIDDEN.sub(_visible, text)


def last_lines(data: bytes, count: int) -> list[str]:
    """Return the last lines of output as plain text; of a line that was overwritten with CR, its last state."""
    text = _SEQUENCES.sub("", data.decode(errors="replace"))
    lines = text.removesuffix("\n").split("\n")[-count:] if text else []
    return [shown(line.rstrip("\r").rpartition("\r")[2]) for line in lines]


def _visible(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code < 0x20:
        return chr(0x2400 + code)
    return "\u2421" if code == 0x7F else f"⟨U+{code:04X}⟩"
