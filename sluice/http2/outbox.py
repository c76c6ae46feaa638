"""What is to be sent: gathered for a turn of the event loop, and bounded."""

from __future__ import annotations

import asyncio
from itertools import islice

from sluice.http2.limits import Limits
from sluice.http2.settings import DEFAULT_WINDOW

_AT_ONCE = 8  # senders that look again in one turn: their messages fill what may be unsent


class Outbox:
    """The way out of one connection.

    What is put here within one turn of the event loop goes out together: that is what makes many
    small calls cheap.
    """

    def __init__(self, transport: asyncio.Transport, limits: Limits) -> None:
        self._transport = transport
        self._limits = limits
        self._loop = asyncio.get_running_loop()
        self._parts: list[bytes] = []
        self._unsent = 0
        self._paused = False
        self.window = DEFAULT_WINDOW
        """Bytes that the far side still takes, of all streams."""

        self._waiting: dict[int, asyncio.Future[None]] = {}
        self._queue: dict[int, None] = {}
        self._looking = False
        transport.set_write_buffer_limits(high=limits.unsent)

    @property
    def has_room(self) -> bool:
        """Whether what is put here now is soon on its way."""
        return not self._paused and self._unsent < self._limits.unsent

    def put(self, data: bytes) -> None:
        """Send `data`, soon."""
        if not self._parts:
            self._loop.call_soon(self.flush)
        self._parts.append(data)
        self._unsent += len(data)

    def flush(self) -> None:
        """Hand over to the transport what is here; a far side that reads nothing is left."""
        if self._parts:
            data = b"".join(self._parts)
            self._parts.clear()
            full, self._unsent = self._unsent >= self._limits.unsent, 0
            self._transport.write(data)
            if self._paused and self._transport.get_write_buffer_size() > self._limits.unread:
                self._transport.abort()
            if full:
                self.look()

    def pause(self) -> None:
        """The transport has enough for now."""
        self._paused = True

    def resume(self) -> None:
        """The transport takes more."""
        self._paused = False
        self.look()

    async def room(self, stream: int, *, shared: bool) -> None:
        """Wait until there may be room for more of `stream`; `shared`: it is that of all."""
        waiting = self._waiting[stream] = self._loop.create_future()
        if shared:
            self._queue[stream] = None
        try:
            await waiting
        finally:
            self._waiting.pop(stream, None)
            self._queue.pop(stream, None)

    def look(self) -> None:
        """Let those that wait for the room of all look again, in turn, while there is any.

        A few in each turn of the event loop: all at once, they would make a far side that widens
        the window byte by byte cost as much as there are streams, at each byte.
        """
        if self._queue and not self._looking and self.window > 0 and self.has_room:
            self._looking = True
            self._loop.call_soon(self._look_on)
            for stream in [*islice(self._queue, _AT_ONCE)]:
                del self._queue[stream]
                self.wake(stream)

    def _look_on(self) -> None:
        self._looking = False
        self.look()

    def wake(self, stream: int) -> None:
        """Let the sender of one stream look again."""
        waiting = self._waiting.get(stream)
        if waiting is not None and not waiting.done():
            waiting.set_result(None)

    def wake_all(self) -> None:
        """Let all senders look again."""
        for stream in self._waiting:
            self.wake(stream)

    def end(self) -> None:
        """Send no more."""
        self._parts.clear()
        self.wake_all()
