"""How long the far side may be silent: before it has said its settings, and ever after."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from sluice.http2.limits import Limits


class Silence:
    """Watches one connection.

    It calls `late` where no settings came in time, `ask` to have the far side pinged, and `dead`
    where that was in vain, or where a connection that is closed takes too long to end.
    """

    def __init__(
        self,
        limits: Limits,
        late: Callable[[], None],
        ask: Callable[[], None],
        dead: Callable[[], None],
    ) -> None:
        self._limits = limits
        self._ask = ask
        self._dead = dead
        self._loop = asyncio.get_running_loop()
        self._heard = self._loop.time()
        self._timer = self._loop.call_later(limits.handshake, late)

    def broken(self) -> None:
        """Something came."""
        self._heard = self._loop.time()

    def watch(self) -> None:
        """The settings are there: from now on, ask after each silence."""
        self._timer.cancel()
        self._timer = self._loop.call_later(self._limits.keepalive, self._look)

    def leaving(self) -> None:
        """Nothing more is awaited, but that the far side reads the last words."""
        self._timer.cancel()
        self._timer = self._loop.call_later(self._limits.goodbye, self._dead)

    def end(self) -> None:
        """Watch no more."""
        self._timer.cancel()
        del self._ask, self._dead  # which are of who has this: no collector is needed so

    def _look(self) -> None:
        left = self._limits.keepalive - (self._loop.time() - self._heard)
        if left > 0:
            self._timer = self._loop.call_later(left, self._look)
            return
        self._ask()
        wait, heard = self._limits.keepalive_wait, self._heard
        self._timer = self._loop.call_later(wait, self._decide, heard)

    def _decide(self, heard: float) -> None:
        if self._heard > heard:
            self.watch()
        else:
            self._dead()
