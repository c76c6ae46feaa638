"""What the two ends of a call have in common: messages come, and are read one by one."""

from __future__ import annotations

import asyncio

from sluice.http2.connection import Connection
from sluice.http2.stream import Stream
from sluice.rpc.envelope import Inbox
from sluice.rpc.status import Status


class Conversation(Stream):
    """Reads messages of at most `max_message` bytes. One reader."""

    __slots__ = ("_inbox", "_waiting")

    def __init__(self, connection: Connection, number: int, max_message: int) -> None:
        super().__init__(connection, number)
        self._inbox = Inbox(max_message)
        self._waiting: asyncio.Future[None] | None = None

    def _is_at_end(self) -> bool:
        """Whether no more messages come, all being well. Raises where it is not."""
        raise NotImplementedError

    def _spoil(self, wrong: Status) -> None:
        """What came is no message, and nothing after it can be."""
        raise NotImplementedError

    async def read(self) -> bytes | None:
        """The next message; None at the clean end. Raises at any other."""
        messages = self._inbox.messages
        while not messages:
            if self._is_at_end():
                return None
            await self._change()
        message = messages.popleft()
        if not messages and self._inbox.begun:
            self._took(self._inbox.split())
        if not messages:
            self.consumed(self.window.held)
        return message

    def _feed(self, data: bytes) -> None:
        """Take messages."""
        self._took(self._inbox.feed(data))
        if self._inbox.messages:
            self._wake()
        else:
            self.consumed(len(data))

    def _took(self, wrong: Status | None) -> None:
        """Count what is not yet taken apart; `wrong`: what is wrong with it."""
        self.begins(self._inbox.begun)
        if wrong is not None:
            self._spoil(wrong)

    async def _change(self) -> None:
        """Wait for whatever comes next."""
        self._waiting = asyncio.get_running_loop().create_future()
        try:
            await self._waiting
        finally:
            self._waiting = None

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)
