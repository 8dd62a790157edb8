"""Masking: what must not be seen is overwritten in a stream of bytes, byte for byte, so that every offset stays.

A secret is masked as it is and in the forms in which programs like to print it: its lines one by one, URL-encoded,
inside JSON, in base64 (also inside of something longer, such as `user:secret`). Secrets shorter than `MIN_SECRET` are
left alone: masking them would blacken innocent text and so tell what they are. A secret that a job transforms otherwise
(reversed, encrypted, letter by letter) is not found: masking guards against accidents, not against the job's author.

The work is linear in the stream's length. Only patterns may need more, as Python's `re` does: they come from the
site's job types, and `MAX_LINE` bounds what each sees.
"""

import base64
import json
import re
from collections.abc import Iterable, Iterator
from typing import Final
from urllib.parse import quote, quote_plus

MIN_SECRET: Final = 4  #: characters
MASK: Final = b"*"
MAX_LINE: Final = 4096  #: bytes of a line that a pattern sees at once; a longer one is seen in such pieces
MAX_HELD: Final = 65536  #: bytes of secrets that overlap each other; longer chains are shown in parts
_MAX_WRAPPED: Final = 8192  #: characters of a secret whose base64 is also looked for in lines
_WRAPS: Final = (64, 76)  #: characters per line of base64 in PEM and in MIME
_MIN_BASE64: Final = 5  #: characters: fewer would be found by chance


class Redactor:
    """Masks one stream. Two streams need two: each holds back its own unfinished part."""

    def __init__(self, secrets: Iterable[str] = (), patterns: Iterable[str] = ()) -> None:
        """Take what to mask.

        Args:
            secrets: texts; those shorter than `MIN_SECRET` are ignored.
            patterns: regular expressions for bytes, matched within a line; with groups, only the groups are masked.

        Raises:
            ValueError: a pattern is no regular expression.
        """
        self._needles: dict[bytes, int] = {}  # what is looked for → from one find to the next at least
        self._patterns = [_compiled(pattern) for pattern in patterns]
        self._held = b""
        self._covered = 0  # leading bytes of `_held` that are masked for what stood before them
        for secret in secrets:
            self.add(secret)

    def __repr__(self) -> str:
        return f"Redactor({len(self._needles)} texts, {len(self._patterns)} patterns)"

    def add(self, secret: str) -> bool:
        """Mask this, too, in all that has not been returned yet. False = it is too short to be masked."""
        if len(secret) < MIN_SECRET:
            return False
        for form in _forms(secret):
            for needle, step in _needles(form):
                self._needles[needle] = step
        return True

    def feed(self, data: bytes) -> bytes:
        """Take the next bytes; return what can be shown now: earlier bytes and these, masked, less what is held back.

        Held back is what may be the beginning of a secret and, with patterns, a line without its end.
        """
        if not self._needles and not self._patterns:
            return data
        self._held += data
        spans = self._secrets()
        unfinished = min((_unfinished(self._held, needle) for needle in self._needles), default=len(self._held))
        cut = self._fresh_start(unfinished, spans)
        if unfinished - cut > MAX_HELD:  # secrets that overlap for ever
            cut = unfinished
        return self._release(cut, spans)

    def flush(self) -> bytes:
        """Return what is held back, masked: the stream has ended, or somebody has waited long enough."""
        return self._release(len(self._held), self._secrets())

    def mask(self, text: str) -> str:
        """Return a text that is no part of the stream (a message, a title) masked."""
        whole = Redactor()
        whole._needles, whole._patterns = self._needles, self._patterns
        return (whole.feed(text.encode("utf-8", "surrogatepass")) + whole.flush()).decode("utf-8", "replace")

    def _secrets(self) -> list[tuple[int, int]]:
        """Return where secrets stand in what is held, from and to, in order, those that touch as one."""
        found = [(0, self._covered)] if self._covered else []
        for needle, step in self._needles.items():
            at = self._held.find(needle)
            while at >= 0:
                found.append((at, at + len(needle)))
                at = self._held.find(needle, at + step)
        return _merged(found)

    def _fresh_start(self, cut: int, spans: list[tuple[int, int]]) -> int:
        """Return the last place up to `cut` where a stream could begin and be masked in the same way."""
        bounds = [0, *_line_ends(self._held)] if self._patterns else None
        while True:
            before = cut
            if bounds is not None:
                cut = max(bound for bound in bounds if bound <= cut)
            cut = next((start for start, end in spans if start < cut < end), cut)
            if cut == before:
                return cut

    def _release(self, cut: int, spans: list[tuple[int, int]]) -> bytes:
        data, self._held = self._held[:cut], self._held[cut:]
        self._covered = max((end - cut for start, end in spans if start < cut < end), default=0)
        found = [(start, min(end, cut)) for start, end in spans if start < cut]
        begin = 0
        for end in (*_line_ends(data), len(data)) if self._patterns else ():
            for pattern in self._patterns:
                found += (span for match in pattern.finditer(data, begin, end) for span in _spans(match))
            begin = end
        return _overwritten(data, _merged(found))


