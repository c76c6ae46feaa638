"""Hands connections to an isolate's egress to a process that cannot connect to anything.

The process asks over a socket that it inherits, a byte for each connection. The answer to each is a
byte with the descriptor of a connection (SCM_RIGHTS in unix(7)), or a byte alone where none is to
be had. Who asks is known by that socket, which no other process has.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket

_ANSWER = b"\0"
_AT_ONCE = 16
# Answers that were not read are descriptors in flight, of which the kernel allows the service a
# number in all (ETOOMANYREFS in unix(7)). There is room for about ten.
_UNREAD = 4 << 10


class Broker:
    """Connects to the unix socket at `path` for whoever holds `far`.

    What the far side sends and leaves unread costs no more than a few descriptors and no waiting:
    this end is not the far side's, descriptors that come along are dropped by the kernel, and where
    answers are not read no more questions are.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._near, self.far = socket.socketpair()
        self._near.setblocking(False)
        self._near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _UNREAD)
        self._serving = asyncio.create_task(self._serve())

    async def aclose(self) -> None:
        """Answer no more."""
        self.far.close()
        self._serving.cancel()
        await asyncio.wait([self._serving])

    async def _serve(self) -> None:
        """Answer until the far side has left, or does what no connection survives."""
        loop = asyncio.get_running_loop()
        with self._near, contextlib.suppress(OSError):
            while asked := await loop.sock_recv(self._near, _AT_ONCE):
                for _ in asked:
                    await self._answer()

    async def _answer(self) -> None:
        try:
            connection = self._connected()
        except OSError:  # no descriptor is left here, or too many wait to be accepted
            await self._send([])
            return
        with connection:
            await self._send([connection.fileno()])

    def _connected(self) -> socket.socket:
        """Connect without waiting."""
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.setblocking(False)
            connection.connect(self._path)
            connection.setblocking(True)
        except BaseException:
            connection.close()
            raise
        return connection

    async def _send(self, descriptors: list[int]) -> None:
        while not self._is_sent(descriptors):
            await self._room()

    def _is_sent(self, descriptors: list[int]) -> bool:
        """Send an answer, unless too many are unread."""
        try:
            socket.send_fds(self._near, [_ANSWER], descriptors)
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno != errno.ETOOMANYREFS:
                raise
            return self._is_sent([])  # too many are in flight in all the service
        return True

    async def _room(self) -> None:
        """Wait until answers were read."""
        loop = asyncio.get_running_loop()
        room = asyncio.Event()
        loop.add_writer(self._near, room.set)
        try:
            await room.wait()
        finally:
            loop.remove_writer(self._near)
