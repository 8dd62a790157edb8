r"""The controller's half of getting the runner onto a node, without I/O: what the login shell and the first stage say.

```
 noise of the login shell │ \0AJ1 - became\n                          │ and only then one of these:
                          │ \0AJ1 NONCE have|need VERSION EXECUTABLE\n │ [bundle goes out] │ frames
                          │ \0AJ1 NONCE unfit REASON DETAIL\n          │ or again `unfit`  │
                          │ \0AJ1 - nopython\n
```

A frame begins with two bytes that are never those of the marker, because its length is below 2^22, so what follows the
answer is told apart without waiting for more.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from remote.errors import ProtocolError, Unfit

MAX_NOISE: Final = 64 << 10  #: bytes before the marker: a long motd fits, a script that floods does not
_MAX_ANSWER: Final = 4096  #: bytes of the marker's line
_MARK: Final = b"\0AJ1 "
_BECAME: Final = _MARK + b"- became\n"
_SHOWN: Final = 200  #: characters of what a shell printed that are shown in a message


class Need(NamedTuple):
    """The node has an interpreter and wants the bundle."""

    python: str  #: version
    executable: str


class Have(NamedTuple):
    """The node has the runner already and starts it."""

    python: str
    executable: str


class Became(NamedTuple):
    """The other user's rights were given; what answers from here on has them."""


class Impossible(NamedTuple):
    """The runner cannot work there."""

    reason: Unfit
    detail: str  #: what the node said


class Ready(NamedTuple):
    """The runner talks. `data` are its first bytes: frames."""

    data: bytes


Answer = Became | Need | Have | Impossible | Ready


class Bootstrap:
    """Reads one node's answer.

    Args:
        nonce: what the first stage was given for this connection (32 hex digits).
        becomes: another user's rights are taken first; no answer counts before the word that they were given.
    """

    def __init__(self, nonce: str, *, becomes: bool = False) -> None:
        self._becomes = becomes
        self._mark = _MARK + nonce.encode() + b" "
        self._buffer = bytearray()
        self._answered = False
        self._noise = 0  #: bytes of noise that are gone from the buffer
        self._stderr = (b"", 0)
        self._beginning = bytearray()  #: of the noise, for the message

    def feed(self, data: bytes) -> list[Answer]:
        """Take bytes from standard output and return what they say; after `Ready` or `Impossible` no more is taken.

        Raises:
            ProtocolError: for an answer that no first stage gives.
        """
        self._buffer += data
        answers: list[Answer] = []
        if self._becomes and self._takes_away(_BECAME):
            self._becomes = False
            answers.append(Became())
        if not self._answered:
            line = self._line()
            if line is None:
                return [*answers, *([self._too_noisy()] if self._is_too_noisy() else [])]
            answers.append(_read(line, self._mark))
            self._answered = True
        if not isinstance(answers[-1] if answers else None, Impossible):
            answers += self._after()
        return answers

    def note_stderr(self, beginning: bytes, count: int) -> list[Answer]:
        """Take notice of standard error: noise, and what a shell says when it cannot do as it was told.

        Args:
            beginning: of all that was printed there.
            count: bytes that were printed there.
        """
        self._stderr = (beginning, count)
        return [self._too_noisy()] if self._is_too_noisy() and not self._answered else []

    def end(self) -> Impossible:
        """Say what it means that the output has ended before the runner talked."""
        if self._answered:
            return Impossible(Unfit.BUNDLE, self._said() or "it ended without a word")
        self._note(bytes(self._buffer))
        return Impossible(Unfit.NO_SHELL, self._said() or "it printed nothing")

    @property
    def noise(self) -> bytes:
        """The beginning of what was printed before the answer."""
        return bytes(self._beginning)

    def _line(self) -> bytes | None:
        """Take the noise away, and return the marker's line once it is whole."""
        while True:
            start = self._buffer.find(_MARK)
            if start < 0:
                self._drop(max(0, len(self._buffer) - len(_MARK) + 1))
                return None
            self._drop(start)
            end = self._buffer.find(b"\n", 0, _MAX_ANSWER)
            if end < 0 and len(self._buffer) < _MAX_ANSWER:
                return None
            line = bytes(self._buffer[:end]) if end >= 0 else b""
            is_answer = line.startswith(self._mark) or line == _MARK + b"- nopython"
            if is_answer and not self._becomes:
                del self._buffer[: end + 1]
                return line
            self._drop(len(_MARK))  # the marker of another connection: noise

    def _takes_away(self, word: bytes) -> bool:
        """Tell whether a word has come, and take it away with what stood before it."""
        start = self._buffer.find(word)
        if start < 0:
            return False
        self._drop(start)
        del self._buffer[: len(word)]
        return True

    def _after(self) -> list[Answer]:
        """Tell frames from a second answer."""
        if len(self._buffer) < 2 or (self._buffer[:2] == _MARK[:2] and b"\n" not in self._buffer[:_MAX_ANSWER]):
            return []
        if self._buffer[:2] != _MARK[:2]:
            return [Ready(bytes(self._buffer))]
        line = bytes(self._buffer[: self._buffer.index(b"\n")])
        answer = _read(line, self._mark) if line.startswith(self._mark) else None
        if not isinstance(answer, Impossible):
            raise ProtocolError(f"the first stage answered twice: {printed(line)}")
        return [answer]

    def _drop(self, count: int) -> None:
        self._note(bytes(self._buffer[:count]))
        del self._buffer[:count]

    def _note(self, noise: bytes) -> None:
        self._noise += len(noise)
        self._beginning += noise[: _SHOWN * 4 - len(self._beginning)] if len(self._beginning) < _SHOWN * 4 else b""

    def _is_too_noisy(self) -> bool:
        return self._noise + self._stderr[1] > MAX_NOISE

    def _too_noisy(self) -> Impossible:
        return Impossible(Unfit.NOISY_SHELL, self._said())

    def _said(self) -> str:
        return printed(bytes(self._beginning)) or printed(self._stderr[0])


