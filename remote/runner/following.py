"""The tokens that one connection follows: whose turn it is, whose bell rang, who was not heard of for long."""

import collections
import itertools
import os
import select
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Dict

    from .outbox import Outbox
    from .spool import Spool
    from .tail import Tail

LOOK_S = 0.5  # between two looks for what no bell has told
LOOK_AT = 128  # tokens of one look: with thousands a look would hold everything up


class Following:
    """All tails of a connection."""

    def __init__(self, spool: "Spool", outbox: "Outbox", poll: "select.poll") -> None:
        """Take the spool, what leads to the controller, and the poll that watches the bells."""
        self._spool = spool
        self._outbox = outbox
        self._poll = poll
        self._tails: "collections.OrderedDict[str, Tail]" = collections.OrderedDict()
        self._bells: "Dict[int, Tail]" = {}
        self._ready: "collections.OrderedDict[str, Tail]" = collections.OrderedDict()
        self._next_look = 0.0

    def has(self, token: str) -> bool:
        """Tell whether the token is followed."""
        return token in self._tails

    def add(self, tail: "Tail") -> None:
        """Follow a token."""
        self._tails[tail.entry.token] = self._bells[tail.bell] = tail
        self._poll.register(tail.bell, select.POLLIN)
        self._mark(tail)

    def leave(self, token: str) -> None:
        """Follow a token no longer, if it is followed."""
        tail = self._tails.pop(token, None)
        if tail is not None:
            self._ready.pop(token, None)
            self._poll.unregister(tail.bell)
            del self._bells[tail.bell]
            tail.close()

    def hear(self, bell: int) -> None:
        """Take notice of a descriptor that can be read."""
        if bell in self._bells:
            self._bells[bell].hear()
            self._mark(self._bells[bell])

    def patience(self) -> int:
        """Return how many milliseconds nothing but a descriptor need wake us; -1 is for ever."""
        if self._ready and self._outbox.is_room:
            return 0
        if not self._tails:
            return -1
        return max(0, int((self._next_look - time.monotonic()) * 1000) + 1)

    def advance(self) -> None:
        """Let every token that has something to say send one chunk after the other, in turn."""
        while self._ready and self._outbox.is_room:
            token, tail = self._ready.popitem(last=False)
            try:
                if tail.advance(self._outbox):
                    self._mark(tail)
                elif tail.is_done:
                    self.leave(token)
            except OSError as error:
                self._lose(token, error)

    def look(self) -> None:
        """Look at some tokens without a bell: one may have been lost, and a killed supervisor rings none."""
        if not self._tails or time.monotonic() < self._next_look:
            return
        self._next_look = time.monotonic() + LOOK_S
        lock = self._spool.lock()
        try:
            for tail in list(itertools.islice(self._tails.values(), LOOK_AT)):
                self._tails.move_to_end(tail.entry.token)
                self._judge(tail)
        finally:
            os.close(lock)

    def _judge(self, tail: "Tail") -> None:
        try:
            tail.judge()
        except OSError as error:
            self._lose(tail.entry.token, error)
        else:
            self._mark(tail)

    def _mark(self, tail: "Tail") -> None:
        self._ready[tail.entry.token] = tail

    def _lose(self, token: str, error: OSError) -> None:
        """Follow a token no longer: its files cannot be read, or another connection has had them removed."""
        self._outbox.fault("its spool entry cannot be read any more: %s" % error, token)
        self.leave(token)
