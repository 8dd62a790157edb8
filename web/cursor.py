"""Where a viewer of a run is, as the text that SSE carries in `id:` and the browser sends back in `Last-Event-ID`.

```
<event id>~<base64url of varints>        varints: per job (index - index before, stdout bytes, stderr bytes)
```

`<event id>` is the last event of the run that the viewer has (empty: none). Jobs of which nothing was sent are left
out. A varint has 7 bits a byte, the lowest first, the high bit says that more follow (as in Protocol Buffers).
"""

import base64
import binascii
import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from orchestrator.client import Offsets

MAX_CURSOR: Final = 64 << 10  #: characters; about ten thousand nodes
_EVENT_ID: Final = re.compile(r"[0-9A-Za-z.:-]{0,64}")
_MAX_NUMBER: Final = 1 << 53


class CursorError(ValueError):
    """The text is no cursor of that run."""


class Cursor(NamedTuple):
    """What a viewer has."""

    offsets: Offsets  #: job id → stream → bytes
    event: str | None  #: id of the last event


def encode(run: str, cursor: Cursor) -> str:
    """Return a cursor as text. Job ids are those of `run`."""
    body = bytearray()
    before = -1
    for index, streams in sorted((job_index(run, job), streams) for job, streams in cursor.offsets.items()):
        for number in (index - before, streams.get("stdout", 0), streams.get("stderr", 0)):
            _put(body, number)
        before = index
    return f"{cursor.event or ''}~{base64.urlsafe_b64encode(body).decode().rstrip('=')}"


def decode(run: str, text: str) -> Cursor:
    """Return the cursor that `text` is.

    Raises:
        CursorError: it is too long, or not what `encode` makes.
    """
    event, separator, body = text.partition("~")
    if len(text) > MAX_CURSOR or not separator or not _EVENT_ID.fullmatch(event):
        raise CursorError("not a position in this run")
    try:
        numbers = list(_numbers(base64.b64decode(body + "=" * (-len(body) % 4), altchars=b"-_", validate=True)))
    except binascii.Error:
        raise CursorError("not a position in this run") from None
    if len(numbers) % 3:
        raise CursorError("a position that was cut off")
    offsets: Offsets = {}
    index = -1
    for at in range(0, len(numbers), 3):
        step, stdout, stderr = numbers[at : at + 3]
        if step == 0:
            raise CursorError("a position that names a job twice")
        index += step
        offsets[job_id(run, index)] = {"stdout": stdout, "stderr": stderr}
    return Cursor(offsets, event or None)


def job_index(run: str, job: str) -> int:
    """Return a job's place in its run; 0 = the run is that job."""
    return 0 if job == run else int(job.removeprefix(f"{run}-"))


def job_id(run: str, index: int) -> str:
    """Return the id of the job at that place."""
    return f"{run}-{index}" if index else run


def _put(body: bytearray, number: int) -> None:
    while number > 0x7F:
        body.append(number & 0x7F | 0x80)
        number >>= 7
    body.append(number)


def _numbers(body: bytes) -> Iterator[int]:
    number = shift = 0
    for byte in body:
        number |= (byte & 0x7F) << shift
        shift += 7
        if byte & 0x80:
            if shift > 53:
                raise CursorError("a position with a number that is too large")
            continue
        if number > _MAX_NUMBER:
            raise CursorError("a position with a number that is too large")
        yield number
        number = shift = 0
    if shift:
        raise CursorError("a position that was cut off")