def _compiled(pattern: str) -> re.Pattern[bytes]:
    try:
        return re.compile(pattern.encode())
    except re.error as error:
        raise ValueError(f"{pattern!r} is no regular expression: {error}") from None


def _spans(match: re.Match[bytes]) -> list[tuple[int, int]]:
    groups = range(1, match.re.groups + 1) if match.re.groups else (0,)
    return [match.span(group) for group in groups if match.start(group) >= 0]


def _merged(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def _overwritten(data: bytes, spans: list[tuple[int, int]]) -> bytes:
    if not spans:
        return data
    masked = bytearray(data)
    for start, end in spans:
        masked[start:end] = MASK * (end - start)
    return bytes(masked)


def _line_ends(data: bytes) -> Iterator[int]:
    """Yield where lines end, their ends included; a line that is too long ends after each `MAX_LINE` bytes."""
    begin = 0
    for match in re.finditer(rb"[\r\n]", data):
        while match.end() - begin > MAX_LINE:
            begin += MAX_LINE
            yield begin
        begin = match.end()
        yield begin
    while len(data) - begin >= MAX_LINE:
        begin += MAX_LINE
        yield begin


def _unfinished(data: bytes, needle: bytes) -> int:
    """Return where the longest end of `data` begins that `needle` begins with, but is longer; the length if none."""
    first = max(0, len(data) - len(needle) + 1)
    at = data.find(needle[:MIN_SECRET], first)
    while at >= 0:
        if needle.startswith(data[at:]):
            return at
        at = data.find(needle[:MIN_SECRET], at + 1)
    short = range(max(first, len(data) - MIN_SECRET + 1), len(data))
    return next((at for at in short if needle.startswith(data[at:])), len(data))


def _needles(form: bytes) -> Iterator[tuple[bytes, int]]:
    """Yield what to look for to mask every `form`, and by how many bytes two finds are apart at least.

    What repeats itself (`aaaaaaaa`) would be found at every byte. Its first and last two rounds are looked for
    instead, which mask it and no less, and keep the work linear.
    """
    period = _period(form)
    if 2 * period >= len(form):
        yield form, period
        return
    length = max(2 * period, MIN_SECRET)
    for part in {form[:length], form[-length:]}:
        yield part, period


def _period(form: bytes) -> int:
    """Return the smallest n > 0 such that `form` moved by n bytes fits itself (Knuth, Morris, Pratt)."""
    borders = [0] * len(form)
    border = 0
    for index in range(1, len(form)):
        while border and form[index] != form[border]:
            border = borders[border - 1]
        border += form[index] == form[border]
        borders[index] = border
    return len(form) - border


def _forms(secret: str) -> set[bytes]:
    """Return the ways in which a secret may be written."""
    texts = {secret, *(line.strip() for line in secret.splitlines())}
    texts = {text for text in texts if len(text) >= MIN_SECRET}
    written: set[str] = set()
    for text in texts:
        plain = text.encode("utf-8", "surrogatepass")
        for encoded in (quote(plain, safe=""), quote(plain), quote_plus(plain)):
            written |= {encoded, re.sub("%..", lambda code: code[0].lower(), encoded)}
        for ascii_only in (True, False):
            written.add(json.dumps(text, ensure_ascii=ascii_only)[1:-1])
    forms = {text.encode("utf-8", "surrogatepass") for text in texts | written}
    for text in texts:
        forms |= _base64_forms(text.encode("utf-8", "surrogatepass"))
    return forms


def _base64_forms(plain: bytes) -> set[bytes]:
    forms: set[bytes] = set()
    for before in range(3):  # bytes of something else in the first group of three
        encoded = base64.b64encode(bytes(before) + plain).rstrip(b"=")
        first = -(-before * 8 // 6)  # the first character that `plain` alone decides
        forms |= {encoded[first:], encoded[first : (before + len(plain)) * 8 // 6]}  # at the end, and inside
    whole = base64.b64encode(plain).rstrip(b"=")
    forms.add(whole)
    if len(plain) <= _MAX_WRAPPED:
        forms |= {whole[at : at + width] for width in _WRAPS for at in range(0, len(whole), width)}
    forms |= {form.translate(bytes.maketrans(b"+/", b"-_")) for form in forms}
    return {form for form in forms if len(form) >= _MIN_BASE64}
