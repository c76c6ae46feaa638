from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from tests.e2e.mesh import Mesh

SOCKETS = 200
MESSAGES = 100

ECHO = """export default { async fetch(request) {
  const [client, server] = Object.values(new WebSocketPair());
  server.accept();
  server.addEventListener('message', ({ data }) => {
    const told = /^close (\\d*)/.exec(data);
    if (!told) server.send(data);
    else if (told[1]) server.close(+told[1], 'as told');
    else server.close();
  });
  server.addEventListener('close', ({ code, reason }) =>
    code === 1005 ? server.close() : server.close(code, reason));
  return new Response(null, { status: 101, webSocket: client });
} }"""

THROUGH = "export default { fetch: (request) => fetch('{url}', request) }"

# Carries messages between its client and `new WebSocket`, and the ends of both.
BRIDGE = """export default { async fetch(request) {
  const [client, server] = Object.values(new WebSocketPair());
  server.accept();
  const origin = new WebSocket('{url}'.replace('http', 'ws'));
  const open = new Promise((ok) => (origin.onopen = ok));
  const end = (to) => ({ code, reason }) => code === 1005 ? to.close() : to.close(code === 1006 ? 4006 : code, reason);
  server.addEventListener('message', async ({ data }) => { await open; origin.send(data); });
  server.addEventListener('close', end(origin));
  origin.addEventListener('message', ({ data }) => server.send(data));
  origin.addEventListener('close', end(server));
  return new Response(null, { status: 101, webSocket: client });
} }"""

CLOSES = [
    (1000, "done"),
    (1001, "away"),
    (1008, "policy"),
    (1011, "bug"),
    (3000, "library"),
    (4999, "ünï"),
    (None, ""),
]


class Sockets:
    """An origin of WebSockets: echoes, or does as told, and keeps how each ended."""

    def __init__(self) -> None:
        self.ends: asyncio.Queue[tuple[int | None, str]] = asyncio.Queue()
        self.url = ""

    async def handle(self, connection: ServerConnection) -> None:
        """Serve one."""
        try:
            async for message in connection:
                if message == "vanish":
                    connection.transport.abort()
                elif isinstance(message, str) and message.startswith("close "):
                    connection.protocol.send_close(*_told(message))
                    connection.send_data()
                else:
                    await connection.send(message)
        except ConnectionClosed:
            pass
        finally:
            await connection.wait_closed()
            received = connection.protocol.close_rcvd
            self.ends.put_nowait((received.code, received.reason) if received else (1006, ""))

    async def end(self) -> tuple[int | None, str]:
        """How the next one ended."""
        async with asyncio.timeout(10):
            return await self.ends.get()


def _told(message: str) -> tuple[int | None, str]:
    code = message.removeprefix("close ")
    return (int(code), "as told") if code else (None, "")


@asynccontextmanager
async def listening() -> AsyncIterator[Sockets]:
    """An origin on loopback."""
    sockets = Sockets()

    def choose(_: ServerConnection, offered: Any) -> Subprotocol | None:
        return Subprotocol("v2") if "v2" in offered else None

    async with serve(
        sockets.handle, "127.0.0.1", 0, select_subprotocol=choose, max_size=None
    ) as server:
        sockets.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        yield sockets


async def opened(mesh: Mesh, name: str, **options: Any) -> ClientConnection:
    """A client's WebSocket to a user Worker."""
    host, port = mesh.http.removeprefix("http://").split(":")
    return await connect(
        f"ws://{name}.example.com/", host=host, port=int(port), max_size=None, **options
    )


async def deploy(mesh: Mesh, sockets: Sockets) -> None:
    """The three user Workers."""
    for name, source in (("echo", ECHO), ("through", THROUGH), ("bridge", BRIDGE)):
        await mesh.deploy(name, source.replace("{url}", sockets.url), "production")


async def closed(client: ClientConnection) -> tuple[int | None, str]:
    """How it was closed: 1006 where it was not."""
    async with asyncio.timeout(10):
        await client.wait_closed()
    received = client.protocol.close_rcvd
    return (received.code, received.reason) if received else (1006, "")


def expected(code: int | None, reason: str) -> tuple[int, str]:
    """What an API says of a close."""
    return (1005, "") if code is None else (code, reason)


@pytest.mark.parametrize("name", ["echo", "through", "bridge"])
async def test_messages_cross(mesh: Mesh, name: str) -> None:
    """Text, binary, empty, fragmented and large messages cross the whole chain and come back."""
    async with listening() as sockets:
        await deploy(mesh, sockets)
        async with await opened(mesh, name) as client:
            for message in ("ä€", b"\0\xff" * 2**19, "", "x" * 2**20):
                await client.send(message)
                assert await client.recv() == message
            await client.send(["frag", "mented"])
            assert await client.recv() == "fragmented"


@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", ["echo", "through"])
async def test_many_at_once(mesh: Mesh, name: str) -> None:
    """200 at once, 100 messages each way on each: none is lost, none out of order."""
    async with listening() as sockets:
        await deploy(mesh, sockets)

        async def one(number: int) -> None:
            client = await opened(mesh, name, open_timeout=60, ping_interval=None)
            sent = [f"{number}.{count}" for count in range(MESSAGES)]

            async def send() -> None:
                for message in sent:
                    await client.send(message)

            sending = asyncio.create_task(send())
            assert [await client.recv() for _ in sent] == sent
            await sending
            await client.close(1000, str(number))
            assert await closed(client) == (1000, str(number))

        async with asyncio.timeout(40):
            await asyncio.gather(*map(one, range(SOCKETS)))


