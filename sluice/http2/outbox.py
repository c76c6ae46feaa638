"""What is to be sent: gathered for a turn of the event loop, and bounded."""

from __future__ import annotations

import asyncio

from sluice.http2.limits import Limits


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
        self._waiting: dict[int, asyncio.Future[None]] = {}
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
            if full and not self._paused:
                self.wake_all()

    def pause(self) -> None:
        """The transport has enough for now."""
        self._paused = True

    def resume(self) -> None:
        """The transport takes more."""
        self._paused = False
        self.wake_all()

    async def room(self, stream: int) -> None:
        """Wait until there may be room for more of `stream`."""
        waiting = self._waiting[stream] = self._loop.create_future()
        try:
            await waiting
        finally:
            self._waiting.pop(stream, None)

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
