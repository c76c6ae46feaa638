"""Origins and name servers that never end what they began: the time for it is over, for all of it."""

from __future__ import annotations

import asyncio
import shutil
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest

from sluice.wire.errors import Reason, SluiceError
from sluice.wire.messages import Request
from tests.bodies import Endless
from tests.hostile.egress import HOARDER, NEIGHBOUR, MakeClient, SlowOrigin, ask, get, quick, text
from tests.outbound.origins import Authority, Serve, read_request


async def test_handshake_that_does_not_proceed(make_client: MakeClient, serve: Serve) -> None:
    """TLS has a time of its own, and the error says that it was TLS."""

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    client = make_client(tls_timeout=0.2)
    port = await serve(silent)
    with pytest.raises(SluiceError) as caught:
        await client.send(Request("GET", f"https://127.0.0.1:{port}/"), HOARDER)
    assert caught.value.reason is Reason.TLS_ERROR
    assert caught.value.message == "127.0.0.1 did not finish the TLS handshake in time"
    assert client._for_requests._places.taken == 0


async def test_handshake_that_drips(make_client: MakeClient, serve: Serve, tmp_path: Path) -> None:
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

    client = make_client(tls_timeout=0.3, ca_file=authority.file)
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
async def test_head_that_drips(make_client: MakeClient, serve: Serve, drip: bytes) -> None:
    """A response's head that always proceeds a little ends in time all the same."""

    async def drips(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        if drip == b"x":
            writer.write(b"HTTP/1.1 200 OK\r\nx-a: ")
        while True:
            writer.write(drip)
            await asyncio.sleep(0.01)

    client = make_client(first_byte_timeout=0.2)
    with pytest.raises(SluiceError) as caught:
        await client.send(get(await serve(drips)), HOARDER)
    assert caught.value.reason is Reason.RESPONSE_TIMEOUT


async def test_body_that_stops(make_client: MakeClient, serve: Serve) -> None:
    """A response that does not go on, and a request that nobody takes, give their places back."""

    async def stops(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if head.startswith(b"GET"):
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nabc")
        await asyncio.Event().wait()

    client, port = make_client(idle_timeout=0.2), await serve(stops)
    for request in (get(port), Request("POST", f"http://127.0.0.1:{port}/", body=Endless())):
        with pytest.raises(SluiceError) as caught:
            await text(client, request, HOARDER)
        assert caught.value.reason is Reason.RESPONSE_TIMEOUT
    assert client._for_requests._places.taken == 0


async def test_time_for_a_connection_is_one(make_client: MakeClient, serve: Serve) -> None:
    """The wait for a place and the wait for the connection share one time."""
    client = make_client(
        max_connections=1, connect_timeout=1.0, tls_timeout=30, first_byte_timeout=30
    )
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
