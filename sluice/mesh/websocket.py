"""A WebSocket on a streamed call, seen from either end, after a `101` head."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import grpc.aio

from sluice.mesh.pair import MessageType
from sluice.mesh.parts import Parts
from sluice.mesh.tracing import Span
from sluice.mesh.writing import CallEndedError, answer, write
from sluice.wire.errors import SluiceError
from sluice.wire.websocket import Close, Message, cut_short, message_from_pb, message_to_pb

_STATUS_WAIT = 5.0


class ServedSocket:
    """The caller of a call that is being served."""

    __slots__ = ("_context", "_parts", "part")

    def __init__(self, context: Any, parts: Parts, part: MessageType) -> None:
        self._context = context
        self._parts = parts
        self.part = part

    async def receive(self) -> Message | None:
        """The next message. None: the caller is gone."""
        data = await self._context.read()
        return None if data is grpc.aio.EOF else message_from_pb(self._parts.message(data))

    async def send(self, message: Message) -> None:
        """Send a message, serialised here: see `Served.add_to`."""
        part = self.part(websocket=message_to_pb(message))
        await answer(self._context, part.SerializeToString())

    async def aclose(self) -> None:
        """Nothing to give back: the end of the call ends it."""


class CalledSocket:
    """The far side of a call."""

    __slots__ = ("_closes", "_part", "_parts", "_rpc", "_span")

    def __init__(self, rpc: Any, parts: Parts, part: MessageType, span: Span) -> None:
        self._rpc = rpc
        self._parts = parts
        self._part = part
        self._span = span
        self._closes = 0

    async def receive(self) -> Message | None:
        """The next message. None: the call ended before a close."""
        try:
            data = await self._rpc.read()
        except grpc.aio.AioRpcError:
            return None
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling() or not self._rpc.cancelled():
                raise
            return None  # It is the call that was cancelled, as when the channel is closed.
        if data is grpc.aio.EOF:
            return None
        message = message_from_pb(self._parts.message(data))
        self._closes += isinstance(message, Close)
        return message

    async def send(self, message: Message) -> None:
        """Send a message."""
        part = self._part(websocket=message_to_pb(message))
        try:
            await write(self._rpc, part.SerializeToString())
        except CallEndedError:
            return  # Whoever reads learns it.
        self._closes += isinstance(message, Close)

    async def aclose(self) -> None:
        """End the call: by its status where both have closed, else by cancelling it."""
        if self._closes == 2:
            with contextlib.suppress(TimeoutError, grpc.aio.AioRpcError):
                async with asyncio.timeout(_STATUS_WAIT):
                    while await self._rpc.read() is not grpc.aio.EOF:
                        pass  # The last part is empty; the status comes behind it.
        if not self._rpc.done():
            self._span.fail(cut_short())
            self._rpc.cancel()
        self._span.end()


async def open_call(rpc: Any, first: Any) -> SluiceError | None:
    """Send the first message of a call that opens a WebSocket; there is no other until a 101."""
    with contextlib.suppress(CallEndedError):  # Its reader knows why.
        await write(rpc, first.SerializeToString())
    return None
