from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator

import pytest
from websockets.asyncio.server import ServerConnection, serve

from sluice.http1.client import Client
from sluice.http1.server import Exchange
from sluice.wire.messages import Request, Response
from sluice.wire.websocket import Binary, Close, Text, WebSocket, join
from tests.http1.conftest import Site
from tests.http1.websockets import CLOSES
from tests.websockets import End


@pytest.fixture
async def echo() -> AsyncIterator[tuple[str, int]]:
    """A server that sends back what it gets, in the subprotocol `chat`."""

    async def handler(connection: ServerConnection) -> None:
        async for message in connection:
            if message == "vanish":
                connection.transport.abort()
            elif isinstance(message, str) and message.startswith("close "):
                await connection.close(int(message[6:]), "as told")
            else:
                await connection.send(message)

    async with serve(
        handler,
        "127.0.0.1",
        0,
        subprotocols=["chat"],  # type: ignore[list-item]
        max_size=None,
    ) as server:
        host, port = server.sockets[0].getsockname()[:2]
        yield host, port


@pytest.fixture
async def far(echo: tuple[str, int]) -> AsyncIterator[WebSocket]:
    """Our client's WebSocket to it."""
    client = Client(echo, max_message=100_000)
    request = Request("GET", "http://a.test/", [("sec-websocket-protocol", b"chat")])
    request.websocket = True
    response, _ = await client.send(request, {})
    assert (response.status, response.headers[-1]) == (101, ("server", response.headers[-1][1]))
    assert ("sec-websocket-protocol", b"chat") in response.headers
    assert response.websocket is not None
    yield response.websocket
    await response.aclose()
    await client.aclose()


async def test_client_messages(far: WebSocket) -> None:
    """What our client sends arrives and comes back."""
    for message in (Text("ä"), Binary(b"\0" * 99_000), Text("")):
        await far.send(message)
        assert await far.receive() == message


@pytest.mark.parametrize("close", CLOSES, ids=repr)
async def test_client_closes(far: WebSocket, close: Close) -> None:
    """Its close arrives as it is: the server's library sends back the code it got."""
    await far.send(close)
    received = await far.receive()
    assert received == Close(close.code, close.reason)
    await far.send(Text("after the close, nothing is sent"))


async def test_client_is_closed(far: WebSocket) -> None:
    """The server's close is a message."""
    await far.send(Text("close 4123"))
    assert await far.receive() == Close(4123, "as told")
    await far.send(Close(4123))


async def test_client_is_left(far: WebSocket) -> None:
    """A server that vanishes is no close, for whoever waits and for whoever sends."""
    await far.send(Text("vanish"))
    assert await far.receive() is None
    await far.send(Text("into the void"))
    assert await far.receive() is None


async def test_client_gets_a_message_over_the_limit(far: WebSocket) -> None:
    """The server is refused with 1009, and is gone for us."""
    await far.send(Binary(b"x" * 100_001))
    assert await far.receive() is None


async def test_both_halves(site: Site, client: Client) -> None:
    """Our client and our server, joined to themselves, carry a frame behind the handshake."""

    async def handler(_: Exchange) -> Response:
        near, far = End(), End()
        near.outbox, far.outbox = far.inbox, near.inbox  # type: ignore[assignment]
        far.outbox.put_nowait(Text("first"))
        task = asyncio.create_task(join(_Mirror(), near))
        tasks.append(task)
        return Response(101, websocket=far)

    tasks: list[asyncio.Task[bool]] = []
    site.handler = handler
    response, _ = await client.send(Request("GET", "http://a.test/", websocket=True), {})
    assert response.websocket is not None
    assert await response.websocket.receive() == Text("first")
    await response.websocket.send(Text("again"))
    assert await response.websocket.receive() == Text("again")
    await response.websocket.send(Close(1000, struct.pack("2s", b"ok").decode()))
    assert await response.websocket.receive() == Close(1000, "ok")
    assert await asyncio.gather(*tasks) == [True]


class _Mirror(End):
    """Gives back what it is sent."""

    def __init__(self) -> None:
        super().__init__()
        self.outbox = self.inbox  # type: ignore[assignment]
