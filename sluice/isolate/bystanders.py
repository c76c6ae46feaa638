"""Processes that stand back: stopped while others are served, but for a turn now and then."""

from __future__ import annotations

import asyncio
import os
from typing import Protocol

_WAY = 0.02
"""Seconds for which they make way to a request."""

_LONGEST = 0.1
"""Seconds for which they are stopped at most; then it is their turn."""

_TURN = 0.01
"""Seconds of a turn that nobody cuts short."""


class Bystander(Protocol):
    """A process that can be stopped for a while."""

    def pause(self) -> None:
        """Stop."""

    def go_on(self) -> None:
        """Run again."""


class Bystanders:
    """Those of one service.

    `SCHED_IDLE` alone gives them what nobody else wants of a core. But two threads share what is
    one core in the hardware, and what loops in one of them slows the other by a third. So where
    they could keep half of the `cores` busy, they do not run at all while a request is new.
    """

    def __init__(self, cores: int | None = None) -> None:
        self._cores = cores or _cores()
        self._all: set[Bystander] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._way_until = 0.0
        self._since = 0.0
        self._turn_until = 0.0

    def add(self, process: Bystander) -> None:
        """One more stands back."""
        self._all.add(process)

    def discard(self, process: Bystander) -> None:
        """One is no more."""
        self._all.discard(process)
        process.go_on()

    def make_way(self) -> None:
        """Somebody else's request came."""
        if len(self._all) * 2 < self._cores:
            return
        loop = asyncio.get_running_loop()
        now = loop.time()
        self._way_until = now + _WAY
        if self._timer is None and now >= self._turn_until:
            self._since = now
            self._timer = loop.call_later(_WAY, self._look)
            for process in self._all:
                process.pause()

    def end(self) -> None:
        """Let all run."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for process in self._all:
            process.go_on()

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        until = min(self._way_until, self._since + _LONGEST)
        if now < until:
            self._timer = loop.call_at(until, self._look)
        else:
            self._turn_until = now + _TURN
            self.end()


def _cores() -> int:
    """The cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS
        return os.cpu_count() or 1
