"""The sending half of a connection."""

from __future__ import annotations

import asyncio
import fcntl
import socket
import struct
import sys
import termios

from sluice.http1.outgoing import LAST_CHUNK, Outgoing, WrongLengthError, chunk

_JOIN = 64 * 1024
"""Most bytes that are copied behind the head, to go out in the same write."""

_RESET = struct.pack("ii", 1, 0)


class Writer:
    """Writes whole messages, and waits while the transport is full."""

    __slots__ = ("_drained", "_transport", "_written", "full")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._drained: asyncio.Future[None] | None = None
        self._written = 0
        self.full = False
        """Whether the transport has asked for a pause."""

    @property
    def waiting(self) -> bool:
        """Whether a sender waits for room."""
        return self._drained is not None

    @property
    def taken(self) -> int:
        """Bytes of the message that the peer's machine has taken.

        Below zero while some of the message before are on their way.
        """
        return self._written - self._transport.get_write_buffer_size() - self._unacknowledged()

    def start(self, message: Outgoing) -> None:
        """Write the head, and what is at hand of the body."""
        self._written = len(message.head) + len(message.data)
        if len(message.data) <= _JOIN:
            self._transport.write(message.head + message.data)
        else:
            self._transport.writelines([message.head, message.data])

    async def finish(self, message: Outgoing) -> None:
        """Write the rest of the body as it comes. Raises what the body raises."""
        if message.rest is None:
            return
        sent = len(message.data)
        if self.full:
            await self.drain()
        async for data in message.rest:
            sent += len(data)
            if message.length is not None and sent > message.length:
                break
            framed = chunk(data) if message.chunked else data
            self._written += len(framed)
            self._transport.write(framed)
            if self.full:
                await self.drain()
        if message.length is not None and sent != message.length:
            raise WrongLengthError(message.length, sent)
        if message.chunked:
            self._transport.write(LAST_CHUNK)

    async def drain(self) -> None:
        """Wait until the transport has room."""
        while self.full:
            self._drained = asyncio.get_running_loop().create_future()
            try:
                await self._drained
            finally:
                self._drained = None

    def pause(self) -> None:
        """The transport is full."""
        self.full = True

    def resume(self) -> None:
        """The transport has room again."""
        self.full = False
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)

    def abort(self) -> None:
        """Break the connection off, so that nothing that was sent can look complete.

        A TCP peer gets a reset: a plain close would be the clean end of a body without a length.
        """
        sock = self._transport.get_extra_info("socket")
        if sock is not None and sock.family != socket.AF_UNIX and not self._transport.is_closing():
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._transport.abort()

    def _unacknowledged(self) -> int:
        """Bytes that the kernel keeps until the peer's acknowledges them (Linux: tcp(7), SIOCOUTQ).

        Nothing where it does not tell: then what it keeps counts as taken.
        """
        sock = self._transport.get_extra_info("socket")
        try:
            answer = fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, bytes(4))
        except OSError:
            return 0
        return int.from_bytes(answer, sys.byteorder)
