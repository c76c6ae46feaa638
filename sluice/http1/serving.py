"""What the connections of one server share, and how a request gets its response."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sluice.http1 import outgoing
from sluice.http1.exchange import Handler, Peer
from sluice.http1.limits import Limits
from sluice.http1.outgoing import Outgoing
from sluice.http1.request_reader import Arrived
from sluice.wire.errors import Reason, SluiceError
from sluice.wire.messages import Response

if TYPE_CHECKING:
    from sluice.http1.server_connection import ServerConnection

log = logging.getLogger("sluice.http1")


@dataclass(slots=True)
class Serving:
    """A server's settings, and what is going on there."""

    handler: Handler
    on_error: Callable[[SluiceError], Response]
    scheme: str
    limits: Limits
    admit: Callable[[Peer], bool] | None
    connections: dict[ServerConnection, None] = field(default_factory=dict)
    """Those that are open, the oldest first."""

    tasks: set[asyncio.Task[None]] = field(default_factory=set)
    """One for each request in flight."""
    closing: bool = False

    def admits(self, peer: Peer) -> bool:
        """Whether to serve one more connection, of that peer.

        Where there are as many as may be, the oldest of those without a request makes room.
        """
        if self.closing or not (self.admit is None or self.admit(peer)):
            return False
        return len(self.connections) < self.limits.max_connections or self._makes_room()

    def _makes_room(self) -> bool:
        oldest = next((connection for connection in self.connections if connection.idle), None)
        if oldest is None:
            return False
        del self.connections[oldest]
        oldest.abort()
        return True

    async def respond(self, arrived: Arrived) -> tuple[Response, Outgoing]:
        """The handler's response, or in its place that of the error it raised."""
        response: Response | None = None
        try:
            response = await self.handler(arrived.exchange)
            return response, self._outgoing(response, arrived)
        except SluiceError as error:
            instead = self.on_error(error)
        except Exception:
            log.exception("the handler of a request failed")
            instead = self.on_error(SluiceError(Reason.INTERNAL, "the handler failed"))
        if response is not None:
            await response.aclose()
        return instead, self._outgoing(instead, arrived)

    def _outgoing(self, response: Response, arrived: Arrived) -> Outgoing:
        if response.websocket is not None:
            return outgoing.switch(response, arrived.key)
        return outgoing.response(
            response,
            arrived.exchange.request.method,
            chunks=arrived.chunks,
            close=self.closing or not arrived.keep_alive,
            unread=arrived.unread,
        )
