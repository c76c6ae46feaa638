"""`--connect-to`: how entries read, which one counts, and where the socket goes."""

from __future__ import annotations

import asyncio
import ssl

import pytest

from services.outbound.client import GuardedClient
from services.outbound.connect_to import ConnectTo, find
from sluice.wire.body import read_all
from sluice.wire.errors import Reason, SluiceError
from sluice.wire.messages import Request
from tests.outbound.calls import MakeClient
from tests.outbound.origins import Authority, Serve


@pytest.mark.parametrize(
    ("text", "entry"),
    [
        ("a.com:80:b.com:8080", ConnectTo("a.com", 80, "b.com", 8080)),
        ("A.Com:80:B.Com:8080", ConnectTo("a.com", 80, "b.com", 8080)),  # names have no case
        ("::b.com:8080", ConnectTo("", None, "b.com", 8080)),  # any host and port
        ("a.com:::", ConnectTo("a.com", None, "", None)),  # nothing changes, as in curl
        (":443::8443", ConnectTo("", 443, "", 8443)),  # the port only
        ("a.com:443:127.0.0.1:", ConnectTo("a.com", 443, "127.0.0.1", None)),
        ("[::1]:80:[fd00::2]:81", ConnectTo("::1", 80, "fd00::2", 81)),
        ("[2001:DB8::1]::b.com:", ConnectTo("2001:db8::1", None, "b.com", None)),
    ],
)
def test_entry_is_read(text: str, entry: ConnectTo) -> None:
    """An entry has curl's four parts, each of which may be empty."""
    assert ConnectTo.parse(text) == entry


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a.com",
        "a.com:80:b.com",  # one part too few
        "a.com:80:b.com:81:82",
        "::1:80:b.com:81",  # IPv6 without brackets
        "[::1:80:b.com:81",
        "a.com:http:b.com:81",
        "a.com:80:b.com:0",
        "a.com:65536:b.com:81",
        "a.com:-1:b.com:81",
        "a.com:80:b com:81",
        "[a.com]:80:b.com:81",
    ],
)
def test_bad_entry_is_named(text: str) -> None:
    """An entry that cannot be read is an error with the entry in it."""
    with pytest.raises(ValueError, match="connect-to") as caught:
        ConnectTo.parse(text)
    assert repr(text) in str(caught.value)


ENTRIES = tuple(
    map(ConnectTo.parse, ("a.com:80:first:", "a.com::second:", ":81:third:", "[::1]::fourth:"))
)


@pytest.mark.parametrize(
    ("host", "port", "to_host"),
    [
        ("a.com", 80, "first"),
        ("A.COM", 80, "first"),
        ("a.com", 81, "second"),  # the third would match too
        ("b.com", 81, "third"),
        ("b.com", 80, None),
        ("a.com.", 80, None),  # names are compared as they are written
        ("::1", 80, "fourth"),
        ("0:0:0:0:0:0:0:1", 80, None),
    ],
)
def test_first_match_counts(host: str, port: int, to_host: str | None) -> None:
    """Of several entries that match, the first counts; an empty part matches anything."""
    entry = find(ENTRIES, host, port)
    assert (entry and entry.to_host) == to_host


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
    return await read_all((await client.send(Request("GET", url))).body, 1000)


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
