"""WebSockets of Python Workers: accepted, opened, and passed on."""

from __future__ import annotations

import asyncio

import pytest

from sluice.http1.server import Exchange
from sluice.wire.body import Whole
from sluice.wire.messages import Response
from sluice.wire.websocket import Binary, Close, Message, Text, WebSocket
from tests.isolate.python.conftest import StartGuest
from tests.isolate.python.guest import Files, Guest
from tests.websockets import End

LISTENERS = """
from workers import Response, WebSocketPair, fetch
async def hear(event):
    server = event.target
    if event.data == "fetch":
        server.send(await (await fetch("http://o.test/")).text())
    elif event.data == "close":
        server.close(4321, "the Worker")
    elif event.data == "raise":
        raise ValueError("oops")
    else:
        server.send(event.data)
def on_fetch(request):
    client, server = WebSocketPair.new().object_values()
    server.accept()
    server.addEventListener("message", hear)
    server.onclose = lambda event: print(event.type, event.code, event.reason, event.wasClean)
    return Response(None, status=101, web_socket=client, headers={"Sec-WebSocket-Protocol": "chat"})
"""
ITERATES = """
from workers import Response, WebSocketPair, WorkerEntrypoint, fetch
class Default(WorkerEntrypoint):
    async def fetch(self, request):
        client, server = WebSocketPair()
        server.accept()
        self.ctx.wait_until(self.serve(server))
        return Response(None, status=101, web_socket=client, headers={"Sec-WebSocket-Protocol": "chat"})
    async def serve(self, server):
        async for message in server:
            if message == "fetch":
                server.send(await (await fetch("http://o.test/")).text())
            elif message == "close":
                server.close(4321, "the Worker")
            else:
                await server.send(message)
        print("close", server.close_code, server.close_reason, server.close_code != 1006)
"""
SERVERS = {"listeners": LISTENERS, "iteration": ITERATES}
THROUGH = """
from workers import fetch
async def on_fetch(request): return await fetch("http://o.test/chat?x", headers=request.headers)
"""
DISPATCH = """
from workers import WorkerEntrypoint
class Default(WorkerEntrypoint):
    async def fetch(self, request):
        return await self.env.dispatcher.get("acme").fetch(request)
"""
BRIDGE = """
from workers import Response, WebSocketPair, fetch
async def on_fetch(request):
    client, server = WebSocketPair()
    origin = (await fetch("http://o.test/", headers={"Upgrade": "websocket"})).web_socket
    def carry(source, sink):
        def ended(event):
            if event.code == 1005: sink.close()
            else: sink.close(4006 if event.code == 1006 else event.code, event.reason)
        source.onmessage = lambda event: sink.send(event.data)
        source.onclose = ended
        source.accept()
    carry(server, origin)
    carry(origin, server)
    return Response(None, status=101, web_socket=client)
"""
CLOSES = [
    Close(1000, "done"),
    Close(1001, "away"),
    Close(1011, "bug"),
    Close(3000, "library"),
    Close(4999, "\u00fc"),
    Close(),
]


async def opened(guest: Guest) -> tuple[Response, WebSocket]:
    """The Worker's WebSocket, open."""
    async with asyncio.timeout(10):
        response, said = await guest.open(
            websocket=True, headers=[("sec-websocket-protocol", "chat")]
        )
    assert response.status == 101, said
    assert response.websocket is not None
    return response, response.websocket


async def received(socket: WebSocket) -> Message | None:
    """The next message, in time."""
    async with asyncio.timeout(10):
        return await socket.receive()


def far_end(guest: Guest) -> End:
    """What the Worker's own WebSocket reaches. A path `/refused` is refused."""
    end = End()

    async def answer(exchange: Exchange, _: bytes) -> Response:
        if not exchange.request.websocket or exchange.request.url.endswith("/refused"):
            return Response(403, body=Whole(b"no"))
        return Response(101, [("sec-websocket-protocol", b"v2")], websocket=end)

    guest.answer = answer
    return end


@pytest.mark.parametrize("source", SERVERS.values(), ids=SERVERS)
async def test_a_worker_serves_one(start: StartGuest, source: str) -> None:
    """Text and binary cross whole and in order, and a subrequest in between is the invocation's."""
    guest = await start(source)
    response, socket = await opened(guest)
    assert response.headers == [("sec-websocket-protocol", b"chat")]
    for message in (Text("\u00e4"), Binary(b"\0\xff" * 2**19), Text(""), Binary(b"x" * 200)):
        await socket.send(message)
        assert await received(socket) == message
    for number in range(500):
        await socket.send(Text(str(number)))
    assert [await received(socket) for _ in range(500)] == [Text(str(i)) for i in range(500)]
    await socket.send(Text("fetch"))
    assert await received(socket) == Text("for t-0")
    await response.aclose()


