"""Who may look: a link with a one-time token, and the server-side sessions that it is exchanged for.

Sessions live in this process and end with it. The browser holds a random id and nothing else; here only the id's hash
is kept. Used from the event loop and from Flask's threads, so every method takes the lock.
"""

import hashlib
import hmac
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

IDLE_S: Final = 12 * 3600.0  #: a session that asks for nothing for so long is over
LIFETIME_S: Final = 7 * 24 * 3600.0  #: and every session is over after so long
MAX_STREAMS: Final = 16  #: live streams that one session may hold open
_MAX_SESSIONS: Final = 64
_MIN_TOKEN: Final = 32  # characters; token_urlsafe(32) has 43


@dataclass(slots=True, kw_only=True)
class Session:
    """One signed-in browser. `created` and `seen` are seconds of the store's clock."""

    created: float
    seen: float
    csrf: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    streams: int = 0  #: live streams that are open now


class Sessions:
    """The one-time token of this server and the sessions that were made of it.

    Args:
        token: what the link carries; None = a new random one of 256 bits.
        clock: seconds, for the limits.

    Raises:
        ValueError: the token could be guessed.
    """

    def __init__(self, token: str | None = None, *, clock: Callable[[], float] = time.time) -> None:
        if token is not None and len(token) < _MIN_TOKEN:
            raise ValueError(f"the sign-in token has {len(token)} characters; it needs at least {_MIN_TOKEN}")
        self.token = token or secrets.token_urlsafe(32)
        self._unused = True
        self._clock = clock
        self._lock = threading.Lock()
        self._sessions: dict[str, Session] = {}

    def exchange(self, token: str) -> str | None:
        """Return a new session's id for the token, once; None if it is wrong or was used before."""
        right = hmac.compare_digest(_hash(token), _hash(self.token))
        with self._lock:
            if not (right and self._unused):
                return None
            self._unused = False
            return self._open()

    def find(self, session_id: str | None, *, touch: bool = True) -> Session | None:
        """Return the session of that id unless it is over; `touch` = this is a person's request, so it is not idle."""
        if not session_id:
            return None
        now = self._clock()
        with self._lock:
            session = self._sessions.get(_hash(session_id))
            if session is None:
                return None
            if now - session.seen > IDLE_S or now - session.created > LIFETIME_S:
                del self._sessions[_hash(session_id)]
                return None
            if touch:
                session.seen = now
            return session

    def end(self, session_id: str | None) -> None:
        """Forget a session; its open streams end at their next check."""
        with self._lock:
            self._sessions.pop(_hash(session_id or ""), None)

    def enter_stream(self, session: Session) -> bool:
        """Count one more live stream; False if the session has as many as it may have."""
        with self._lock:
            if session.streams >= MAX_STREAMS:
                return False
            session.streams += 1
            return True

    def leave_stream(self, session: Session) -> None:
        """Count one live stream less."""
        with self._lock:
            session.streams -= 1

    def _open(self) -> str:
        now = self._clock()
        session_id = secrets.token_urlsafe(32)
        while len(self._sessions) >= _MAX_SESSIONS:
            del self._sessions[min(self._sessions, key=lambda known: self._sessions[known].seen)]
        self._sessions[_hash(session_id)] = Session(created=now, seen=now)
        return session_id


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()
