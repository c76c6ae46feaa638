"""A WebSocket on a streamed call, seen from either end, after a `101` head."""

from __future__ import annotations

import asyncio
import contextlib

import grpc.aio

from sluice.http2.failure import StreamEndedError
from sluice.mesh.pair import MessageType
from sluice.mesh.parts import Parts
from sluice.mesh.tracing import Span
from sluice.rpc.call import Call
from sluice.rpc.context import Context
from sluice.wire.websocket import Close, Message, cut_short, message_from_pb, message_to_pb

_STATUS_WAIT = 5.0


class ServedSocket:
    """The caller of a call that is being served."""

    __slots__ = ("_context", "_parts", "part")

    def __init__(self, context: Context, parts: Parts, part: MessageType) -> None:
        self._context = context
        self._parts = parts
        self.part = part

    async def receive(self) -> Message | None:
        """The next message. None: the caller is gone."""
        data = await self._context.read()
        return None if data is None else message_from_pb(self._parts.message(data))

    async def send(self, message: Message) -> None:
        """Send a message."""
        await self._context.write(self.part(websocket=message_to_pb(message)))

    async def aclose(self) -> None:
        """Nothing to give back: the end of the call ends it."""


class CalledSocket:
    """The far side of a call."""

    __slots__ = ("_closes", "_part", "_parts", "_rpc", "_span")

    def __init__(self, rpc: Call, parts: Parts, part: MessageType, span: Span) -> None:
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
        if data is None:
            return None
        message = message_from_pb(self._parts.message(data))
        self._closes += isinstance(message, Close)
        return message

    async def send(self, message: Message) -> None:
        """Send a message."""
        part = self._part(websocket=message_to_pb(message))
        try:
            await self._rpc.write(part.SerializeToString())
        except StreamEndedError:
            return  # Whoever reads learns it.
        self._closes += isinstance(message, Close)

    async def aclose(self) -> None:
        """End the call: by its status where both have closed, else by cancelling it."""
        if self._closes == 2:
            with contextlib.suppress(TimeoutError, grpc.aio.AioRpcError):
                async with asyncio.timeout(_STATUS_WAIT):
                    while await self._rpc.read() is not None:
                        pass  # The last part is empty; the status comes behind it.
        if not self._rpc.over:
            self._span.fail(cut_short())
            self._rpc.cancel()
        self._span.end()
