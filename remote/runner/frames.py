"""The frames between controller and node, used by both ends (and, with larger limits, on the daemon's local socket).

```
 0               4       6              6+H                L+4
 +---------------+-------+---------------+------------------+
 | length L      | H     | header (JSON) | payload (bytes)  |
 | u32, big end. | u16   | H bytes       | L-2-H bytes      |
 +---------------+-------+---------------+------------------+
```

The other end is hostile input: every limit is checked before a byte is buffered, the JSON is strict, and the work is
linear in the number of bytes however they are cut. `docs/reference/node-protocol.md` is the specification.
"""

import collections
import json
import struct

TYPE_CHECKING = False  # as typing.TYPE_CHECKING, without the 3 ms that importing typing costs on a node
if TYPE_CHECKING:
    from typing import Any, Dict, List, NamedTuple, Optional, Tuple, Union

MAX_HEADER = 16384  # bytes of JSON: a start with 100 long arguments fits, a flood of keys does not
MAX_FRAME = 262144  # L: one SSH window's worth of pieces; bounds what a decoder holds
MAX_DEPTH = 8
MAX_INTEGER = 2**53  # beyond it other readers of JSON lose digits

_PREFIX = struct.Struct(">IH")

if TYPE_CHECKING:

    class Frame(NamedTuple):
        """One protocol message."""

        header: "Dict[str, Any]"
        payload: bytes

else:
    Frame = collections.namedtuple("Frame", ["header", "payload"])
    Frame.__doc__ = "One protocol message: `header` has the string key `t`; `payload` is bytes, b'' when there is none."


class FrameError(ValueError):
    """The bytes are not frames, or a frame breaks a limit. The connection is of no more use."""


def encode(
    header: "Dict[str, Any]", payload: bytes = b"", max_header: int = MAX_HEADER, max_frame: int = MAX_FRAME
) -> bytes:
    """Return the bytes of one frame.

    Raises:
        FrameError: the header is no strict JSON, or the frame is larger than the limits (bytes) allow.
    """
    try:
        text = _to_json(header).encode("utf-8")
    except (ValueError, TypeError, RecursionError) as error:
        raise FrameError("a header cannot be written as JSON: %s" % error) from None
    length = 2 + len(text) + len(payload)
    _check_sizes(length, len(text), max_header, max_frame)
    return b"".join((_PREFIX.pack(length, len(text)), text, payload))


class Decoder:
    """Turns bytes, cut anywhere, into frames. After a `FrameError` every further `feed` raises it again."""

    def __init__(self, max_header: int = MAX_HEADER, max_frame: int = MAX_FRAME) -> None:
        """Take the limits: `max_header` bytes of JSON, `max_frame` bytes after the length field."""
        self._max_header = max_header
        self._max_frame = max_frame
        self._partial = bytearray()  # never more than one frame
        self._error: "Optional[FrameError]" = None

    def feed(self, data: bytes) -> "List[Frame]":
        """Take the next bytes; return the frames that they complete, in order.

        Raises:
            FrameError: at the first byte that breaks the format.
        """
        if self._error is not None:
            raise self._error
        try:
            return self._decode(memoryview(data))
        except FrameError as error:
            self._partial = bytearray()
            self._error = error
            raise

    def _decode(self, data: "memoryview") -> "List[Frame]":
        frames: "List[Frame]" = []
        at = 0
        if self._partial:
            at = self._complete(data, frames)
        while len(data) - at >= _PREFIX.size:
            length, header_size = self._sizes(data, at)
            end = at + 4 + length
            if end > len(data):
                break
            frames.append(_frame(data[at:end], header_size))
            at = end
        if at < len(data):
            self._partial += data[at:]
        return frames

    def _complete(self, data: "memoryview", frames: "List[Frame]") -> int:
        """Fill up the frame that began in earlier bytes; return how many bytes of `data` it took."""
        at = 0
        missing = _PREFIX.size - len(self._partial)
        if missing > 0:
            self._partial += data[:missing]
            at = min(missing, len(data))
            if len(self._partial) < _PREFIX.size:
                return at
        length, header_size = self._sizes(self._partial, 0)
        missing = 4 + length - len(self._partial)
        self._partial += data[at : at + missing]
        if len(data) - at >= missing:
            whole, self._partial = self._partial, bytearray()
            frames.append(_frame(memoryview(whole), header_size))
        return min(at + missing, len(data))

    def _sizes(self, data: "Union[bytearray, memoryview]", at: int) -> "Tuple[int, int]":
        length, header_size = _PREFIX.unpack_from(data, at)
        _check_sizes(length, header_size, self._max_header, self._max_frame)
        return length, header_size


def _check_sizes(length: int, header_size: int, max_header: int, max_frame: int) -> None:
    max_header = min(max_header, 0xFFFF)  # what the field H can say
    if header_size > max_header:
        raise FrameError("a header of %d bytes is larger than %d" % (header_size, max_header))
    if length > max_frame:
        raise FrameError("a frame of %d bytes is larger than %d" % (length, max_frame))
    if length < 2 + header_size:
        raise FrameError("a frame of %d bytes cannot hold a header of %d" % (length, header_size))


def _frame(data: "memoryview", header_size: int) -> "Frame":
    start = _PREFIX.size
    return Frame(_header(bytes(data[start : start + header_size])), bytes(data[start + header_size :]))


def _header(text: bytes) -> "Dict[str, Any]":
    try:
        header = _from_json(text.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise FrameError("a header is not strict JSON: %s" % error) from None
    if not isinstance(header, dict) or not isinstance(header.get("t"), str):
        raise FrameError("a header is not an object with the string key 't'")
    if text.count(b"{") + text.count(b"[") > MAX_DEPTH:
        _check_depth(header, 1)
    if b"\\u" in text:
        _refuse_lone_surrogates(header)
    return header


def _check_depth(value: "Any", depth: int) -> None:
    if not isinstance(value, (dict, list)):
        return
    if depth > MAX_DEPTH:
        raise FrameError("a header is nested deeper than %d" % MAX_DEPTH)
    for member in value.values() if isinstance(value, dict) else value:
        _check_depth(member, depth + 1)


def _refuse_lone_surrogates(header: "Dict[str, Any]") -> None:
    try:
        _to_json(header).encode("utf-8")
    except UnicodeEncodeError:
        raise FrameError("a header holds a lone surrogate") from None


def _object(pairs: "List[Tuple[str, Any]]") -> "Dict[str, Any]":
    members = dict(pairs)
    if len(members) != len(pairs):
        raise FrameError("a header repeats a key")
    return members


def _integer(digits: str) -> int:
    if len(digits) > 17 or abs(int(digits)) > MAX_INTEGER:
        raise FrameError("a header holds an integer beyond 2^53")
    return int(digits)


def _float(digits: str) -> float:
    value = float(digits)
    if value in (float("inf"), float("-inf")):
        raise FrameError("a header holds a number that no float can hold")
    return value


def _constant(name: str) -> float:
    raise FrameError("a header holds %s" % name)


_to_json = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode
_from_json = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_integer, parse_float=_float, parse_constant=_constant
).decode
