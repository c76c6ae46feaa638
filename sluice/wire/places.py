"""Places: counted, each key's share of them bounded, with a bounded queue before them. No I/O."""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

from sluice.wire.errors import Reason, SluiceError

Key = TypeVar("Key", bound=Hashable)

MANY = sys.maxsize
"""As good as no bound."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How many places there are, and how long the queue before them may be."""

    total: int = MANY
    each: int = MANY
    """Places of one key."""

    yields: bool = False
    """Whether a key, beyond its first place, may have the fewer the fewer are free: with half of
    all taken, half of `each`. With fixed shares of a tenth, ten keys leave nothing to others; with
    these it takes over fifty. (Dynamic thresholds, as switches share their buffers: Choudhury and
    Hahne, 1998.)"""

    queue: int = MANY
    """Those who wait. One more is refused at once."""

    queue_each: int = MANY
    """Those of one key who wait."""

    wait: float = 30.0
    """Seconds until one who waits is refused."""


class Places(Generic[Key]):
    """Gives out places. Whoever takes one gives it back.

    A place that is given back goes to the first who waits and whose key has less than its share;
    keys take turns. The key None has no share: only the total bounds it.
    """

    def __init__(self, bounds: Bounds, reason: Reason, what: str) -> None:
        self._bounds = bounds
        self._reason = reason
        self._what = what
        self._taken = 0
        self._held: dict[Key | None, int] = {}
        self._waiting: dict[Key | None, deque[asyncio.Future[None]]] = {}
        self._queued = 0

    @property
    def taken(self) -> int:
        """Places that are taken."""
        return self._taken

    @property
    def queued(self) -> int:
        """Those who wait for one."""
        return self._queued

    async def take(self, key: Key | None, wait: float | None = None) -> None:
        """Take a place, or wait for one: `wait` seconds, if they are not as ever.

        Raises `SluiceError` with this object's reason: at once where the queue is full, else where
        the wait is over.
        """
        if self._is_free(key):
            self._place(key)
            return
        waiting = self._waiting.get(key)
        if self._queued >= self._bounds.queue or (
            waiting is not None and len(waiting) >= self._bounds.queue_each
        ):
            raise SluiceError(self._reason, f"{self._said(key)}, and as many wait as may")
        await self._wait(key, self._bounds.wait if wait is None else wait)

    def give(self, key: Key | None) -> None:
        """Give a place back."""
        concerns_all = self._taken >= self._bounds.total or self._bounds.yields
        self._taken -= 1
        held = self._held[key] - 1
        if held:
            self._held[key] = held
        else:
            del self._held[key]
        if self._queued:
            self._hand_on(list(self._waiting) if concerns_all else [key])

    def _is_free(self, key: Key | None) -> bool:
        free = self._bounds.total - self._taken
        held = 0 if key is None else self._held.get(key, 0)
        if held and self._bounds.yields:
            return held * self._bounds.total < self._bounds.each * free
        return free > 0 and held < self._bounds.each

    def _place(self, key: Key | None) -> None:
        self._taken += 1
        self._held[key] = self._held.get(key, 0) + 1

    async def _wait(self, key: Key | None, wait: float) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(key, deque()).append(turn)
        self._queued += 1
        try:
            async with asyncio.timeout(wait):
                await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled():
                self.give(key)  # It came together with the end of the wait.
            else:
                self._leave(key, turn)
            if isinstance(error, TimeoutError):
                raise SluiceError(self._reason, f"{self._said(key)} for {wait:g} s") from error
            raise

    def _leave(self, key: Key | None, turn: asyncio.Future[None]) -> None:
        waiting = self._waiting[key]
        waiting.remove(turn)
        self._queued -= 1
        if not waiting:
            del self._waiting[key]

    def _hand_on(self, keys: list[Key | None]) -> None:
        """Give what came free to those who wait, of the first keys with room."""
        for key in keys:
            if self._taken >= self._bounds.total:
                return
            turn = self._next(key) if self._is_free(key) else None
            if turn is None:
                continue
            self._place(key)
            self._leave(key, turn)
            if key in self._waiting:  # The next turn is another key's.
                self._waiting[key] = self._waiting.pop(key)
            turn.set_result(None)

    def _next(self, key: Key | None) -> asyncio.Future[None] | None:
        """The first of `key` who still waits: one that was cancelled may not have left yet."""
        return next((turn for turn in self._waiting.get(key, ()) if not turn.done()), None)

    def _said(self, key: Key | None) -> str:
        if self._taken >= self._bounds.total:
            return f"all {self._bounds.total} {self._what} are taken"
        if self._bounds.yields:
            held = 0 if key is None else self._held.get(key, 0)
            return f"one has its share of {held} {self._what}"
        return f"all {self._bounds.each} {self._what} of one are taken"
