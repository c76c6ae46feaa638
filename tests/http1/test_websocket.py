from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import websockets
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed, ConnectionClosedError

from sluice.http1.client import Client
from sluice.http1.server import Exchange, Limits
from sluice.wire.errors import Reason, SluiceError
from sluice.wire.messages import Request, Response
from sluice.wire.websocket import Binary, Close, Message, Text, WebSocket, join
from tests.http1.conftest import Site, until

CLOSES = [
    Close(1000, "done"),
    Close(1001, "away"),
    Close(1008, "policy"),
    Close(1011, "bug"),
    Close(3000, "library"),
    Close(4999, "ünïcode"),  # a reason is UTF-8
    Close(),  # an empty close frame
]


class End:
    """The far end of a served WebSocket, in a test's hands."""

    def __init__(self) -> None:
        self.inbox: asyncio.Queue[Message] = asyncio.Queue()
        self.outbox: asyncio.Queue[Message | None] = asyncio.Queue()
        self.room = asyncio.Event()
        self.room.set()
        self.closed = asyncio.Event()

    async def receive(self) -> Message | None:
        return await self.outbox.get()

    async def send(self, message: Message) -> None:
        await self.room.wait()
        self.inbox.put_nowait(message)

    async def aclose(self) -> None:
        self.closed.set()


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


async def test_messages_cross(site: Site) -> None:
    """Text and binary arrive whole and in order, both ways, fragmented or not."""
    end = End()
    site.handler = opens(end)
    async with await open_client(site) as client:
        await client.send("ä" * 200)
        await client.send(b"\0\xff" * 40_000)
        await client.send(["frag", "ments"])
        await client.send("")
        received = [await end.inbox.get() for _ in range(4)]
        assert received == [
            Text("ä" * 200),
            Binary(b"\0\xff" * 40_000),
            Text("fragments"),
            Text(""),
        ]
        end.outbox.put_nowait(Text("x"))
        end.outbox.put_nowait(Binary(b"y" * 70_000))
        assert await client.recv() == "x"
        assert await client.recv() == b"y" * 70_000
        end.outbox.put_nowait(Close(1000))
        end.outbox.put_nowait(None)
    await end.closed.wait()


@pytest.mark.parametrize("close", CLOSES, ids=repr)
async def test_the_client_closes(site: Site, close: Close) -> None:
    """Its code and reason go on, and the far end's answer, not ours, comes back."""
    end = End()
    site.handler = opens(end)
    client = await open_client(site)
    client.protocol.send_close(close.code, close.reason)
    client.send_data()
    assert await end.inbox.get() == close
    end.outbox.put_nowait(Close(4001, "answer"))
    await client.wait_closed()
    assert client.protocol.close_rcvd is not None
    assert (client.protocol.close_rcvd.code, client.protocol.close_rcvd.reason) == (4001, "answer")
    await end.closed.wait()


@pytest.mark.parametrize("close", CLOSES, ids=repr)
async def test_the_far_end_closes(site: Site, close: Close) -> None:
    """The client is told its code and reason, and its answer goes back."""
    end = End()
    site.handler = opens(end)
    client = await open_client(site)
    end.outbox.put_nowait(close)
    await client.wait_closed()
    received = client.protocol.close_rcvd
    assert received is not None
    assert (received.code, received.reason) == (close.code or 1005, close.reason)
    assert await end.inbox.get() == close
    await end.closed.wait()


async def test_messages_before_a_close_are_not_lost(site: Site) -> None:
    """A client that sends much and closes at once, while nobody reads yet, is heard to the end."""
    end = End()
    end.room.clear()
    site.handler = opens(end)
    client = await open_client(site)
    for number in range(100):
        await client.send(str(number))
    end.outbox.put_nowait(Close(1000))
    await client.close(3001, "bye")
    end.room.set()
    received = [await end.inbox.get() for _ in range(101)]
    assert received[:100] == [Text(str(number)) for number in range(100)]
    assert isinstance(received[100], Close)


async def test_a_client_that_vanishes(site: Site) -> None:
    """The far end is closed without a `Close`."""
    end = End()
    site.handler = opens(end)
    client = await open_client(site)
    await client.send("x")
    assert await end.inbox.get() == Text("x")
    client.transport.abort()
    await end.closed.wait()
    assert end.inbox.empty()