@pytest.mark.parametrize("close", CLOSES, ids=repr)
@pytest.mark.parametrize("source", SERVERS.values(), ids=SERVERS)
async def test_the_client_closes(start: StartGuest, source: str, close: Close) -> None:
    """The Worker hears the code and the reason, and a close that it leaves alone is answered."""
    guest = await start(source)
    response, socket = await opened(guest)
    await socket.send(close)
    assert await received(socket) == close
    await response.aclose()
    said = f"close {1005 if close.code is None else close.code} {close.reason} True\n"
    assert (await guest.process.stdout.readline()).decode() == said


@pytest.mark.parametrize("source", SERVERS.values(), ids=SERVERS)
async def test_the_worker_closes(start: StartGuest, source: str) -> None:
    """Its code and reason arrive, and then the client's answer reaches it."""
    guest = await start(source)
    response, socket = await opened(guest)
    await socket.send(Text("close"))
    assert await received(socket) == Close(4321, "the Worker")
    await socket.send(Close(4321, "the answer"))
    await response.aclose()
    assert await guest.process.stdout.readline() == b"close 4321 the answer True\n"


@pytest.mark.parametrize("source", SERVERS.values(), ids=SERVERS)
async def test_the_client_vanishes(start: StartGuest, source: str) -> None:
    """The Worker hears 1006, before its invocation is over."""
    guest = await start(source)
    response, socket = await opened(guest)
    await socket.send(Text("x"))
    assert await received(socket) == Text("x")
    await response.aclose()
    said = b"close 1006 WebSocket disconnected without sending Close frame. False\n"
    assert await guest.process.stdout.readline() == said


async def test_a_listener_that_raises(start: StartGuest) -> None:
    """It is printed, and the WebSocket goes on."""
    guest = await start(LISTENERS)
    _, socket = await opened(guest)
    await socket.send(Text("raise"))
    await socket.send(Text("on"))
    assert await received(socket) == Text("on")
    assert "ValueError: oops" in await guest.printed()


async def test_a_worker_that_dies(start: StartGuest) -> None:
    """Its WebSocket ends without a close."""
    guest = await start(ITERATES)
    _, socket = await opened(guest)
    guest.process.kill()
    assert await received(socket) is None


PASSING: dict[str, tuple[str, Files | str, dict[str, object]]] = {
    "fetch": ("http://o.test/chat?x", THROUGH, {}),
    "dispatch": (
        "http://acme.example.com/",
        DISPATCH,
        {"role": "direct", "dispatch_namespaces": ["dispatcher"]},
    ),
}


@pytest.mark.parametrize("way", PASSING)
async def test_one_is_passed_on(start: StartGuest, way: str) -> None:
    """What `fetch()` or a dispatched Worker opened is the response, both ways, close for close."""
    url, source, settings = PASSING[way]
    guest = await start(source, **settings)
    end = far_end(guest)
    response, socket = await opened(guest)
    assert ("sec-websocket-protocol", b"v2") in response.headers
    [asked] = guest.subrequests
    assert (asked.url, asked.headers) == (url, [("sec-websocket-protocol", "chat")])
    for message in (Text("\u00e4"), Binary(b"\0\xff" * 2**19), Text("")):
        await socket.send(message)
        assert await end.inbox.get() == message
        end.outbox.put_nowait(message)
        assert await received(socket) == message
    await socket.send(Close(4000, "mine"))
    assert await end.inbox.get() == Close(4000, "mine")
    end.outbox.put_nowait(Text("one more"))
    end.outbox.put_nowait(Close(4001, "yours"))
    assert await received(socket) == Text("one more")
    assert await received(socket) == Close(4001, "yours")
    await response.aclose()
    async with asyncio.timeout(10):
        await end.closed.wait()


@pytest.mark.parametrize("way", PASSING)
async def test_an_end_of_one_passed_on_vanishes(start: StartGuest, way: str) -> None:
    """The other end is reset: no close is made up."""
    _, source, settings = PASSING[way]
    guest = await start(source, **settings)
    end = far_end(guest)
    _, socket = await opened(guest)
    end.outbox.put_nowait(None)
    assert await received(socket) is None
    end = far_end(guest)
    response, socket = await opened(guest)
    await response.aclose()
    async with asyncio.timeout(10):
        await end.closed.wait()
    assert end.inbox.empty()


