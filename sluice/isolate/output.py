"""What Workers print: kept a while for those who ask, passed on to those who follow."""

from __future__ import annotations

import asyncio
import sys
import time
from collections import OrderedDict, deque
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass

KEPT_LINES = 500
"""Most lines of a Worker that are kept."""

KEPT_BYTES = 128 * 1024
"""Most memory that the text of a Worker's lines takes. A line has at most a quarter of it."""

_KEPT_WORKERS = 1000
_QUEUE = 1000


@dataclass(frozen=True, slots=True)
class Line:
    """One line that a Worker printed."""

    time: float
    digest: str
    text: str


class Kept:
    """The last lines of one Worker."""

    def __init__(self) -> None:
        self._lines: deque[Line] = deque()
        self._bytes = 0

    def add(self, line: Line) -> None:
        """Keep one more, in the place of those that there is no room for."""
        self._lines.append(line)
        self._bytes += sys.getsizeof(line.text)
        while len(self._lines) > KEPT_LINES or self._bytes > KEPT_BYTES:
            self._bytes -= sys.getsizeof(self._lines.popleft().text)

    def lines(self) -> tuple[Line, ...]:
        """All, the oldest first."""
        return tuple(self._lines)


class Output:
    """The last lines of each Worker, by `(namespace, name)`."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, str], Kept] = OrderedDict()
        self._followers: dict[tuple[str, str], set[asyncio.Queue[Line]]] = {}

    def add(self, worker: tuple[str, str], digest: str, text: str) -> None:
        """Keep a line, and pass it on. A follower that does not keep up misses lines."""
        line = Line(time.time(), digest, text)
        self._kept.setdefault(worker, Kept()).add(line)
        self._kept.move_to_end(worker)
        if len(self._kept) > _KEPT_WORKERS:
            self._kept.popitem(last=False)
        for queue in self._followers.get(worker, ()):
            with suppress(asyncio.QueueFull):
                queue.put_nowait(line)

    async def follow(self, worker: tuple[str, str], *, forever: bool) -> AsyncIterator[Line]:
        """The lines at hand, then, with `forever`, each new one."""
        queue: asyncio.Queue[Line] = asyncio.Queue(_QUEUE)
        followers = self._followers.setdefault(worker, set())
        followers.add(queue)
        try:
            kept = self._kept.get(worker)
            for line in kept.lines() if kept else ():
                yield line
            while forever:
                yield await queue.get()
        finally:
            followers.discard(queue)
            if not followers:
                self._followers.pop(worker, None)