async def test_a_far_end_that_vanishes(site: Site) -> None:
    """The client is reset, never closed cleanly."""
    end = End()
    site.handler = opens(end)
    client = await open_client(site)
    end.outbox.put_nowait(None)
    with pytest.raises(ConnectionClosedError):
        await client.recv()
    assert client.close_code == 1006


async def test_a_message_over_the_limit(site: Site) -> None:
    """It is refused with 1009; the far end is told nothing but that the client is gone."""
    end = End()
    site.handler = opens(end)
    client = await open_client(site)
    await client.send(b"x" * 2**20)  # the most
    assert await end.inbox.get() == Binary(b"x" * 2**20)
    await client.send(b"x" * (2**20 + 1))
    with pytest.raises(ConnectionClosed):
        await client.recv()
    assert client.close_code == 1009
    await end.closed.wait()
    assert end.inbox.empty()


async def test_the_limit_is_configurable(quiet_site: Site) -> None:
    """A message in small fragments is over it, too, and in bytes, not in characters."""
    end = End()
    await quiet_site.start(Limits(max_message=10))
    quiet_site.handler = opens(end)
    client = await open_client(quiet_site)
    await client.send(["ä", "ä", "ä", "ä", "ä"])
    assert await end.inbox.get() == Text("äääää")
    await client.send(["ä", "ä", "ä", "ä", "ä", "a"])
    await client.wait_closed()
    assert client.close_code == 1009


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (b"\x81\x01a", 1002),  # unmasked
        (b"\x83\x80\0\0\0\0", 1002),  # a reserved opcode
        (b"\xc1\x80\0\0\0\0", 1002),  # a reserved bit: compressed
        (b"\x80\x80\0\0\0\0", 1002),  # a continuation of nothing
        (b"\x88\x82\0\0\0\0\x03\xed", 1002),  # close code 1005, which is never sent
        (b"\x81\x81\0\0\0\0\xff", 1007),  # not UTF-8
    ],
)
async def test_what_is_no_websocket(site: Site, frame: bytes, code: int) -> None:
    """It is refused with the code of its fault, and the far end is closed."""
    end = End()
    site.handler = opens(end)
    client = await open_client(site)
    client.transport.write(frame)
    await client.wait_closed()
    assert client.protocol.close_rcvd is not None
    assert client.protocol.close_rcvd.code == code
    await end.closed.wait()


async def test_pings_are_answered_here(site: Site) -> None:
    """A ping gets its pong, and goes no further."""
    end = End()
    site.handler = opens(end)
    async with await open_client(site) as client:
        await (await client.ping(b"payload"))
        end.outbox.put_nowait(Close(1000))
    assert await end.inbox.get() == Close(1000)


async def test_a_quiet_peer_is_pinged(quiet_site: Site) -> None:
    """One that answers stays; one that does not is dropped."""
    end = End()
    await quiet_site.start(Limits(stall_timeout=0.2))
    quiet_site.handler = opens(end)
    client = await open_client(quiet_site, ping_interval=None)
    pings = 0
    receive = client.protocol.recv_frame

    def counted(frame: Any) -> None:
        nonlocal pings
        pings += 1
        receive(frame)

    client.protocol.recv_frame = counted  # type: ignore[method-assign]
    await until(lambda: pings == 4)
    assert not end.closed.is_set()
    client.transport.pause_reading()
    await end.closed.wait()
    client.transport.abort()
    await client.wait_closed()


async def test_back_pressure(site: Site) -> None:
    """A far end that takes nothing stalls the client, with a bounded amount held here."""
    end = End()
    end.room.clear()
    site.handler = opens(end)
    client = await open_client(site)
    sent = 0

    async def flood() -> None:
        nonlocal sent
        while True:
            await client.send(b"x" * 65536)
            sent += 1

    flooding = asyncio.create_task(flood())
    before = -1
    while sent != before:
        before = sent
        await asyncio.wait([flooding], timeout=0.3)
    assert 0 < sent < 200  # socket buffers, theirs and ours
    socket = site.connection()._socket
    assert socket is not None
    assert socket._waiting_bytes < 512 * 1024
    end.room.set()
    for _ in range(sent):
        await end.inbox.get()
    await until(lambda: sent > before)
    flooding.cancel()
    client.transport.abort()
    await end.closed.wait()


