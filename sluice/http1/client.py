"""An HTTP/1.1 client of one address."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping

from sluice.http1 import outgoing
from sluice.http1.client_connection import Answer, ClientConnection
from sluice.wire.errors import Reason, SluiceError
from sluice.wire.messages import Request
from sluice.wire.websocket import MAX_MESSAGE

__all__ = ["Client"]

_LOST = 2.0


class Client:
    """Sends requests to one unix socket, or to one TCP address, over kept connections.

    A connection is kept for `idle` seconds at most, which must be less than the server keeps it
    (workerd: 5 s): then no request meets a connection that the server just closed, and none need be
    sent twice. There are no deadlines here: the caller sets one around `send` and around the body.
    """

    def __init__(
        self,
        path: str | tuple[str, int],
        *,
        idle: float = 2.5,
        max_idle: int = 64,
        max_head: int = 128 * 1024,
        max_headers: int = 256,
        max_message: int = MAX_MESSAGE,
    ) -> None:
        self._path = path
        self._keep = idle
        self._max_idle = max_idle
        self._max_head = max_head
        self._max_headers = max_headers
        self._max_message = max_message
        self._free: list[ClientConnection] = []
        self._open: set[ClientConnection] = set()
        self._pumps: set[asyncio.Task[None]] = set()
        self._sweep: asyncio.TimerHandle | None = None
        self._closed = False

    async def send(self, request: Request, control: Mapping[str, str]) -> Answer:
        """Send a request. Returns the head of its response, and the response's control headers.

        The response's body must be read to its end, or closed; its WebSocket must be closed. Raises
        `ISOLATE_DIED` where nobody answers, `LOAD_SHED` where the socket's queue is full,
        `INVALID_RESPONSE` for what is not HTTP, `INVALID_REQUEST` for what HTTP cannot carry, and
        what the request's body raises. Cancelled, it breaks the connection off.
        """
        try:
            message = outgoing.request(request, control)
            connection = self._kept() or await self._connect()
            return await connection.exchange(request.method, message)
        except BaseException:
            await request.body.aclose()
            raise

    async def aclose(self) -> None:
        """Break off every connection, and wait for what was going on there."""
        self._closed = True
        if self._sweep is not None:
            self._sweep.cancel()
        for connection in self._open:
            connection.abort()
        ends = [connection.lost for connection in self._open]
        if waited := [*ends, *self._pumps]:
            await asyncio.wait(waited, timeout=_LOST)
        self._free.clear()  # They refer to this client: no collector is needed so.

    def _kept(self) -> ClientConnection | None:
        """The connection that was used last, unless it has been idle for too long."""
        now = asyncio.get_running_loop().time()
        while self._free:
            connection = self._free.pop()
            if connection.usable and now - connection.idle_since < self._keep:
                return connection
            connection.close()
        return None

    async def _connect(self) -> ClientConnection:
        if self._closed:
            raise SluiceError(Reason.ISOLATE_DIED, f"{self._path}: the client is closed")
        loop = asyncio.get_running_loop()
        try:
            if isinstance(self._path, str):
                sock = _connected(self._path)
                _, connection = await loop.create_unix_connection(self._connection, sock=sock)
            else:
                _, connection = await loop.create_connection(self._connection, *self._path)
        except BlockingIOError as error:
            raise SluiceError(Reason.LOAD_SHED, f"{self._path}: its queue is full") from error
        except OSError as error:
            raise SluiceError(Reason.ISOLATE_DIED, f"{self._path}: {error}") from error
        self._open.add(connection)
        connection.lost.add_done_callback(lambda _: self._open.discard(connection))
        return connection

    def _connection(self) -> ClientConnection:
        return ClientConnection(
            self._max_head, self._max_headers, self._max_message, self._pumps, self._put_back
        )

    def _put_back(self, connection: ClientConnection) -> None:
        if self._closed or len(self._free) >= self._max_idle:
            connection.close()
            return
        connection.idle_since = asyncio.get_running_loop().time()
        self._free.append(connection)
        if self._sweep is None:
            self._sweep_later()

    def _sweep_later(self) -> None:
        loop = asyncio.get_running_loop()
        self._sweep = loop.call_later(self._keep, self._sweep_now)

    def _sweep_now(self) -> None:
        """Drop connections that have been idle for too long. The oldest are at the front."""
        self._sweep = None
        old = asyncio.get_running_loop().time() - self._keep
        kept = [c for c in self._free if c.usable and c.idle_since > old]
        for connection in set(self._free).difference(kept):
            connection.close()
        self._free = kept
        if kept and not self._closed:
            self._sweep_later()


def _connected(path: str) -> socket.socket:
    """A socket that is connected to `path`. Raises `BlockingIOError` where its queue is full.

    A unix socket is connected at once or not at all. asyncio's own connect takes a full queue for a
    connection that is under way, and writes to nobody.
    """
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.setblocking(False)
    try:
        sock.connect(path)
    except OSError:
        sock.close()
        raise
    return sock
