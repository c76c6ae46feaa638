"""What a process prints, read line by line, and no more of it passed on than its budget."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

LINE = 8 * 1024
"""Most bytes of one line. The rest of it counts as dropped."""

_TAIL = 32 * 1024  # the allocator's account of itself, at the end of a process, has 17 KiB
_OVERHEAD = 128  # what a line costs besides its text, in the log and in time
_BURST = 4.0
_READ = 8 * 1024 * 1024
_PAUSE = 1.0


class Budget:
    """So many bytes a second, and what was not used of four seconds. No I/O, no clock."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._left = rate * _BURST
        self._seen = 0.0

    def take(self, size: int, now: float) -> bool:
        """Whether `size` bytes more are within it."""
        self._left = min(self._rate * _BURST, self._left + (now - self._seen) * self._rate)
        self._seen = now
        if self._left < size:
            return False
        self._left -= size
        return True


class Console(asyncio.Protocol):
    """Passes on lines within `rate` bytes a second; over it, says each second how much it dropped.

    A process that prints much more is not read until the second is over, and waits.
    """

    def __init__(
        self, rate: int, on_line: Callable[[str], None], on_dropped: Callable[[int], None]
    ) -> None:
        self.tail = b""
        """The last bytes that came, dropped or not."""
        self._budget = Budget(rate)
        self._on_line = on_line
        self._on_dropped = on_dropped
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.ReadTransport
        self._begun = b""
        self._skipping = False
        self._over = False
        self._dropped = 0
        self._timer: asyncio.TimerHandle | None = None
        self._ending = False
        self.ended: asyncio.Future[None] = self._loop.create_future()
        """Done once all was read."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.ReadTransport", transport)

    def data_received(self, data: bytes) -> None:
        """Pass lines on, or count what is dropped."""
        self.tail = (self.tail + data)[-_TAIL:] if len(data) < _TAIL else data[-_TAIL:]
        start = 0
        while start < len(data) and not self._over:
            end = data.find(b"\n", start)
            self._add(data[start : end if end >= 0 else len(data)])
            if end >= 0:
                self._end_line()
            start = end + 1 if end >= 0 else len(data)
        if start < len(data):
            self._drop(len(data) - start)
            self._skipping = not data.endswith(b"\n")

    def connection_lost(self, exc: Exception | None) -> None:
        """Pass on what is left."""
        if self._begun and not self._over:
            self._end_line()
        if self._timer is not None:
            self._timer.cancel()
            self._on_dropped(self._dropped)
        if not self.ended.done():
            self.ended.set_result(None)

    def finish(self) -> None:
        """Read to the end without a pause: the process is gone."""
        self._ending = True
        self._transport.resume_reading()

    def close(self) -> None:
        """Read no more."""
        self._transport.close()

    def _add(self, piece: bytes) -> None:
        room = LINE - len(self._begun)
        self._begun += piece[:room]
        if len(piece) > room:
            self._drop(len(piece) - room)

    def _end_line(self) -> None:
        line, self._begun = self._begun, b""
        if self._skipping:
            self._skipping = False
            self._drop(len(line) + 1)
        elif self._budget.take(len(line) + _OVERHEAD, self._loop.time()):
            self._on_line(line.decode(errors="replace").rstrip("\r"))
        else:
            self._over = True
            self._drop(len(line) + 1)

    def _drop(self, size: int) -> None:
        self._dropped += size
        if self._timer is None:
            self._timer = self._loop.call_later(_PAUSE, self._go_on)
        if self._dropped > _READ and not self._ending:
            self._transport.pause_reading()

    def _go_on(self) -> None:
        """Say what was dropped, and pass on again."""
        dropped, self._dropped = self._dropped, 0
        self._timer = None
        self._over = False
        self._on_dropped(dropped)
        if not self._ending:
            self._transport.resume_reading()