def _read(line: bytes, mark: bytes) -> Answer:
    if not line.startswith(mark):
        return Impossible(Unfit.NO_PYTHON, "")
    word, _, rest = line[len(mark) :].decode("utf-8", "replace").partition(" ")
    first, _, second = rest.partition(" ")
    if word == "need":
        return Need(first, second)
    if word == "have":
        return Have(first, second)
    if word == "unfit" and first in set(Unfit):
        return Impossible(Unfit(first), printed(second.encode()))
    raise ProtocolError(f"unknown answer of the first stage: {printed(line)}")


def printed(data: bytes) -> str:
    """Return the beginning of what a node printed, harmless in a terminal and on one line."""
    text = data[: _SHOWN * 4].decode("utf-8", "replace").strip()[:_SHOWN]
    return "".join(char if char.isprintable() else " " for char in text).strip()


def explain(answer: Impossible, where: str, pythons: Sequence[str]) -> str:
    """Return the message for people: what, where, and the way out.

    Args:
        answer: what the node said.
        where: the login, for example `root@10.0.0.1`.
        pythons: the interpreters that were looked for.
    """
    texts = {
        Unfit.NO_PYTHON: "{where} has none of {pythons}. Install python3 (3.6 or newer) there, or set `python` of the "
        "node to its path",
        Unfit.PYTHON_TOO_OLD: "{where} has only {detail}; 3.6 or newer is needed. Install python3 there, or set "
        "`python` of the node to the path of a newer one",
        Unfit.NOISY_SHELL: "the login shell of {where} prints more than {limit} KiB before it runs a command, "
        "beginning with: {detail} -- Make its start-up files silent when they are not interactive",
        Unfit.NO_SHELL: "the login shell of {where} did not run the command; it said: {detail} -- Give the "
        "user a shell that runs commands",
        Unfit.BECOME_FAILED: "{where} cannot become another user: {detail}",
        Unfit.SPOOL_UNSAFE: "the spool directory on {where} is not safe: {detail}",
        Unfit.DISK_FULL: "there is no space for the spool on {where}: {detail}",
        Unfit.BUNDLE: "the runner could not be started on {where}: {detail}",
    }
    return texts[answer.reason].format(
        where=where, pythons=", ".join(pythons), detail=answer.detail, limit=MAX_NOISE >> 10
    )
