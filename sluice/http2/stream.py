"""One stream of a connection: its two directions, and how much of each may be on the way."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from sluice.http2.failure import Code, StreamEndedError
from sluice.http2.fields import Fields
from sluice.http2.window import ReceiveWindow

if TYPE_CHECKING:
    from sluice.http2.connection import Connection


class Stream:
    """What a subclass is told by `on_...`, and what it says by the other methods.

    Every byte that came by `on_data` has to be given back by `consumed`, or the far side, once it
    has used up the window, sends no more.
    """

    __slots__ = (
        "begun",
        "connection",
        "id",
        "local_ended",
        "remote_ended",
        "send_window",
        "window",
    )

    def __init__(self, connection: Connection, number: int) -> None:
        self.connection = connection
        self.id = number
        self.send_window = connection.peer.window
        """Bytes that the far side still takes; less than none where its settings took some back."""

        self.window = ReceiveWindow(connection.limits.stream_window)
        self.begun = 0
        """Bytes of a message that has not come whole: this stream's part of `unfinished`."""

        self.local_ended = False
        self.remote_ended = False

    def on_headers(self, fields: Fields, *, ended: bool) -> None:
        """A head, or trailers, came."""
        raise NotImplementedError

    def on_data(self, data: bytes, *, ended: bool) -> None:
        """A part of the body came."""
        raise NotImplementedError

    def on_end(self, code: Code, text: str) -> None:
        """The stream ended, for this reason, before both directions had."""
        raise NotImplementedError

    @property
    def alive(self) -> bool:
        """Whether anything can still be sent on it."""
        return not self.local_ended and self.connection.streams.get(self.id) is self

    def send_headers(self, block: bytes, *, end: bool = False) -> None:
        """Send a head, or trailers. Nothing where the stream is no more."""
        if self.alive:
            self.connection.send_headers(self, block, end=end)

    async def send(self, data: bytes, *, end: bool = False) -> None:
        """Send `data`, not empty, as room comes for it, and return when there is room for more.

        Raises `StreamEndedError` where the stream ends before. One sender at a time.
        """
        connection, outbox = self.connection, self.connection.outbox
        at, size = 0, len(data)
        while self.alive:
            if at < size:
                at = connection.send_data(self, data, at, end=end)
            if self.local_ended or (at == size and outbox.has_room):
                return
            await self._room(size - at)
        raise StreamEndedError

    async def _room(self, left: int) -> None:
        """Wait for room for the `left` bytes of a message, as long as the limits let it."""
        connection, limits = self.connection, self.connection.limits
        shared = not left or self.send_window > 0
        if limits.stall is None:
            await connection.outbox.room(self.id, shared=shared)
            return
        connection.unfinished += left
        patience = limits.stall if connection.unfinished <= limits.unfinished else 0
        timer = asyncio.get_running_loop().call_later(patience, connection.give_up, self)
        try:
            await connection.outbox.room(self.id, shared=shared)
        finally:
            timer.cancel()
            connection.unfinished -= left

    def consumed(self, size: int) -> None:
        """So many of the bytes that came are needed no more."""
        if size:
            self.connection.consume(self, size)

    def begins(self, size: int) -> None:
        """So many of the bytes that came are of a message that has not come whole."""
        connection, more = self.connection, size - self.begun
        if more and connection.streams.get(self.id) is self:
            self.begun = size
            connection.unfinished += more
            if more > 0 and connection.unfinished > connection.limits.unfinished:
                connection.give_up(self)

    def reset(self, code: Code) -> None:
        """End the stream here and there. `on_end` is not called."""
        self.connection.reset(self, code)
