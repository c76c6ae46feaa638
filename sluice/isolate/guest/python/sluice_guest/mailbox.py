"""Messages of a WebSocket on their way to one reader."""

from __future__ import annotations

import asyncio
from collections import deque

from sluice_guest.websocket import HIGH_WATER, Close, Message

_OVERHEAD = 64


class Mailbox:
    """Messages in order. Who puts some in waits for `room` where it can."""

    def __init__(self) -> None:
        self.size = 0
        """Bytes of what is in it, roughly."""
        self._messages: deque[Message] = deque()
        self._is_over = False
        self._changed = asyncio.Event()

    def put(self, message: Message) -> None:
        """Add a message, unless nobody will read it."""
        if not self._is_over:
            self._messages.append(message)
            self.size += _size(message)
            self._changed.set()

    async def take(self) -> Message | None:
        """Remove the first message, once there is one. None: it is over."""
        while not self._messages:
            if self._is_over:
                return None
            await self._change()
        message = self._messages.popleft()
        self.size -= _size(message)
        self._changed.set()
        return message

    async def room(self) -> None:
        """Wait until its reader has taken most of it."""
        while self.size > HIGH_WATER and not self._is_over:
            await self._change()

    def end(self) -> None:
        """Take no more. What is in it can still be read."""
        self._is_over = True
        self._changed.set()

    async def _change(self) -> None:
        self._changed.clear()
        await self._changed.wait()


def _size(message: Message) -> int:
    return _OVERHEAD + (0 if isinstance(message, Close) else len(message))
