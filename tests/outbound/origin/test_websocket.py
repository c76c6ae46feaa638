from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection
from websockets.asyncio.server import serve as serve_websockets
from websockets.typing import Subprotocol

from services.outbound.origin.client import GuardedClient
from sluice.http1 import handshake
from sluice.wire.errors import Reason, SluiceError
from sluice.wire.messages import Request
from sluice.wire.websocket import Binary, Close, Message, Text, WebSocket
from tests.outbound.calls import ACME, MakeClient
from tests.outbound.origins import Authority, Serve

KEPT = Close(4000, "from the origin")


async def _origin(connection: ServerConnection) -> None:
    """Send a first message behind the handshake, then echo, or do what a message says."""
    await connection.send("hello")
    async for message in connection:
        if message == "vanish":
            connection.transport.abort()
        elif message == "close":
            await connection.close(KEPT.code or 0, KEPT.reason)
        else:
            await connection.send(message)


def _subprotocol(_: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    return Subprotocol("b") if "b" in offered else None


@pytest.fixture
async def origins() -> AsyncIterator[dict[str, Any]]:
    """An origin, what it was asked, and its open connections."""
    async with serve_websockets(
        _origin, "127.0.0.1", 0, max_size=None, select_subprotocol=_subprotocol
    ) as server:
        yield {"url": f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/", "server": server}


def request(url: str, *headers: tuple[str, bytes]) -> Request:
    """A request for a WebSocket."""
    return Request("GET", url, list(headers), websocket=True)


async def opened(client: GuardedClient, url: str) -> WebSocket:
    """An open WebSocket that has said hello."""
    response = await client.send(request(url), ACME)
    assert response.status == 101
    assert response.websocket is not None
    assert await response.websocket.receive() == Text("hello")
    return response.websocket


async def test_messages(client: GuardedClient, origins: dict[str, Any]) -> None:
    """Text and binary of any size cross both ways, and the first is not lost behind the head."""
    socket = await opened(client, origins["url"])
    for message in (Text("ä"), Binary(b"\xff" * 2**20), Text("")):
        await socket.send(message)
        assert await socket.receive() == message
    await socket.send(Close(1000, "done"))
    assert await socket.receive() == Close(1000, "done")
    await socket.aclose()


async def test_head(client: GuardedClient, origins: dict[str, Any]) -> None:
    """The subprotocol is end to end; no extension is offered; no body is sent."""
    response = await client.send(
        request(origins["url"], ("x-latin", b"\xe9"), ("sec-websocket-protocol", b"a, b")), ACME
    )
    assert ("sec-websocket-protocol", b"b") in response.headers
    assert not [n for n, _ in response.headers if n.startswith("sec-websocket-a")]
    (connection,) = origins["server"].connections
    assert "sec-websocket-extensions" not in connection.request.headers
    assert connection.request.headers["x-latin"] == "\xe9"
    await response.aclose()


async def test_the_origin_closes(client: GuardedClient, origins: dict[str, Any]) -> None:
    """Its code and reason are given as they are."""
    socket = await opened(client, origins["url"])
    await socket.send(Text("close"))
    assert await socket.receive() == KEPT
    await socket.send(Close(KEPT.code))
    await socket.aclose()


async def test_the_origin_vanishes(client: GuardedClient, origins: dict[str, Any]) -> None:
    """That is no close."""
    socket = await opened(client, origins["url"])
    await socket.send(Text("vanish"))
    assert await socket.receive() is None
    await socket.send(Text("into the void"))
    await socket.aclose()


async def test_we_vanish(client: GuardedClient, origins: dict[str, Any]) -> None:
    """An end that is closed without a close resets the origin."""
    socket = await opened(client, origins["url"])
    (connection,) = origins["server"].connections
    await socket.aclose()
    await connection.wait_closed()
    assert connection.close_code == 1006


async def test_a_message_over_the_limit(make_client: MakeClient, origins: dict[str, Any]) -> None:
    """The origin is refused with 1009."""
    socket = await opened(make_client(max_message=1000), origins["url"])
    (connection,) = origins["server"].connections
    await socket.send(Binary(b"x" * 1001))
    assert await socket.receive() is None
    await socket.aclose()
    await connection.wait_closed()
    assert connection.close_code == 1009


async def test_each_has_its_own_connection(
    make_client: MakeClient, origins: dict[str, Any]
) -> None:
    """WebSockets take no place from requests, and give theirs back however they end."""
    client = make_client(
        max_connections=1, max_connections_per_host=1, max_websockets=4, connect_timeout=0.2
    )
    for end in (Text("vanish"), Close(1000)):
        sockets = [await opened(client, origins["url"]) for _ in range(2)]
        response = await client.send(Request("GET", origins["url"]), ACME)
        assert response.status == 426
        await response.aclose()
        with pytest.raises(SluiceError) as raised:
            await client.send(request(origins["url"]), ACME)
        assert raised.value.reason is Reason.LOAD_SHED
        for socket in sockets:
            await socket.send(end)
            assert await socket.receive() == (end if isinstance(end, Close) else None)
            await socket.aclose()


async def test_tls(make_client: MakeClient, authority: Authority) -> None:
    """`https` is `wss`, verified, and ends as cleanly."""
    tls = authority.server("127.0.0.1")
    async with serve_websockets(_origin, "127.0.0.1", 0, ssl=tls) as server:
        url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        socket = await opened(make_client(), url)
        await socket.send(Binary(b"x" * 300_000))
        assert await socket.receive() == Binary(b"x" * 300_000)
        await socket.send(Close(1000))
        assert await socket.receive() == Close(1000)
        await socket.aclose()


async def test_the_guard(make_client: MakeClient, origins: dict[str, Any]) -> None:
    """A WebSocket reaches no address that a request would not."""
    with pytest.raises(SluiceError) as raised:
        await make_client(allow=()).send(request(origins["url"]), ACME)
    assert raised.value.reason is Reason.DESTINATION_PROHIBITED


async def test_an_ordinary_answer(client: GuardedClient, serve: Serve) -> None:
    """It comes back as one."""

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno")

    response = await client.send(request(f"http://127.0.0.1:{await serve(refuse)}/"), ACME)
    assert (response.status, response.websocket) == (403, None)
    assert [chunk async for chunk in response.body] == [b"no"]
    await response.aclose()


@pytest.mark.parametrize(
    "lines",
    [
        b"connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: wrong\r\n",
        b"connection: upgrade\r\nupgrade: websocket\r\n",  # no proof at all
        b"connection: upgrade\r\nupgrade: h2c\r\n",  # another protocol
    ],
)
async def test_a_wrong_101(client: GuardedClient, serve: Serve, lines: bytes) -> None:
    """An answer that does not prove the handshake is no WebSocket."""

    async def wrong(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\n" + lines + b"\r\n")
        await reader.read()

    with pytest.raises(SluiceError) as raised:
        await client.send(request(f"http://127.0.0.1:{await serve(wrong)}/"), ACME)
    assert raised.value.reason is Reason.INVALID_RESPONSE


async def test_an_origin_that_does_not_read(make_client: MakeClient, serve: Serve) -> None:
    """It is broken off, after the idle timeout."""

    async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        key = head.partition(b"sec-websocket-key: ")[2].partition(b"\r\n")[0]
        writer.write(b"HTTP/1.1 101 x\r\n" + handshake.response_lines(key) + b"\r\n")
        await asyncio.Event().wait()

    client = make_client(idle_timeout=0.2)
    response = await client.send(request(f"http://127.0.0.1:{await serve(deaf)}/"), ACME)
    socket = response.websocket
    assert socket is not None
    receiving: asyncio.Task[Message | None] = asyncio.ensure_future(socket.receive())
    while not receiving.done():
        await socket.send(Binary(b"x" * 2**20))
        await asyncio.sleep(0)  # once it is broken off, a send waits for nothing
    assert await receiving is None
    await response.aclose()
