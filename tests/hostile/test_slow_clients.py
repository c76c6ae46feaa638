"""Clients that keep the public listener waiting for next to nothing, and those that only seem to."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio
from aiohttp import web

from tests.e2e.bodies import digest, serve, stream
from tests.e2e.mesh import Mesh, running
from tests.e2e.origin import Origin
from tests.e2e.test_websocket import ECHO, opened
from tests.hostile.conftest import OUTBOUND

PLACES = 8
RATE = 64 * 1024
GRACE = 0.3
LONGER = 3 * GRACE
"""Seconds: nobody who is waited for has so long."""

HOST = "acme.test"
HEAD = b"POST / HTTP/1.1\r\nHost: acme.test\r\n"

READS = """export default { async fetch(request) {
  if (request.url.endsWith('/warm')) return new Response('warm');
  await fetch('{url}');
  return new Response((await request.text()).length) } }"""

ENDLESS = """export default { async fetch(request) {
  if (request.url.endsWith('/warm')) return new Response('warm');
  await fetch('{url}');
  return new Response(new ReadableStream({ pull(c) { c.enqueue(new Uint8Array(65536)) } })) } }"""

READS_LATE = """export default { async fetch(request) {
  await new Promise((done) => setTimeout(done, {wait}));
  let size = 0;
  for await (const piece of request.body) size += piece.length;
  return new Response(size) } }"""

SENDS_ON = "export default { fetch: (request) => fetch('{url}', request) }"

EVENTS = """export default { fetch() {
  const { readable, writable } = new TransformStream();
  const writer = writable.getWriter();
  const send = async () => {
    for (let n = 0; n < 3; n++) {
      await new Promise((done) => setTimeout(done, {wait}));
      await writer.write(new TextEncoder().encode(`data: ${n}\\n\\n`));
    }
    await writer.close();
  };
  send();
  return new Response(readable, { headers: { 'content-type': 'text/event-stream' } }) } }"""


Strict = Callable[[str], Awaitable[Mesh]]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def strict_mesh(run_folder: Path) -> AsyncIterator[Mesh]:
    """A mesh of few places that has little patience."""
    folder = run_folder / "slow"
    folder.mkdir()
    async with running(
        folder,
        SLUICE_ALLOW_ADDRESS="127.0.0.1/32",
        SLUICE_CLIENT_RATE=f"{RATE // 1024}KiB",
        SLUICE_CLIENT_GRACE=f"{GRACE * 1000:g}ms",
        SLUICE_MAX_INVOCATIONS=str(PLACES),
        SLUICE_MAX_WAIT="2s",
    ) as mesh:
        await mesh.deploy("outbound", OUTBOUND)
        yield mesh


@pytest.fixture
def strict(strict_mesh: Mesh, origin: Origin) -> Strict:
    """Deploys the user Worker of a test to that mesh."""

    async def deploy(source: str) -> Mesh:
        source = source.replace("{url}", origin.url).replace("{wait}", f"{LONGER * 1000:g}")
        await strict_mesh.deploy("acme", source, "production")
        return strict_mesh

    return deploy


@asynccontextmanager
async def attacker(mesh: Mesh, sent: bytes) -> AsyncIterator[socket.socket]:
    """A connection whose window is as small as can be."""
    host, port = mesh.http.removeprefix("http://").split(":")
    loop = asyncio.get_running_loop()
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        sock.setblocking(False)
        await loop.sock_connect(sock, (host, int(port)))
        await loop.sock_sendall(sock, sent)
        yield sock


async def drip_body(mesh: Mesh) -> bytes:
    """Send a byte at a time, until there is an answer. Returns its beginning."""
    loop = asyncio.get_running_loop()
    async with attacker(mesh, HEAD + b"Content-Length: 1000000\r\n\r\n") as sock:
        answer = asyncio.ensure_future(loop.sock_recv(sock, 4096))
        try:
            while not answer.done():
                await loop.sock_sendall(sock, b"x")
                await asyncio.wait([answer], timeout=0.01)
        finally:
            answer.cancel()
        return answer.result()


async def drip_reading(mesh: Mesh) -> bytes:
    """Take some bytes at a time, until the response is broken off. Returns what came last."""
    loop, last = asyncio.get_running_loop(), b""
    async with attacker(mesh, b"GET / HTTP/1.1\r\nHost: acme.test\r\n\r\n") as sock:
        with contextlib.suppress(ConnectionResetError):
            while got := await loop.sock_recv(sock, 64):
                last = got
                await asyncio.sleep(0.01)
            raise AssertionError("an endless response cannot end cleanly")
    return last


async def test_body_drip(strict: Strict) -> None:
    """A body that comes a byte at a time is refused by the name of what is wrong, once."""
    mesh = await strict(READS)
    async with asyncio.timeout(4):
        head, _, body = (await drip_body(mesh)).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 408 ")
    assert b"\r\nconnection: close" in head.lower()
    assert body.startswith(b"REQUEST_TIMEOUT (trace ")


async def test_reading_drip(strict: Strict) -> None:
    """A response that is taken some bytes at a time is broken off, and does not look complete."""
    mesh = await strict(ENDLESS)
    async with asyncio.timeout(4):
        assert await drip_reading(mesh)


@pytest.mark.parametrize(
    ("source", "drip"), [(READS, drip_body), (ENDLESS, drip_reading)], ids=["body", "reading"]
)
async def test_places_come_back(
    strict: Strict,
    origin: Origin,
    source: str,
    drip: Callable[[Mesh], Awaitable[bytes]],
) -> None:
    """Slow clients that have all the places lose them to one that waits for a place."""
    mesh = await strict(source)
    await mesh.deploy("other", "export default { fetch: () => new Response('ok') }", "production")
    for host in (HOST, "other.test"):
        assert (await mesh.get(host, "/warm"))[0] == 200
    slow = [asyncio.ensure_future(drip(mesh)) for _ in range(PLACES)]
    try:
        await origin.until(PLACES)
        async with asyncio.timeout(5):
            assert await mesh.get("other.test") == (200, "ok")
            await asyncio.gather(*slow)
    finally:
        for task in slow:
            task.cancel()


async def test_slow_worker(strict: Strict) -> None:
    """A client is not cut because the Worker reads its body late."""
    mesh = await strict(READS_LATE)
    size = 8 * 2**20
    async with mesh.session.post(mesh.http, headers={"host": HOST}, data=stream(size)) as response:
        assert (response.status, await response.text()) == (200, str(size))


async def test_slow_origin(strict: Strict, origin: Origin) -> None:
    """Nor because an origin answers late, or reads late what is sent on to it."""

    async def late(request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(LONGER)
        return await serve(request)

    origin.answer = late
    mesh = await strict(SENDS_ON)
    size = 32 * 2**20
    headers = {"host": HOST}
    async with mesh.session.post(mesh.http, headers=headers, data=stream(size)) as response:
        assert (response.status, await response.text()) == (200, await digest(stream(size)))
    async with mesh.session.get(mesh.http, headers={**headers, "x-size": "1048576"}) as response:
        assert (response.status, len(await response.read())) == (200, 2**20)


async def test_bursts(strict: Strict) -> None:
    """A client may pause for longer than the grace, if it is fast enough on the whole."""

    async def bursts() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield bytes(2 * int(RATE * LONGER))
            await asyncio.sleep(LONGER)

    mesh = await strict(READS)
    async with mesh.session.post(mesh.http, headers={"host": HOST}, data=bursts()) as response:
        assert (response.status, await response.text()) == (200, str(6 * int(RATE * LONGER)))


async def test_pauses_of_a_reader(strict: Strict, origin: Origin) -> None:
    """So may one that reads."""
    origin.answer = serve
    mesh = await strict(SENDS_ON)
    size = 8 * 2**20
    headers = {"host": HOST, "x-size": str(3 * size)}
    async with mesh.session.get(mesh.http, headers=headers) as response:
        for _ in range(3):
            assert len(await response.content.readexactly(size)) == size
            await asyncio.sleep(LONGER)
        assert await response.content.read() == b""


async def test_idle_websocket(strict: Strict) -> None:
    """A WebSocket may be silent."""
    mesh = await strict(ECHO)
    async with await opened(mesh, "acme") as client:
        for message in ("one", "two"):
            await asyncio.sleep(LONGER)
            await client.send(message)
            assert await client.recv() == message


async def test_event_stream(strict: Strict) -> None:
    """So may a stream of events, however little it sends, and whoever waits for the next."""
    mesh = await strict(EVENTS)
    status, text = await mesh.get(HOST)
    assert (status, text) == (200, "data: 0\n\ndata: 1\n\ndata: 2\n\n")
