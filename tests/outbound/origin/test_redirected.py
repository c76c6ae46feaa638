"""`--connect-to`: where the socket goes, and what stays as it was."""

from __future__ import annotations

import asyncio
import ssl

import pytest

from services.outbound.origin.client import GuardedClient
from sluice.wire.errors import Reason, SluiceError
from sluice.wire.messages import Request
from tests.bodies import read_all
from tests.outbound.calls import ACME, MakeClient
from tests.outbound.origins import Authority, Serve


class Origin:
    """Keeps the request heads that it answers."""

    def __init__(self, name: bytes = b"ok") -> None:
        self._answer = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(name), name)
        self.heads: list[bytes] = []
        self.tls_names: list[str | None] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            self.heads.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(self._answer)

    def sees_tls_name(self, _: object, name: str | None, __: ssl.SSLContext) -> None:
        """Keep the server name that the client asks for."""
        self.tls_names.append(name)


async def fetch(client: GuardedClient, url: str) -> bytes | None:
    """The body at `url`."""
    return await read_all((await client.send(Request("GET", url), ACME)).body, 1000)


async def refused(client: GuardedClient, url: str) -> SluiceError:
    """The error that a request to `url` ends in."""
    with pytest.raises(SluiceError) as caught:
        await fetch(client, url)
    return caught.value


@pytest.mark.parametrize(
    ("url", "entry", "host"),
    [
        ("http://api.example.com/x?y", "api.example.com:80:127.0.0.1:{}", b"api.example.com"),
        ("http://api.example.com/x?y", "api.example.com::localhost:{}", b"api.example.com"),
        ("http://api.example.com:81/x?y", "::127.0.0.1:{}", b"api.example.com:81"),
        ("http://203.0.113.7/x?y", "203.0.113.7:80:127.0.0.1:{}", b"203.0.113.7"),
        ("http://[2001:db8::7]/x?y", "[2001:db8::7]::127.0.0.1:{}", b"[2001:db8::7]"),
        ("http://127.0.0.1/x?y", "127.0.0.1:80::{}", b"127.0.0.1"),
    ],
)
async def test_socket_goes_elsewhere_and_the_request_stays(
    url: str, entry: str, host: bytes, serve: Serve, make_client: MakeClient
) -> None:
    """Names and literals are matched as the URL has them; target and Host stay as they were."""
    origin = Origin()
    port = await serve(origin)
    # The last case names no target host, so its address is judged as any other.
    allow = ("127.0.0.1",) if "::{}" in entry else ()
    client = make_client(allow=allow, connect_to=(entry.format(port),))
    assert await fetch(client, url) == b"ok"
    assert origin.heads == [b"GET /x?y HTTP/1.1\r\nhost: %b\r\n\r\n" % host]


async def test_target_is_reached_by_its_entry_only(serve: Serve, make_client: MakeClient) -> None:
    """The target's address stays prohibited to every request that the entry does not match."""
    origin = Origin()
    port = await serve(origin)
    other = await serve(Origin())
    client = make_client(allow=(), connect_to=(f"api.example.com:80:127.0.0.1:{port}",))
    assert await fetch(client, "http://api.example.com/") == b"ok"
    for url in (
        f"http://127.0.0.1:{port}/",
        f"http://localhost:{port}/",
        f"http://127.0.0.1:{other}/",
        f"http://api.example.com@127.0.0.1:{port}/",
    ):
        error = await refused(client, url)
        assert error.reason in (Reason.DESTINATION_PROHIBITED, Reason.INVALID_REQUEST)
    assert len(origin.heads) == 1


async def test_port_alone_is_no_way_past_the_guard(serve: Serve, make_client: MakeClient) -> None:
    """An entry that names no target host leaves the URL's own, which is judged."""
    port = await serve(Origin())
    client = make_client(allow=(), connect_to=(f":::{port}",))
    assert (await refused(client, "http://127.0.0.1/")).reason is Reason.DESTINATION_PROHIBITED


async def test_connections_are_not_shared_between_hosts(
    serve: Serve, make_client: MakeClient
) -> None:
    """Two hosts with one target have connections of their own, as without an entry."""
    connections = 0

    async def origin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await Origin()(reader, writer)

    client = make_client(allow=(), connect_to=(f"::127.0.0.1:{await serve(origin)}",))
    for host in ("a.example.com", "b.example.com", "a.example.com"):
        assert await fetch(client, f"http://{host}/") == b"ok"
    assert connections == 2


async def test_tls_name_is_that_of_the_url(
    serve: Serve, make_client: MakeClient, authority: Authority
) -> None:
    """The certificate is verified for the URL's host, which is also the name asked for."""
    origin = Origin()
    context = authority.server("logs.example.com")
    context.sni_callback = origin.sees_tls_name
    entry = f"logs.example.com:443:127.0.0.1:{await serve(origin, tls=context)}"
    client = make_client(allow=(), connect_to=(entry,))
    assert await fetch(client, "https://logs.example.com/") == b"ok"
    assert origin.heads == [b"GET / HTTP/1.1\r\nhost: logs.example.com\r\n\r\n"]
    assert origin.tls_names == ["logs.example.com"]


@pytest.mark.parametrize("name", ["other.example.com", "127.0.0.1", "localhost"])
async def test_certificate_of_the_target_is_not_enough(
    name: str, serve: Serve, make_client: MakeClient, authority: Authority
) -> None:
    """A certificate for another host is refused, also for the very target of the entry."""
    port = await serve(Origin(), tls=authority.server(name))
    client = make_client(allow=(), connect_to=(f"logs.example.com:443:localhost:{port}",))
    error = await refused(client, "https://logs.example.com/")
    assert error.reason is Reason.TLS_ERROR
    assert "logs.example.com" in error.message


async def test_target_that_cannot_be_reached(serve: Serve, make_client: MakeClient) -> None:
    """Errors name the URL's host, not the target."""
    client = make_client(allow=(), connect_to=("api.example.com::does-not-exist.invalid:",))
    error = await refused(client, "http://api.example.com/")
    assert error.reason is Reason.DNS_ERROR
    assert error.message.startswith("api.example.com cannot be resolved: ")
