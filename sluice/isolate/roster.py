"""The invocations of one isolate: those in flight, and those whose response is over. No I/O."""

from __future__ import annotations

import time
from collections import deque
from typing import Any

from sluice.isolate.invocation import Invocation

AFTERLIFE = 30.0
"""Seconds that `waitUntil` work may make subrequests after the response."""


class Roster:
    """Who may make subrequests here, by token, and who has run since somebody last asked."""

    def __init__(self) -> None:
        self.in_flight: dict[str, Invocation[Any]] = {}
        self.last_used = time.monotonic()
        """When the last one ended, or this was made."""
        self.last_shown = self.last_used
        """When something came out last: a subrequest, or the head of a response."""
        self._after: dict[str, Invocation[Any]] = {}
        self._ending: deque[tuple[float, Invocation[Any]]] = deque()
        self._ended = 0

    @property
    def last(self) -> Invocation[Any] | None:
        """The one that ended last, while its time after the response is not over."""
        return self._ending[-1][1] if self._ending else None

    def begin(self, invocation: Invocation[Any]) -> None:
        """Its request is sent. `end` ends it in every case."""
        self.in_flight[invocation.token] = invocation

    def shows(self, invocation: Invocation[Any]) -> None:
        """Something came out of the isolate, which is `invocation`'s."""
        invocation.shown += 1
        self.last_shown = time.monotonic()

    def end(self, invocation: Invocation[Any]) -> None:
        """The response is over. Work after it may go on for `AFTERLIFE` seconds."""
        if self.in_flight.pop(invocation.token, None) is not None:
            self.last_used = time.monotonic()
            self._ended += invocation.has_shown()
            self._after[invocation.token] = invocation
            self._ending.append((self.last_used + AFTERLIFE, invocation))

    def find(self, token: str | None) -> Invocation[Any] | None:
        """The live invocation with that token."""
        if token is None:
            return None
        return self.in_flight.get(token) or self._after.get(token)

    def forget_ended(self, now: float) -> None:
        """Drop those whose time after the response is over."""
        while self._ending and self._ending[0][0] <= now:
            del self._after[self._ending.popleft()[1].token]

    def take_shown(self) -> tuple[list[Invocation[Any]], int]:
        """Those in flight of which something came out since the last call.

        And how many more of whom that is so have ended.
        """
        ended, self._ended = self._ended, 0
        return [each for each in self.in_flight.values() if each.has_shown()], ended
