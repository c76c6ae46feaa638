"""Shares of something scarce: places that many holders take, and that no few of them use up."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable
from typing import Generic, TypeVar

from sluice.wire.errors import Reason, SluiceError

Holder = TypeVar("Holder", bound=Hashable)

MAX_WAITING = 1000
"""Most requests of one holder that wait for a place."""


class Places(Generic[Holder]):
    """So many places of a kind.

    A holder may have one, and more up to `each`, of which it may take the less the fewer places are
    free: with half of all taken, half as many. (Dynamic thresholds, as switches share their
    buffers: Choudhury and Hahne, 1998.) Were `each` fixed, ten holders with a tenth of all would
    leave nothing to others; this way it takes over fifty. Who waits is served in turn: holders one
    after the other, and the requests of one in their order.
    """

    def __init__(self, kind: str, total: int, each: int) -> None:
        self._kind = kind
        self._total = total
        self._each = each
        self._taken = 0
        self._taken_by: dict[Holder, int] = {}
        self._queues: dict[Holder, dict[asyncio.Future[None], None]] = {}

    @property
    def unused(self) -> bool:
        """Whether nobody has a place or waits for one."""
        return not self._taken_by and not self._queues

    async def take(self, holder: Holder, deadline: float) -> bool:
        """Take a place. Returns whether it had to be waited for.

        Raises `LOAD_SHED` where there is none by `deadline`, in the loop's time, or too many wait.
        """
        if holder in self._queues or not self._may_take(holder):
            await self._wait(holder, deadline)
            return True
        self._count(holder, 1)
        return False

    def give_back(self, holder: Holder) -> None:
        """Give a place back. Whoever may have it now has it before anybody else can ask."""
        self._count(holder, -1)
        for waiting in list(self._queues):
            if self._may_take(waiting):
                self._serve(waiting)

    def _may_take(self, holder: Holder) -> bool:
        free = self._total - self._taken
        count = self._taken_by.get(holder, 0)
        return count * self._total < self._each * free if count else free > 0

    def _count(self, holder: Holder, change: int) -> None:
        self._taken += change
        count = self._taken_by.get(holder, 0) + change
        if count:
            self._taken_by[holder] = count
        else:
            del self._taken_by[holder]

    def _serve(self, holder: Holder) -> None:
        queue = self._queues.pop(holder)
        while queue:
            turn = next(iter(queue))
            del queue[turn]
            if not turn.done():
                self._count(holder, 1)
                turn.set_result(None)
                break
        if queue:
            self._queues[holder] = queue  # behind all others

    async def _wait(self, holder: Holder, deadline: float) -> None:
        queue = self._queues.setdefault(holder, {})
        if len(queue) >= MAX_WAITING:
            raise self._none(holder, f"{len(queue)} requests wait for one")
        turn = asyncio.get_running_loop().create_future()
        queue[turn] = None
        try:
            async with asyncio.timeout_at(deadline):
                await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled():
                self.give_back(holder)  # it came just as the wait ended
            else:
                self._leave(holder, turn)
            if isinstance(error, TimeoutError):
                raise self._none(holder, "none became free in time") from error
            raise

    def _leave(self, holder: Holder, turn: asyncio.Future[None]) -> None:
        queue = self._queues.get(holder, {})
        queue.pop(turn, None)
        if not queue:
            self._queues.pop(holder, None)

    def _none(self, holder: Holder, why: str) -> SluiceError:
        count = self._taken_by.get(holder, 0)
        return SluiceError(
            Reason.LOAD_SHED, f"no {self._kind} is free: this Worker has {count}, and {why}"
        )
