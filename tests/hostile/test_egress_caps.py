"""Customers and origins that would use up the way out: others do not notice."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from services.outbound.origin.client import GuardedClient
from sluice.http1.handshake import accept_of
from sluice.mesh import attributes
from sluice.wire.body import Whole
from sluice.wire.customer import Customer
from sluice.wire.errors import Reason, SluiceError
from sluice.wire.messages import Request, Response
from tests.e2e.mesh import Mesh, running
from tests.hostile.egress import HOARDER, NEIGHBOUR, MakeClient, SlowOrigin, ask, get, quick, text
from tests.outbound.origins import Serve, read_request


async def at_once(client: GuardedClient, port: int) -> None:
    """The neighbour is served without any wait for the hoarder."""
    async with asyncio.timeout(2):
        assert await text(client, get(port), NEIGHBOUR) == b"ok"


async def ended(tasks: list[asyncio.Task[bytes]]) -> None:
    """Cancel all."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def until_refused(
    client: GuardedClient, request: Request, answers: list[Response]
) -> SluiceError:
    """Ask over and over, and end no answer. Returns what the hoarder is told at last."""
    while True:
        try:
            answers.append(await client.send(request, HOARDER))
        except SluiceError as error:
            return error


async def test_one_slow_origin(make_client: MakeClient, serve: Serve) -> None:
    """One customer's requests to a slow origin, held and waiting, hold up no other's, even there."""
    slow = SlowOrigin()
    port, client = await serve(slow), make_client()
    held = ask(client, port, 100)
    await slow.has(5)
    await at_once(client, await serve(quick))
    before = slow.requests
    there = asyncio.ensure_future(text(client, get(port), NEIGHBOUR))
    await slow.has(before + 1)
    assert slow.requests <= 8
    slow.answer.set()
    assert await there == b"ok"
    assert await asyncio.gather(*held) == [b"ok"] * 100


async def test_many_slow_origins(make_client: MakeClient, serve: Serve) -> None:
    """Many origins give one customer no more places than one does."""
    slow, client = SlowOrigin(), make_client()
    ports = [await serve(slow) for _ in range(20)]
    held = [task for port in ports for task in ask(client, port, 5)]
    await slow.has(6)
    await at_once(client, await serve(quick))
    assert slow.requests <= 8
    await ended(held)
    assert client._for_requests._places.taken == 0


async def test_several_hoarders(make_client: MakeClient, serve: Serve) -> None:
    """Several customers that take all they may leave places to others."""
    slow, client = SlowOrigin(), make_client()
    port = await serve(slow)
    held = []
    for n in range(5):
        mine = Customer("production", f"hoarder-{n}")
        held += [asyncio.ensure_future(text(client, get(port), mine)) for _ in range(50)]
    await slow.has(10)
    await at_once(client, await serve(quick))
    await ended(held)


async def test_aborted_requests(make_client: MakeClient, serve: Serve) -> None:
    """A customer that asks and hangs up, over and over, has its places back each time."""
    slow, client = SlowOrigin(), make_client()
    port = await serve(slow)
    for _ in range(20):
        seen = slow.requests
        held = ask(client, port, 20)
        await slow.has(seen + 1)
        await ended(held)
    assert client._for_requests._places.taken == 0
    assert client._for_requests._hosts == {}


async def test_responses_that_are_not_read(make_client: MakeClient, serve: Serve) -> None:
    """A body that its customer never reads keeps its own place only."""

    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100000000\r\n\r\n")
        while True:
            writer.write(bytes(65536))
            await writer.drain()

    client = make_client(connect_timeout=0.3)
    port = await serve(endless)
    answers: list[Response] = []
    told = await until_refused(client, get(port), answers)
    assert told.reason is Reason.LOAD_SHED
    assert len(answers) <= 8
    await at_once(client, await serve(quick))
    for answer in answers:
        await answer.body.aclose()


async def test_idle_connections(make_client: MakeClient, serve: Serve) -> None:
    """A customer that visits origin after origin keeps no more connections open than it may have."""
    slow, client = SlowOrigin(), make_client()
    slow.answer.set()
    for _ in range(40):
        assert await text(client, get(await serve(slow)), HOARDER) == b"ok"
    assert client._for_requests._open <= 9
    async with asyncio.timeout(10), slow.changed:
        await slow.changed.wait_for(lambda: slow.open <= 9)


