"""Questions to a node about itself: asked over its connection, answered by its facts or by why there are none."""

import asyncio
from collections.abc import Callable, Sequence

from orchestrator.service import NodeCheck
from orchestrator.translate import trouble
from remote.errors import UnfitError, UnreachableError
from remote.session import Facts
from remote.transport import Link

Answer = asyncio.Future[NodeCheck]


class Probes:
    """The open questions to one node."""

    def __init__(self, node: str, now: Callable[[], float]) -> None:
        self.connect_s = 0.0  #: how long the last connecting took
        self._node = node
        self._now = now
        self._waiting: list[tuple[Sequence[str], Answer]] = []
        self._asked: dict[int, tuple[float, Answer]] = {}

    def __bool__(self) -> bool:
        return bool(self._waiting or self._asked)

    def add(self, users: Sequence[str]) -> Answer:
        """Keep a question until it can be asked."""
        answer: Answer = asyncio.get_running_loop().create_future()
        self._waiting.append((users, answer))
        return answer

    def ask(self, link: Link) -> bytes:
        """Return the bytes that ask all that waits."""
        data = b""
        for users, answer in self._waiting:
            number = max(self._asked, default=0) + 1
            self._asked[number] = (self._now(), answer)
            data += link.session.probe(number, users)
        self._waiting.clear()
        return data

    def told(self, link: Link, facts: Facts) -> None:
        """Answer a question with what the node said."""
        asked_at, answer = self._asked.pop(facts.n)
        now, hello = self._now(), link.hello
        found = {
            "latency_ms": round((now - asked_at) * 1000, 2),
            "connect_ms": round(self.connect_s * 1000, 1),
            "python": hello.python,
            "python_path": hello.executable,
            "login": hello.user,
            "spool": hello.spool,
            "spool_free": facts.free,
            "clock_offset_s": round(facts.at - (asked_at + now) / 2, 3),
            "can_become": dict(facts.can_become),
            "reason": None,
            "message": None,
        }
        if not answer.done():
            answer.set_result(NodeCheck(node=self._node, reachable=True, facts=found))

    def fail(self, error: UnreachableError | UnfitError) -> None:
        """Answer every question with why there is no answer."""
        answers = [answer for _, answer in (*self._waiting, *self._asked.values())]
        self._waiting.clear()
        self._asked.clear()
        for answer in answers:
            if not answer.done():
                answer.set_result(NodeCheck(node=self._node, reachable=False, facts=trouble(error)))
