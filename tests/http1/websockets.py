"""Opening WebSockets at a site, for the tests of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import websockets
from websockets.asyncio.client import connect

from sluice.http1.server import Exchange
from sluice.wire.messages import Response
from sluice.wire.websocket import Close, WebSocket
from tests.http1.conftest import Site

CLOSES = [
    Close(1000, "done"),
    Close(1001, "away"),
    Close(1008, "policy"),
    Close(1011, "bug"),
    Close(3000, "library"),
    Close(4999, "ünïcode"),  # a reason is UTF-8
    Close(),  # an empty close frame
]


def opens(end: WebSocket, *headers: tuple[str, bytes]) -> Callable[[Exchange], Awaitable[Response]]:
    """A handler that opens every WebSocket to `end`."""

    async def handler(exchange: Exchange) -> Response:
        assert exchange.request.websocket
        return Response(101, list(headers), websocket=end)

    return handler


async def open_client(site: Site, **options: Any) -> websockets.ClientConnection:
    """A client's connection to the site, over TCP."""
    host, port = await site.server.listen_tcp("127.0.0.1", 0)
    return await connect(f"ws://{host}:{port}/", compression=None, **options)