async def test_websockets(make_client: MakeClient, serve: Serve) -> None:
    """A customer that opens WebSocket after WebSocket leaves some to others, and all requests."""

    async def accepts(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        key = head.lower().split(b"sec-websocket-key: ")[1].split(b"\r\n")[0]
        key = head[head.lower().index(key) :][: len(key)]
        writer.write(
            b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
            b"sec-websocket-accept: %b\r\n\r\n" % accept_of(key)
        )
        await reader.read()

    client, port = make_client(connect_timeout=0.3), await serve(accepts)
    opened: list[Response] = []
    told = await until_refused(client, get(port, websocket=True), opened)
    assert told.reason is Reason.LOAD_SHED
    assert len(opened) <= 4
    opened.append(await client.send(get(port, websocket=True), NEIGHBOUR))
    await at_once(client, await serve(quick))
    for response in opened:
        await response.aclose()


async def confused(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """An origin that takes the body of a GET for the next request, and is slow to answer that."""
    while True:
        head = await reader.readuntil(b"\r\n\r\n")
        path = head.split(b" ")[1]
        if path == b"/forged":
            await reader.readuntil(b"\r\n\r\n")  # just as the next one has come
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(path), path))


async def test_smuggled_request(make_client: MakeClient, serve: Serve) -> None:
    """What a customer smuggles to an origin answers no other customer: connections are not shared."""
    port, client = await serve(confused), make_client()
    smuggled = b"GET /forged HTTP/1.1\r\nhost: a\r\n\r\n"
    request = Request("GET", f"http://127.0.0.1:{port}/mine", [], Whole(smuggled))
    assert await text(client, request, HOARDER) == b"/mine"
    for _ in range(3):
        assert await text(client, get(port), NEIGHBOUR) == b"/"


# Through the whole mesh, as Workers.

ASKER = """export default { async fetch(request) {
  const urls = JSON.parse(request.headers.get('x-ask'));
  const seen = await Promise.allSettled(urls.map(async (url) => (await fetch(url)).text()));
  return Response.json(seen.map(({ value, reason }) => value ?? `${reason.message}`));
} }"""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def small_mesh() -> AsyncIterator[Mesh]:
    """A mesh with few connections, and two customers."""
    folder = Path(tempfile.mkdtemp(prefix="sl-"))
    settings = {
        "SLUICE_ALLOW_ADDRESS": "127.0.0.1/32",
        "SLUICE_MAX_CONNECTIONS": "20",
        "SLUICE_MAX_CONNECTIONS_PER_WORKER": "8",
        "SLUICE_CONNECT_TIMEOUT": "1s",
        "SLUICE_FIRST_BYTE_TIMEOUT": "20s",
    }
    try:
        async with running(folder, **settings) as mesh:
            direct = "export default { fetch(request) { return fetch(request) } }"
            await mesh.deploy("outbound", direct)
            for name in ("hoarder", "neighbour"):
                await mesh.deploy(name, ASKER, "production")
            yield mesh
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def asked(mesh: Mesh, name: str, *urls: str) -> list[str]:
    """What a Worker sees of these URLs, asked for at once."""
    status, answer = await mesh.get(f"{name}.test", headers={"x-ask": json.dumps(urls)})
    assert status == 200, answer
    seen: list[str] = json.loads(answer)
    return seen


async def test_worker_that_hoards(small_mesh: Mesh, serve: Serve) -> None:
    """A Worker with many requests to slow origins is told so; its neighbour is served."""
    slow = SlowOrigin()
    urls = [f"http://127.0.0.1:{await serve(slow)}/" for _ in range(5)]
    hoard = [asyncio.ensure_future(asked(small_mesh, "hoarder", *urls)) for _ in range(6)]
    await slow.has(5)
    async with asyncio.timeout(5):
        there = f"http://127.0.0.1:{await serve(quick)}/"
        assert await asked(small_mesh, "neighbour", there, urls[0] + "quick") == ["ok", "ok"]
    line = await small_mesh.services["outbound"].line(reason="LOAD_SHED")
    assert line[attributes.WORKER] == "hoarder"
    assert re.fullmatch(r"one has its share of \d connections for 1 s", line[attributes.DETAIL])
    assert slow.requests <= 9
    slow.answer.set()
    seen = [answer for answers in await asyncio.gather(*hoard) for answer in answers]
    refused = [answer for answer in seen if answer != "ok"]
    assert 0 < len(refused) < len(seen)
    assert set(refused) == {"The service is at capacity. Please try again."}


@pytest.mark.parametrize(
    ("port", "why"),
    [
        (25, "at port 25, which is another protocol's"),
        (6000, "at port 6000, which is another protocol's"),
        (None, "a listener of this service"),
    ],
)
async def test_port_that_is_not_for_workers(small_mesh: Mesh, port: int | None, why: str) -> None:
    """An allowed address is no way to another protocol, nor to a listener of the mesh."""
    ports = [port] if port else [address.port for address in small_mesh.grpc.values()]
    urls = [f"http://127.0.0.1:{number}/" for number in ports]
    for seen in await asked(small_mesh, "neighbour", *urls):
        assert seen == f"127.0.0.1 is prohibited as a destination: it is {why}"
