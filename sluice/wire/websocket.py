"""WebSockets as whole messages (RFC 6455), to and from protobuf, and two of them joined.

The rule that everything here serves: an end that vanished is never closed cleanly further on. A
`Close` is the only clean end; without one the other side is reset, and sees code 1006.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from sluice.pb import http_pb2
from sluice.wire.errors import Reason, SluiceError

MAX_MESSAGE = 1024 * 1024
"""Most bytes of one message, unless configured otherwise."""

MAX_REASON = 123
"""Most bytes of a close reason (section 5.5)."""

CLOSE_WAIT = 30.0
"""Seconds that one side has to close after the other did."""

_NEVER_SENT = frozenset({1004, 1005, 1006, 1015})


@dataclass(frozen=True, slots=True)
class Text:
    """A text message."""

    data: str


@dataclass(frozen=True, slots=True)
class Binary:
    """A binary message."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Close:
    """The end of one direction. Nothing follows it there."""

    code: int | None = None
    """Close code of section 7.4. None: the close frame was empty, which an API calls 1005."""
    reason: str = ""


Message: TypeAlias = Text | Binary | Close


class WebSocket(Protocol):
    """One end of an open WebSocket, with one reader and one writer."""

    async def receive(self) -> Message | None:
        """The next message. None: the peer is gone without a close. Not called after a `Close`."""

    async def send(self, message: Message) -> None:
        """Send a message, and wait until there is room for more.

        Does nothing after a `Close`, or where the peer is gone: the next `receive` says so.
        """

    async def aclose(self) -> None:
        """Give back what it holds. Unless both directions have closed, this resets the peer."""


class WatchedSocket:
    """A WebSocket that counts its bytes, and calls `closed` once with itself when it is over."""

    __slots__ = ("_closed", "_socket", "count", "failure", "sent")

    def __init__(self, socket: WebSocket, closed: Callable[[WatchedSocket], None]) -> None:
        self._socket = socket
        self._closed: Callable[[WatchedSocket], None] | None = closed
        self.count = 0
        """Bytes of the messages received."""
        self.sent = 0
        """Bytes of the messages sent."""
        self.failure: SluiceError | None = None
        """What cut it short."""

    async def receive(self) -> Message | None:
        """The next message."""
        message = await self._socket.receive()
        if message is None:
            self.failure = cut_short()
        else:
            self.count += size(message)
        return message

    async def send(self, message: Message) -> None:
        """Send a message."""
        self.sent += size(message)
        await self._socket.send(message)

    async def aclose(self) -> None:
        """Close the WebSocket, then say so."""
        closed, self._closed = self._closed, None
        try:
            await self._socket.aclose()
        finally:
            if closed is not None:
                closed(self)


async def join(near: WebSocket, far: WebSocket) -> bool:
    """Carry messages both ways until it is over, then close both.

    True: each side sent its `Close`. Where one is gone, or takes more than `CLOSE_WAIT` seconds to
    answer a close, the other is reset. Raises what `receive` or `send` raises.
    """
    ways = [asyncio.create_task(_carry(near, far)), asyncio.create_task(_carry(far, near))]
    try:
        done, _ = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        if all(way.result() for way in done):
            await asyncio.wait(ways, timeout=CLOSE_WAIT)
    finally:
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, near.aclose(), far.aclose(), return_exceptions=True)
    return all(not way.cancelled() and way.result() for way in ways)


async def _carry(source: WebSocket, sink: WebSocket) -> bool:
    """Carry one direction. Whether it ended with a `Close`."""
    while (message := await source.receive()) is not None:
        await sink.send(message)
        if isinstance(message, Close):
            return True
    return False


def cut_short() -> SluiceError:
    """A WebSocket without a close in both directions, as an error."""
    return SluiceError(Reason.BODY_CUT_SHORT, "the WebSocket was broken off")


def size(message: Message) -> int:
    """Bytes of what a message carries."""
    match message:
        case Text(data):
            return len(data) if data.isascii() else len(data.encode())
        case Binary(content):
            return len(content)
        case Close(_, reason):
            return len(reason.encode())


def message_to_pb(message: Message) -> http_pb2.WebSocketMessage:
    """`message` as the contract has it."""
    match message:
        case Text(data):
            return http_pb2.WebSocketMessage(text=data)
        case Binary(content):
            return http_pb2.WebSocketMessage(binary=content)
        case Close(code, reason):
            close = http_pb2.WebSocketClose(code=code, reason=reason)
            return http_pb2.WebSocketMessage(close=close)


def message_from_pb(message: http_pb2.WebSocketMessage) -> Message:
    """The message. Raises `INVALID_REQUEST` for a close that no frame can carry, or for nothing."""
    match message.WhichOneof("kind"):
        case "text":
            return Text(message.text)
        case "binary":
            return Binary(message.binary)
        case "close":
            return _close(message.close)
        case _:
            raise SluiceError(Reason.INVALID_REQUEST, "websocket: neither text, binary nor close")


def _close(close: http_pb2.WebSocketClose) -> Close:
    if not close.HasField("code"):
        if close.reason:
            raise SluiceError(Reason.INVALID_REQUEST, "websocket.close.reason: without a code")
        return Close()
    if not 1000 <= close.code <= 4999 or close.code in _NEVER_SENT:
        raise SluiceError(
            Reason.INVALID_REQUEST, f"websocket.close.code: {close.code} is never sent"
        )
    if len(close.reason.encode()) > MAX_REASON:
        raise SluiceError(
            Reason.INVALID_REQUEST, f"websocket.close.reason: more than {MAX_REASON} bytes"
        )
    return Close(close.code, close.reason)
