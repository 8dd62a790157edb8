r"""What a node prints is hostile input: nothing of it may command the terminal of the person who looks.

Works on chunks of bytes as they come, so that a sequence cut anywhere is still seen whole. Text without anything odd
costs one pass of `bytes.translate`.

What becomes of what: CR LF and a lone CR end a line; TAB and LF stay; other C0 characters and DEL are written as `^X`;
C1 characters, bidirectional overrides and bytes that are not UTF-8 as `\x9b` or `\u202e`; colours (SGR, ECMA-48 section
8.3.117) pass where they are wanted and are taken out where not.
"""

import codecs
import re
from typing import Final

RESET: Final = b"\x1b[0m"
_HARMLESS: Final = bytes([0x09, 0x0A, *range(0x20, 0x7F)])
_HANDLED: Final = frozenset({0x0D, 0x1B, *range(0x80, 0x100)})  # line ends, colours, text
_SGR: Final = re.compile(rb"\x1b\[[0-9;:]{0,64}m")
_UNFINISHED: Final = re.compile(rb"(?:\r|\x1b(?:\[[0-9;:]{0,64})?)\Z")
_COMMAND: Final = re.compile(rb"\x1b(?!\[[0-9;:]{0,64}m)")
_UNSEEN: Final = "\x80-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069"
_ODD: Final = re.compile(f"[{_UNSEEN}\udc80-\udcff]")
_ODD_OR_CONTROL: Final = re.compile(f"[\x00-\x1f\x7f{_UNSEEN}\ud800-\udfff]")
_WRITTEN_OUT: Final = {
    **{0xDC00 + byte: f"\\x{byte:02x}" for byte in range(0x80, 0x100)},  # PEP 383: a byte that is not UTF-8
    **{ord(char): char.encode("unicode_escape").decode() for char in map(chr, range(0x3000)) if _ODD.match(char)},
}


class Neutraliser:
    """One stream's bytes made safe to print, chunk after chunk."""

    def __init__(self, *, colour: bool) -> None:
        self._colour = colour
        self._held = b""
        self._tinted = False  # a colour was begun in the line that is not ended yet
        self._decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")

    def feed(self, data: bytes, *, final: bool = False) -> bytes:
        """Return what may be printed now; the beginning of a sequence that is still to come is kept back."""
        if self._held:
            data, self._held = self._held + data, b""
        if not final and (cut := _UNFINISHED.search(data, max(0, len(data) - 80))):
            data, self._held = data[: cut.start()], data[cut.start() :]
        if data.isascii() and not self._decoder.getstate()[0]:
            return data if not self._tinted and not data.translate(None, _HARMLESS) else self._controls(data)
        text = self._decoder.decode(data, final)
        # The search costs a tenth of the translation, and ordinary text needs no more than the search.
        return self._controls((text.translate(_WRITTEN_OUT) if _ODD.search(text) else text).encode())

    def finish(self) -> bytes:
        """Return what was kept back, and the end of a colour that is still on."""
        rest = self.feed(b"", final=True)
        return rest + RESET if self._tinted else rest

    def _controls(self, data: bytes) -> bytes:
        odd = data.translate(None, _HARMLESS)
        if b"\r" in odd:
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        for control in set(odd) - _HANDLED:
            data = data.replace(bytes([control]), bytes([ord("^"), control ^ 0x40]))
        if b"\x1b" in odd:
            data = _COMMAND.sub(rb"^[", data)
        return self._tint(data) if self._colour else _SGR.sub(b"", data)

    def _tint(self, data: bytes) -> bytes:
        """End every colour with its line: the next line is another node's."""
        if not self._tinted and b"\x1b" not in data:
            return data
        end = data.rfind(b"\n")
        self._tinted = b"\x1b" in data[end + 1 :] or (self._tinted and end < 0)
        return data.replace(b"\n", RESET + b"\n")


def plain(text: str) -> str:
    """Return a text of a node (a message, a name) as one line that commands nothing."""
    return _ODD_OR_CONTROL.sub(_shown, text)


def _shown(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode("ascii")
