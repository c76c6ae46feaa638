"""Customers and origins that would use up the way out: others do not notice."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import sys
import tempfile
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import pytest
import pytest_asyncio

from services.outbound.origin.client import ClientConfig, GuardedClient
from services.outbound.origin.destination import Guard
from sluice.http1.handshake import accept_of
from sluice.mesh import attributes
from sluice.mesh.address_range import AddressRange
from sluice.wire.body import Whole
from sluice.wire.customer import Customer
from sluice.wire.errors import Reason, SluiceError
from sluice.wire.messages import Request, Response
from tests.bodies import read_all
from tests.e2e.mesh import Mesh, running
from tests.outbound.origins import OK, Authority, Origins, Serve, read_request

HOARDER, NEIGHBOUR = Customer("production", "hoarder"), Customer("production", "neighbour")
CONFIG = {
    "max_connections": 20,
    "max_connections_per_worker": 8,
    "max_connections_per_host": 12,
    "max_websockets": 8,
    "max_websockets_per_worker": 4,
    "connect_timeout": 20,
}
MakeClient = Callable[..., GuardedClient]


@pytest_asyncio.fixture(loop_scope="session")
async def serve() -> AsyncIterator[Serve]:
    """Start an origin from its connection handler; gives its port."""
    origins = Origins()
    yield origins.serve
    await origins.aclose()


@pytest_asyncio.fixture(loop_scope="session")
async def make() -> AsyncIterator[MakeClient]:
    """Make a client with few places."""
    async with AsyncExitStack() as clients:

        def make(**config: object) -> GuardedClient:
            allowed = (AddressRange.parse("127.0.0.1"),)
            settings = ClientConfig(**{**CONFIG, **config})  # type: ignore[arg-type]
            client = GuardedClient(settings, Guard(allowed))
            clients.push_async_callback(client.aclose)
            return client

        yield make


class SlowOrigin:
    """Takes requests and answers none, until it is let."""

    def __init__(self) -> None:
        self.requests = 0
        self.open = 0
        self.answer = asyncio.Event()
        self.changed = asyncio.Condition()

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._count(0, 1)
        try:
            while True:
                request = await read_request(reader)
                await self._count(1, 0)
                if not request.startswith(b"GET /quick "):
                    await self.answer.wait()
                writer.write(OK)
        finally:
            self.open -= 1
            with suppress(RuntimeError):
                await self._count(0, 0)

    async def _count(self, requests: int, connections: int) -> None:
        async with self.changed:
            self.requests += requests
            self.open += connections
            self.changed.notify_all()

    async def has(self, requests: int) -> None:
        """Wait until it has so many."""
        async with asyncio.timeout(10), self.changed:
            await self.changed.wait_for(lambda: self.requests >= requests)


async def quick(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """An origin that answers."""
    while True:
        await read_request(reader)
        writer.write(OK)


def get(port: int, **more: object) -> Request:
    """A GET request."""
    return Request("GET", f"http://127.0.0.1:{port}/", **more)  # type: ignore[arg-type]


async def text(client: GuardedClient, request: Request, customer: Customer) -> bytes:
    """The body of what is answered."""
    response = await client.send(request, customer)
    return await read_all(response.body, 1 << 20) or b""


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


def ask(client: GuardedClient, port: int, times: int) -> list[asyncio.Task[bytes]]:
    """The hoarder asks so many times at once."""
    return [asyncio.ensure_future(text(client, get(port), HOARDER)) for _ in range(times)]


async def test_one_slow_origin(make: MakeClient, serve: Serve) -> None:
    """One customer's requests to a slow origin, held and waiting, hold up no other's, even there."""
    slow = SlowOrigin()
    port, client = await serve(slow), make()
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


async def test_many_slow_origins(make: MakeClient, serve: Serve) -> None:
    """Many origins give one customer no more places than one does."""
    slow, client = SlowOrigin(), make()
    ports = [await serve(slow) for _ in range(20)]
    held = [task for port in ports for task in ask(client, port, 5)]
    await slow.has(6)
    await at_once(client, await serve(quick))
    assert slow.requests <= 8
    await ended(held)
    assert client._for_requests._places.taken == 0


async def test_several_hoarders(make: MakeClient, serve: Serve) -> None:
    """Several customers that take all they may leave places to others."""
    slow, client = SlowOrigin(), make()
    port = await serve(slow)
    held = []
    for n in range(5):
        mine = Customer("production", f"hoarder-{n}")
        held += [asyncio.ensure_future(text(client, get(port), mine)) for _ in range(50)]
    await slow.has(10)
    await at_once(client, await serve(quick))
    await ended(held)


async def test_aborted_requests(make: MakeClient, serve: Serve) -> None:
    """A customer that asks and hangs up, over and over, has its places back each time."""
    slow, client = SlowOrigin(), make()
    port = await serve(slow)
    for _ in range(20):
        seen = slow.requests
        held = ask(client, port, 20)
        await slow.has(seen + 1)
        await ended(held)
    assert client._for_requests._places.taken == 0
    assert client._for_requests._hosts == {}


async def test_responses_that_are_not_read(make: MakeClient, serve: Serve) -> None:
    """A body that its customer never reads keeps its own place only."""

    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100000000\r\n\r\n")
        while True:
            writer.write(bytes(65536))
            await writer.drain()

    client = make(connect_timeout=0.3)
    port = await serve(endless)
    answers: list[Response] = []
    told = await until_refused(client, get(port), answers)
    assert told.reason is Reason.LOAD_SHED
    assert len(answers) <= 8
    await at_once(client, await serve(quick))
    for answer in answers:
        await answer.body.aclose()


async def test_idle_connections(make: MakeClient, serve: Serve) -> None:
    """A customer that visits origin after origin keeps no more connections open than it may have."""
    slow, client = SlowOrigin(), make()
    slow.answer.set()
    for _ in range(40):
        assert await text(client, get(await serve(slow)), HOARDER) == b"ok"
    assert client._for_requests._open <= 9
    async with asyncio.timeout(10), slow.changed:
        await slow.changed.wait_for(lambda: slow.open <= 9)


async def test_websockets(make: MakeClient, serve: Serve) -> None:
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

    client, port = make(connect_timeout=0.3), await serve(accepts)
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


async def test_smuggled_request(make: MakeClient, serve: Serve) -> None:
    """What a customer smuggles to an origin answers no other customer: connections are not shared."""
    port, client = await serve(confused), make()
    smuggled = b"GET /forged HTTP/1.1\r\nhost: a\r\n\r\n"
    request = Request("GET", f"http://127.0.0.1:{port}/mine", [], Whole(smuggled))
    assert await text(client, request, HOARDER) == b"/mine"
    for _ in range(3):
        assert await text(client, get(port), NEIGHBOUR) == b"/"


async def test_handshake_that_does_not_proceed(make: MakeClient, serve: Serve) -> None:
    """TLS has a time of its own, and the error says that it was TLS."""

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    client = make(tls_timeout=0.2)
    port = await serve(silent)
    with pytest.raises(SluiceError) as caught:
        await client.send(Request("GET", f"https://127.0.0.1:{port}/"), HOARDER)
    assert caught.value.reason is Reason.TLS_ERROR
    assert caught.value.message == "127.0.0.1 did not finish the TLS handshake in time"
    assert client._for_requests._places.taken == 0


async def test_handshake_that_drips(make: MakeClient, serve: Serve, tmp_path: Path) -> None:
    """A handshake that always proceeds a little ends in time all the same."""
    authority = Authority(tmp_path)
    inner = await serve(quick, tls=authority.server("127.0.0.1"))

    async def drips(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_connection("127.0.0.1", inner)
        try:
            to_server.write(await reader.read(65536))
            while data := await from_server.read(1):
                writer.write(data)
                await asyncio.sleep(0.01)
        finally:
            to_server.close()

    client = make(tls_timeout=0.3, ca_file=authority.file)
    port = await serve(drips)
    with pytest.raises(SluiceError) as caught:
        await client.send(Request("GET", f"https://127.0.0.1:{port}/"), HOARDER)
    assert caught.value.reason is Reason.TLS_ERROR


@pytest.mark.parametrize(
    "drip",
    [
        b"x",  # in the status line, then in a header
        b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n",  # interim responses without end
    ],
)
async def test_head_that_drips(make: MakeClient, serve: Serve, drip: bytes) -> None:
    """A response's head that always proceeds a little ends in time all the same."""

    async def drips(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        if drip == b"x":
            writer.write(b"HTTP/1.1 200 OK\r\nx-a: ")
        while True:
            writer.write(drip)
            await asyncio.sleep(0.01)

    client = make(first_byte_timeout=0.2)
    with pytest.raises(SluiceError) as caught:
        await client.send(get(await serve(drips)), HOARDER)
    assert caught.value.reason is Reason.RESPONSE_TIMEOUT


async def test_time_for_a_connection_is_one(make: MakeClient, serve: Serve) -> None:
    """The wait for a place and the wait for the connection share one time."""
    client = make(max_connections=1, connect_timeout=1.0, tls_timeout=30, first_byte_timeout=30)
    slow = SlowOrigin()
    held = ask(client, await serve(slow), 1)
    await slow.has(1)

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    port = await serve(silent)
    loop = asyncio.get_running_loop()
    start = loop.time()
    late = asyncio.ensure_future(
        client.send(Request("GET", f"https://127.0.0.1:{port}/"), NEIGHBOUR)
    )
    loop.call_later(0.7, slow.answer.set)
    with pytest.raises(SluiceError) as caught:
        await late
    assert caught.value.reason is Reason.RESPONSE_TIMEOUT
    assert loop.time() - start < 1.5
    assert await asyncio.gather(*held) == [b"ok"]


SLOW_DNS = """
import asyncio, socket, sys

from services.outbound.origin.client import ClientConfig, GuardedClient
from services.outbound.origin.destination import Guard
from sluice.http1.handshake import accept_of
from sluice.mesh.address_range import AddressRange
from tests.bodies import read_all
from sluice.wire.customer import Customer
from sluice.wire.errors import Reason, SluiceError
from sluice.wire.messages import Request
from tests.outbound.origins import OK, Origins, read_request

HOARDER, NEIGHBOUR = Customer("a", "hoarder"), Customer("a", "neighbour")

async def quick(reader, writer):
    await read_request(reader)
    writer.write(OK)

async def ask(client, host, port, customer):
    response = await client.send(Request("GET", f"http://{host}:{port}/"), customer)
    return await read_all(response.body, 100)

async def main():
    silent = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    silent.bind(("127.0.0.1", 53))
    origins = Origins()
    port = await origins.serve(quick)
    config = ClientConfig(dns_timeout=2, max_lookups=16, max_lookups_per_worker=8)
    client = GuardedClient(config, Guard((AddressRange.parse("127.0.0.1"),)))
    slow = [
        asyncio.ensure_future(ask(client, f"n{n}.slow.example", port, HOARDER)) for n in range(50)
    ]
    await asyncio.get_running_loop().run_in_executor(None, silent.recv, 512)  # they are under way
    async with asyncio.timeout(1):
        assert await ask(client, "localhost", port, NEIGHBOUR) == b"ok"
    told = await asyncio.gather(*slow, return_exceptions=True)
    reasons = [error.reason for error in told]
    assert set(reasons) == {Reason.DNS_ERROR, Reason.LOAD_SHED}, reasons
    assert 0 < reasons.count(Reason.DNS_ERROR) <= 8, reasons
    [text] = {error.message for error in told if error.reason is Reason.DNS_ERROR
              and "n0." in error.message}
    assert text == "n0.slow.example cannot be resolved: no answer within 2 s", text
    await client.aclose()
    await origins.aclose()
    silent.close()

asyncio.run(main())
print("served")
"""


async def run(folder: Path, script: str, *arguments: str) -> tuple[int | None, str, str]:
    """Run a shell script in namespaces of its own, in which it is root, with a loopback."""
    command = ["unshare", "--map-root-user", "--mount", "--net", "sh", "-c", script, "sh"]
    async with asyncio.timeout(30):
        process = await asyncio.create_subprocess_exec(
            *command, *arguments, cwd=folder, stdout=PIPE, stderr=PIPE
        )
        out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


async def test_names_whose_servers_do_not_answer(tmp_path: Path) -> None:
    """One customer's lookups at a DNS server that never answers hold up no other's, nor the end."""
    (tmp_path / "resolv.conf").write_text("nameserver 127.0.0.1\n")
    (tmp_path / "hosts").write_text("127.0.0.1 localhost\n")
    prepare = (
        "ip link set lo up && mount --bind resolv.conf /etc/resolv.conf"
        " && mount --bind hosts /etc/hosts"
    )
    if shutil.which("unshare") is None or (await run(tmp_path, prepare))[0] != 0:
        pytest.skip("needs a network namespace, for a DNS server of its own")
    root = str(Path(__file__).parents[2])
    script = prepare + ' && cd "$1" && exec "$2" -c "$3"'
    status, out, err = await run(tmp_path, script, root, sys.executable, SLOW_DNS)
    assert (status, out) == (0, "served\n"), err


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
