"""A WebSocket on a connection to the host: frames off the wire and onto it (RFC 6455 section 5).

aiohttp's own WebSockets answer a close by themselves, so only its parser is used. The host bounds
messages, and ends what does not answer a close.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable

from aiohttp import WSMsgType
from aiohttp._websocket.reader import WebSocketDataQueue
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http import StreamWriter, WebSocketReader

from sluice_guest.websocket import HIGH_WATER, Close, Message

_FINAL = 0x80
_MASKED = 0x80
# A mask is for proxies that could take a frame for HTTP; between here and the host is none.
_NO_MASK = bytes(4)


class Frames:
    """One end of a WebSocket, which aiohttp feeds by `parser`.

    `is_client` says which side of the handshake this process was. `release` gives the connection
    back.
    """

    def __init__(
        self, protocol: BaseProtocol, *, is_client: bool, release: Callable[[], None] | None = None
    ) -> None:
        loop = asyncio.get_running_loop()
        self.queue = WebSocketDataQueue(protocol, HIGH_WATER // 2, loop=loop)
        self.parser = WebSocketReader(self.queue, 0, compress=False, decode_text=True)
        self._transport = protocol.transport
        self._writer = StreamWriter(protocol, loop)
        self._is_client = is_client
        self._release = release
        self._close_sent = False
        self._close_received = False

    @property
    def waiting(self) -> int:
        """Bytes sent that the host has yet to take."""
        return self._transport.get_write_buffer_size() if self._transport else 0

    async def receive(self) -> Message | None:
        """Give the next message. None: the host reset the connection."""
        while True:
            try:
                kind, data, reason = await self.queue.read()
            except Exception:  # the end of the connection, whatever ended it
                return None
            if kind is WSMsgType.TEXT or kind is WSMsgType.BINARY:
                received: str | bytes = data
                return received
            if kind is WSMsgType.CLOSE:
                self._close_received = True
                return Close(data or None, reason or "")
            if kind is WSMsgType.PING and not self._close_sent:
                self._write(WSMsgType.PONG, data)

    def send(self, message: Message) -> None:
        """Send a message."""
        if self._close_sent:
            return
        match message:
            case str():
                self._write(WSMsgType.TEXT, message.encode())
            case bytes():
                self._write(WSMsgType.BINARY, message)
            case Close(code, reason):
                self._close_sent = True
                said = b"" if code is None else struct.pack("!H", code) + reason.encode()
                self._write(WSMsgType.CLOSE, said)

    async def drain(self) -> None:
        """Wait until there is room. Raises `ConnectionError` where the connection is lost."""
        await self._writer.drain()

    def close(self) -> None:
        """End the connection: by a reset, unless this end has said its close."""
        if self._transport is not None:
            if self._close_sent:
                self._transport.close()
            else:
                self._transport.abort()
        if self._release is not None:
            self._release()

    def _write(self, opcode: WSMsgType, payload: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(frame(opcode, payload, is_masked=self._is_client))


def frame(opcode: int, payload: bytes, *, is_masked: bool) -> bytes:
    """One frame that is a whole message."""
    first, length = _FINAL | opcode, len(payload)
    mask_bit, mask = (_MASKED, _NO_MASK) if is_masked else (0, b"")
    if length < 126:
        head = struct.pack("!BB", first, mask_bit | length)
    elif length < 1 << 16:
        head = struct.pack("!BBH", first, mask_bit | 126, length)
    else:
        head = struct.pack("!BBQ", first, mask_bit | 127, length)
    return head + mask + payload
