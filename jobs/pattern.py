r"""Patterns that values must match as a whole, in time that grows with their length and no faster.

Python's `re` tries again and again, so a small pattern (`(a+)+$`) and a long value can hold a daemon for hours. Here a
pattern becomes an automaton that looks at each character of a value once. It knows the part of regular expressions that
Python, JavaScript and JSON Schema write alike:

    literals   .   [a-z]   [^a-z]   \d \D \w \W \s \S   \t \n \r   \x41 \u0041   (...)   (?:...)   a|b
    *   +   ?   {2}   {2,}   {2,5}   and a ? behind each of these, which changes nothing

`\d`, `\w` and `\s` are those of ASCII; `.` is all but a line feed. A pattern always matches the whole value: `^` at
its beginning and `$` at its end may be written. What would need going back (`\1`, `(?=`, `\b`) is refused.
"""

from typing import Final

from jobs.patterntext import MAX_STATES, Node, PatternError, Ranges, parse, weight, written

__all__ = ["Pattern", "PatternError"]

_MAX_MEMORY: Final = 4096  #: steps that are remembered; a longer memory saves no more time


class Pattern:
    """A pattern that was read; `portable` is the same one as JSON Schema and browsers understand it, with anchors.

    Raises:
        PatternError: What is wrong with the text, and where.
    """

    def __init__(self, text: str) -> None:
        tree = parse(text)
        if weight(tree) > MAX_STATES:
            raise PatternError(f"repeats too much: more than {MAX_STATES} characters when its repeats are written out")
        self.text = text
        self.portable = f"^(?:{written(tree)})$"
        self._jumps: list[list[int]] = [[]]
        self._steps: list[list[tuple[Ranges, int]]] = [[]]
        self._end = self._add(tree, 0)
        self._memory: dict[tuple[frozenset[int], str], frozenset[int]] = {}

    def matches(self, value: str) -> bool:
        """Whether the whole of a value fits."""
        now = self._reachable([0])
        for character in value:
            now = self._next(now, character)
            if not now:
                return False
        return self._end in now

    def _next(self, now: frozenset[int], character: str) -> frozenset[int]:
        known = self._memory.get((now, character))
        if known is not None:
            return known
        code = ord(character)
        reached = self._reachable(
            [
                target
                for state in now
                for ranges, target in self._steps[state]
                if any(low <= code <= high for low, high in ranges)
            ]
        )
        if len(self._memory) < _MAX_MEMORY:
            self._memory[now, character] = reached
        return reached

    def _reachable(self, states: list[int]) -> frozenset[int]:
        """Add the states that are reached without a character."""
        found = set(states)
        while states:
            for state in self._jumps[states.pop()]:
                if state not in found:
                    found.add(state)
                    states.append(state)
        return frozenset(found)

    def _state(self) -> int:
        self._jumps.append([])
        self._steps.append([])
        return len(self._jumps) - 1

    def _add(self, node: Node, start: int) -> int:
        """Add the states of a part that begins at `start`; give the state at its end."""
        if node.kind == "set":
            end = self._state()
            self._steps[start].append((node.ranges, end))
            return end
        if node.kind == "all":
            for part in node.parts:
                start = self._add(part, start)
            return start
        if node.kind == "any":
            end = self._state()
            for part in node.parts:
                first = self._state()
                self._jumps[start].append(first)
                self._jumps[self._add(part, first)].append(end)
            return end
        return self._add_repeat(node, start)

    def _add_repeat(self, node: Node, start: int) -> int:
        (part,) = node.parts
        for _ in range(node.low):
            start = self._add(part, start)
        end = self._state()
        self._jumps[start].append(end)
        if node.high is None:
            self._jumps[self._add(part, end)].append(end)
            return end
        for _ in range(node.high - node.low):
            start = self._add(part, start)
            self._jumps[start].append(end)
        return end
