"""A WebSocket to be at the far end of what is tested."""

from __future__ import annotations

import asyncio

from sluice.wire.websocket import Message


class End:
    """The far end of a WebSocket, in a test's hands."""

    def __init__(self) -> None:
        self.inbox: asyncio.Queue[Message] = asyncio.Queue()
        self.outbox: asyncio.Queue[Message | None] = asyncio.Queue()
        self.room = asyncio.Event()
        self.room.set()
        self.closed = asyncio.Event()

    async def receive(self) -> Message | None:
        return await self.outbox.get()

    async def send(self, message: Message) -> None:
        await self.room.wait()
        self.inbox.put_nowait(message)

    async def aclose(self) -> None:
        self.closed.set()
