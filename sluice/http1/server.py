"""An HTTP/1.1 server on unix sockets and TCP."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

from sluice.http1.exchange import Exchange, Handler, Peer
from sluice.http1.limits import Limits
from sluice.http1.server_connection import ServerConnection
from sluice.http1.serving import Serving
from sluice.wire.errors import SluiceError
from sluice.wire.messages import Response

__all__ = ["Exchange", "Handler", "Limits", "Peer", "Server"]

log = logging.getLogger("sluice.http1")

BACKLOG = 1024
"""Connections that the kernel keeps for us until we accept them."""

_CANCELLED = 2.0


class Server:
    """Serves `handler`, with one task for each request.

    `on_error` turns the `SluiceError` that a handler raised into a response. Any other exception is
    a bug: it is logged, and answered as `INTERNAL`. A client that goes away cancels the handler.
    `admit` says whether to serve a peer at all.
    """

    def __init__(
        self,
        handler: Handler,
        *,
        on_error: Callable[[SluiceError], Response],
        scheme: str = "http",
        limits: Limits | None = None,
        admit: Callable[[Peer], bool] | None = None,
    ) -> None:
        limits = limits or Limits()
        self._serving = Serving(handler, on_error, scheme, limits, admit)
        self._listeners: list[asyncio.Server] = []
        self._paths: list[Path] = []
        self._sweep: asyncio.TimerHandle | None = None
        self._interval = limits.sweep

    @property
    def in_flight(self) -> int:
        """Requests being served."""
        return len(self._serving.tasks)

    async def listen_tcp(self, host: str, port: int) -> tuple[str, int]:
        """Listen on an address. Port 0 takes a free one. Returns the address bound."""
        loop = asyncio.get_running_loop()
        listener = await loop.create_server(self._connection, host, port, backlog=BACKLOG)
        self._listening(listener)
        address = listener.sockets[0].getsockname()
        return address[0], address[1]

    async def listen_unix(self, path: str) -> None:
        """Listen on a unix socket at `path`, in place of one that nobody listens on any more."""
        loop = asyncio.get_running_loop()
        listener = await loop.create_unix_server(self._connection, path, backlog=BACKLOG)
        self._listening(listener)
        if not path.startswith("\0"):
            self._paths.append(Path(path))

    async def close(self, grace: float) -> None:
        """Accept no more, let requests in flight finish for `grace` seconds, then cancel them.

        WebSockets are told that the server is going away (close code 1001).
        """
        self._serving.closing = True
        for listener in self._listeners:
            listener.close()
        for path in self._paths:
            path.unlink(missing_ok=True)
        for connection in list(self._serving.connections):
            if connection.idle:
                connection.close()
            else:
                connection.leave()
        await self._wait(grace)
        for connection in self._serving.connections:
            connection.abort()
        await self._wait(_CANCELLED)
        if self._serving.tasks:
            log.error("%d handlers go on although they were cancelled", self.in_flight)
        if self._sweep is not None:
            self._sweep.cancel()
            self._sweep = None
        self._listeners.clear()  # They refer to this server: no collector is needed so.

    async def _wait(self, seconds: float) -> None:
        """Wait for requests in flight, and until their connections are gone."""
        ends = [connection.lost for connection in self._serving.connections]
        if waited := [*ends, *self._serving.tasks]:
            await asyncio.wait(waited, timeout=seconds)

    def _connection(self) -> ServerConnection:
        return ServerConnection(self._serving)

    def _listening(self, listener: asyncio.Server) -> None:
        self._listeners.append(listener)
        if self._sweep is None:
            self._sweep_later()

    def _sweep_later(self) -> None:
        loop = asyncio.get_running_loop()
        self._sweep = loop.call_later(self._interval, self._sweep_now)

    def _sweep_now(self) -> None:
        """Give up on overdue peers. One timer for all: a timer for each would cost each request."""
        now = asyncio.get_running_loop().time()
        for connection in list(self._serving.connections):
            if connection.overdue(now):
                connection.expire()
        self._sweep_later()