@pytest.mark.parametrize("close", [*CLOSES, None], ids=repr)
async def test_a_bridge(start: StartGuest, close: Close | None) -> None:
    """A Worker that accepts both ends carries messages and closes, and tells of one that is gone."""
    expected = close or Close(4006, "WebSocket disconnected without sending Close frame.")
    guest = await start(BRIDGE)
    for from_client in (True, False):
        end = far_end(guest)
        response, socket = await opened(guest)
        await socket.send(Text("out"))
        assert await end.inbox.get() == Text("out")
        end.outbox.put_nowait(Binary(b"in"))
        assert await received(socket) == Binary(b"in")
        if from_client:
            await (response.aclose() if close is None else socket.send(close))
            async with asyncio.timeout(10):
                assert await end.inbox.get() == expected
        else:
            end.outbox.put_nowait(close)
            assert await received(socket) == expected
        await response.aclose()
        end.outbox.put_nowait(None)


async def test_a_slow_client_slows_the_worker(start: StartGuest) -> None:
    """Who awaits `send()` is held up by a client that does not read, and loses nothing."""
    guest = await start("""
from workers import Response, WebSocketPair, wait_until
sent = 0
async def flood(server):
    global sent
    for _ in range(400):
        await server.send(bytes(65536))
        sent += 1
    server.close(1000)
def on_fetch(request):
    if request.url.endswith("/look"):
        return Response(str(sent))
    client, server = WebSocketPair()
    server.accept()
    wait_until(flood(server))
    return Response(None, status=101, web_socket=client)
""")
    response, socket = await opened(guest)
    assert await received(socket) == Binary(bytes(65536))
    for _ in range(3):
        assert int((await guest.fetch("http://w.test/look")).text) < 100
    assert [await received(socket) for _ in range(399)] == [Binary(bytes(65536))] * 399
    assert await received(socket) == Close(1000)
    await response.aclose()


async def test_what_waits_has_a_bound(start: StartGuest) -> None:
    """A Worker that never awaits `send()` is told when too much waits."""
    guest = await start("""
from workers import Response, WebSocketPair
def on_fetch(request):
    client, server = WebSocketPair()
    server.accept()
    for _ in range(100):
        server.send(bytes(1 << 20))
""")
    reply = await guest.fetch(headers=[("x", "y")])
    assert reply.error is not None
    assert reply.error["name"] == "OSError"
    assert "await send()" in reply.error["message"]


async def test_a_refused_one(start: StartGuest) -> None:
    """An answer other than 101 is an ordinary response, without a WebSocket."""
    guest = await start("""
from workers import Response, fetch
async def on_fetch(request):
    response = await fetch("http://o.test/refused", headers={"Upgrade": "websocket"})
    return Response(f"{response.status} {response.web_socket} {await response.text()}")
""")
    far_end(guest)
    assert (await guest.fetch()).text == "403 None no"


async def test_what_is_left_open_ends_with_the_invocation(start: StartGuest) -> None:
    """A WebSocket that a Worker opened and left is reset once the response is sent."""
    guest = await start("""
from workers import Response, fetch
async def on_fetch(request):
    for accepts in (True, False):
        socket = (await fetch("http://o.test/", headers={"Upgrade": "websocket"})).web_socket
        if accepts: socket.accept()
    return Response("left")
""")
    ends: list[End] = []

    async def answer(_: Exchange, __: bytes) -> Response:
        ends.append(End())
        return Response(101, websocket=ends[-1])

    guest.answer = answer
    assert (await guest.fetch()).text == "left"
    async with asyncio.timeout(10):
        for end in ends:
            await end.closed.wait()
    assert [end.inbox.empty() for end in ends] == [True, True]


async def test_a_process_for_one_request(start: StartGuest) -> None:
    """With `once`, the process lasts as long as the WebSocket."""
    guest = await start(ITERATES, once=True)
    response, socket = await opened(guest)
    await socket.send(Text("x"))
    assert await received(socket) == Text("x")
    await socket.send(Close(1000))
    assert await received(socket) == Close(1000)
    await response.aclose()
    async with asyncio.timeout(10):
        assert await guest.process.wait() == 0
