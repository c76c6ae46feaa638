"""A WebSocket to an origin: frames on a connection that aiohttp opened.

aiohttp's own WebSocket is not used: it answers a close by itself, and joins the two directions'
ends.
"""

from __future__ import annotations

import asyncio

from aiohttp.client_proto import ResponseHandler
from aiohttp.http import RawResponseMessage, StreamWriter

from services.outbound.origin.exchange import Exchange
from sluice.http1 import handshake
from sluice.http1.websocket import FrameSocket
from sluice.wire.errors import Reason, SluiceError

PING_AFTER = 60.0
"""Seconds of silence after which an origin is asked whether it is still there."""


def on(exchange: Exchange, max_message: int) -> FrameSocket:
    """The WebSocket that the connection of `exchange` is from now on. Closing it closes that."""
    protocol = exchange.connection.protocol
    assert protocol is not None  # noqa: S101 — for mypy; it has just carried a head
    line = OriginLine(exchange, protocol)
    socket = FrameSocket(line, is_client=True, max_message=max_message, ping_after=PING_AFTER)
    line.carry(socket)
    return socket


class OriginLine:
    """The connection, once it is no longer HTTP's. It takes what it is sent in time, or is cut."""

    def __init__(self, exchange: Exchange, protocol: ResponseHandler) -> None:
        self._exchange = exchange
        self._connection = exchange.connection
        self._protocol = protocol
        self._idle_timeout = exchange.idle_timeout
        self._writer = StreamWriter(self._protocol, asyncio.get_running_loop())

    def carry(self, socket: FrameSocket) -> None:
        """Feed `socket` with what comes from now on, and with what came behind the head."""
        self._protocol.read_timeout = None
        self._protocol.set_parser(_Feed(socket, self._exchange), None)
        if not self._protocol.is_connected():
            socket.lost()
            self.abort()

    @property
    def full(self) -> bool:
        """Whether it has asked for a pause."""
        return self._protocol.writing_paused

    def write(self, data: bytes) -> None:
        """Send `data`."""
        self._exchange.write(data)

    async def drain(self) -> None:
        """Wait until there is room. Where there is none in time, the connection is broken off."""
        try:
            async with asyncio.timeout(self._idle_timeout):
                await self._writer.drain()
        except (TimeoutError, ConnectionError):
            self.abort()

    def hold(self) -> None:
        """Stop reading."""
        self._protocol.pause_reading()

    def release(self) -> None:
        """Read again."""
        self._protocol.resume_reading()

    def finish(self) -> None:
        """Send no more, but read on."""
        transport = self._connection.transport
        if transport is not None and transport.can_write_eof() and not transport.is_closing():
            transport.write_eof()

    def abort(self) -> None:
        """Break off."""
        self._exchange.abort()


class _Feed:
    """What aiohttp calls the parser of an upgraded connection."""

    def __init__(self, socket: FrameSocket, exchange: Exchange) -> None:
        self._socket = socket
        self._exchange = exchange

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        """More bytes. False: there is no error for aiohttp to deal with."""
        self._socket.feed(data)
        return False, b""

    def feed_eof(self) -> None:
        """The connection is gone. Its place in the pool is given back."""
        self._socket.lost()
        self._exchange.abort()


def check(message: RawResponseMessage, key: bytes, host: str) -> None:
    """Raise `INVALID_RESPONSE` unless a 101 response opens the WebSocket asked for with `key`."""
    own: dict[str, list[bytes]] = {}
    for name, value in message.raw_headers:
        own.setdefault(name.decode("latin-1").lower(), []).append(value)
    if not handshake.is_accepted(key, own):
        raise SluiceError(
            Reason.INVALID_RESPONSE,
            f"{host} answered 101 without opening the WebSocket that was asked for",
            host=host,
        )