@pytest.mark.parametrize(("code", "reason"), CLOSES)
@pytest.mark.parametrize("name", ["echo", "through", "bridge"])
async def test_the_client_closes(mesh: Mesh, name: str, code: int | None, reason: str) -> None:
    """Its code and reason arrive at the far end, and the far end's answer comes back."""
    async with listening() as sockets:
        await deploy(mesh, sockets)
        client = await opened(mesh, name)
        await client.send("x")
        assert await client.recv() == "x"
        client.protocol.send_close(code, reason)
        client.send_data()
        assert await closed(client) == expected(code, reason)
        if name != "echo":
            assert await sockets.end() == expected(code, reason)


@pytest.mark.parametrize("code", [code for code, _ in CLOSES])
@pytest.mark.parametrize("name", ["echo", "through", "bridge"])
async def test_the_far_end_closes(mesh: Mesh, name: str, code: int | None) -> None:
    """The Worker's or the origin's code and reason arrive at the client."""
    async with listening() as sockets:
        await deploy(mesh, sockets)
        client = await opened(mesh, name)
        await client.send(f"close {code or ''}")
        assert await closed(client) == expected(code, "as told")
        if name != "echo":
            assert await sockets.end() == expected(code, "as told")


@pytest.mark.parametrize("name", ["through", "bridge"])
async def test_a_client_that_vanishes(mesh: Mesh, name: str) -> None:
    """The origin is reset, or told what the Worker says of it: never a close of the client's."""
    async with listening() as sockets:
        await deploy(mesh, sockets)
        client = await opened(mesh, name)
        await client.send("x")
        assert await client.recv() == "x"
        client.transport.abort()
        code, _ = await sockets.end()
        assert code == (1006 if name == "through" else 4006)


@pytest.mark.parametrize("name", ["through", "bridge"])
async def test_an_origin_that_vanishes(mesh: Mesh, name: str) -> None:
    """The client is reset, or told what the Worker says of it."""
    async with listening() as sockets:
        await deploy(mesh, sockets)
        client = await opened(mesh, name)
        await client.send("vanish")
        code, _ = await closed(client)
        assert code == (1006 if name == "through" else 4006)


@pytest.mark.parametrize("name", ["echo", "through"])
async def test_a_message_over_the_limit(mesh: Mesh, name: str) -> None:
    """It closes with 1009, and the origin is reset."""
    async with listening() as sockets:
        await deploy(mesh, sockets)
        client = await opened(mesh, name)
        await client.send(b"x" * (2**20 + 1))
        code, reason = await closed(client)
        assert (code, "1048576" in reason) == (1009, True)
        if name != "echo":
            assert await sockets.end() == (1006, "")


async def test_subprotocol(mesh: Mesh) -> None:
    """The origin chooses among what the client offers."""
    async with listening() as sockets:
        await deploy(mesh, sockets)
        offered = [Subprotocol("v1"), Subprotocol("v2")]
        async with await opened(mesh, "through", subprotocols=offered) as client:
            assert client.subprotocol == "v2"


async def test_the_egress_line(mesh: Mesh) -> None:
    """It is written when the WebSocket is over, and counts the bytes of its messages."""
    async with listening() as sockets:
        await deploy(mesh, sockets)
        async with await opened(mesh, "through") as client:
            await client.send(b"x" * 1000)
            await client.recv()
            lines = mesh.services["outbound"].lines
            assert not [line for line in lines if line.get("event") == "subrequest"]
        line = await mesh.services["outbound"].line(event="subrequest", worker="through")
        assert (line["status"], line["decision"], line["reason"]) == (101, "allow", None)
        assert (line["bytes_sent"], line["bytes_received"]) == (1000, 1000)
        client = await opened(mesh, "through")
        await client.send("vanish")
        await closed(client)
        await mesh.services["outbound"].line(event="subrequest", reason="BODY_CUT_SHORT")


async def test_a_slow_client_stalls_the_origin(mesh: Mesh) -> None:
    """An origin that floods is held back, and loses nothing."""
    sent = 0
    stalled = asyncio.Event()

    async def flood(connection: ServerConnection) -> None:
        nonlocal sent
        for number in range(400):
            try:
                async with asyncio.timeout(1):
                    await connection.send(number.to_bytes(4) + bytes(65532))
            except TimeoutError:  # the message is written; what took so long is the room for more
                stalled.set()
            sent += 1
        await connection.close()

    async with serve(flood, "127.0.0.1", 0, compression=None) as server:
        sockets = Sockets()
        sockets.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        await deploy(mesh, sockets)
        client = await opened(mesh, "through", max_queue=1, ping_interval=None)
        async with asyncio.timeout(20):
            await stalled.wait()
        assert sent < 400
        numbers = [int.from_bytes(message[:4]) async for message in client]  # type: ignore[arg-type]
        assert numbers == list(range(400))