async def test_subprotocol_and_extensions(site: Site) -> None:
    """The subprotocol is the far end's to choose; an extension is nobody's."""
    end = End()
    site.handler = opens(end, ("sec-websocket-protocol", b"chat.v2"))
    host, port = await site.server.listen_tcp("127.0.0.1", 0)
    async with connect(f"ws://{host}:{port}/", subprotocols=["chat.v1", "chat.v2"]) as client:  # type: ignore[list-item]
        assert client.subprotocol == "chat.v2"
        assert client.protocol.extensions == []
        (exchange,) = site.exchanges
        names = [name for name, _ in exchange.request.headers if name.startswith("sec-websocket")]
        assert names == ["sec-websocket-protocol"]
        end.outbox.put_nowait(Close(1000))


async def test_draining(quiet_site: Site) -> None:
    """A server that stops tells its WebSockets so, and waits for their answer."""
    end = End()
    await quiet_site.start()
    quiet_site.handler = opens(end)
    client = await open_client(quiet_site)
    stopping = asyncio.create_task(quiet_site.server.close(10))
    assert await end.inbox.get() == Close(1001)
    end.outbox.put_nowait(Close(1001))
    await client.wait_closed()
    assert client.close_code == 1001
    await stopping


async def test_a_request_that_is_refused(site: Site) -> None:
    """An ordinary answer is an ordinary answer, and the connection carries the next request."""

    async def handler(exchange: Exchange) -> Response:
        return Response(403 if exchange.request.websocket else 200)

    site.handler = handler
    key = b"sec-websocket-version: 13\r\nsec-websocket-key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n"
    upgrade = b"connection: upgrade\r\nupgrade: websocket\r\n" + key
    wire = await site.wire(
        b"GET / HTTP/1.1\r\nhost: a\r\n" + upgrade + b"\r\nGET / HTTP/1.1\r\nhost: a\r\n\r\n"
    )
    assert (await wire.response())[0] == 403
    assert (await wire.response())[0] == 200


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        (b"sec-websocket-version: 8\r\nsec-websocket-key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n", 426),
        (b"sec-websocket-key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n", 426),
        (b"sec-websocket-version: 13\r\n", 400),
        (b"sec-websocket-version: 13\r\nsec-websocket-key: c2hvcnQ=\r\n", 400),
        (b"sec-websocket-version: 13\r\nsec-websocket-key: ?\r\n", 400),
    ],
)
async def test_a_bad_handshake(site: Site, lines: bytes, status: int) -> None:
    """It is refused before the handler."""
    head = b"GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
    wire = await site.wire(head + lines + b"\r\n")
    assert (await wire.response())[0] == status
    assert site.exchanges == []


async def test_a_websocket_nobody_asked_for(site: Site) -> None:
    """A handler that opens one in answer to an ordinary request is at fault."""
    end = End()

    async def handler(_: Exchange) -> Response:
        return Response(101, websocket=end)

    site.handler = handler
    wire = await site.wire(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
    assert await wire.response() == (502, b"INVALID_RESPONSE")
    assert end.closed.is_set()


# The client's half.


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


@pytest.mark.parametrize(
    "head",
    [
        b"sec-websocket-accept: wrong\r\nupgrade: websocket\r\nconnection: upgrade\r\n",
        b"upgrade: websocket\r\nconnection: upgrade\r\n",  # no proof at all
        b"",  # 101 to nothing
    ],
)
async def test_client_gets_a_wrong_101(origin: Any, caller: Client, head: bytes) -> None:
    """An answer that does not prove the handshake is no WebSocket."""

    async def script(wire: Any) -> None:
        await wire.head()
        wire.send(b"HTTP/1.1 101 Switching Protocols\r\n" + head + b"\r\n")
        await wire.ended()

    origin.script = script
    request = Request("GET", "http://a.test/", websocket=True)
    with pytest.raises(SluiceError) as raised:
        await caller.send(request, {})
    assert raised.value.reason is Reason.INVALID_RESPONSE


async def test_client_is_refused(site: Site, client: Client) -> None:
    """An ordinary answer comes back as one, with its body, and the connection is kept."""
    for _ in range(2):
        request = Request("GET", "http://a.test/", websocket=True)
        response, _ = await client.send(request, {})
        assert (response.status, response.websocket) == (200, None)
        assert response.body.take() == (b"", True)
        await response.aclose()
    assert len(site.server._serving.connections) == 1


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
