"""What the outbound service reads: URLs and addresses, its own settings, and origins' answers.

The first byte says which. An origin's answer has one more, which says how it was asked and in what
pieces it comes.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import re
from collections.abc import Callable
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any

from aiohttp.client_proto import ResponseHandler

from fuzz.target import Target
from fuzz.transport import Deaf, Wire, pieces, run, turns
from services.outbound.origin import request_head
from services.outbound.origin.client import ClientConfig, GuardedClient
from services.outbound.origin.destination import Guard, classify
from services.outbound.origin.pool import Held, Pool
from services.outbound.origin.route import Route, find_route
from sluice.http1 import handshake
from sluice.http1.heads import response_head
from sluice.http1.incoming import Incoming
from sluice.http1.malformed import MalformedError
from sluice.http1.response_reader import ResponseReader
from sluice.mesh.address_range import AddressRange
from sluice.mesh.connect_to import ConnectTo
from sluice.wire.customer import Customer
from sluice.wire.errors import Reason, SluiceError
from sluice.wire.hosts import Host, Pattern
from sluice.wire.messages import Request, Response, check_url
from tests.bodies import read_all

_METHODS = ("GET", "HEAD", "POST", "GET")
_WEBSOCKET = 3
_MOST_BODY = 64 * 1024
_ACCEPT = b"{accept}"
"""Stands for what accepts the WebSocket, which an origin works out from the request."""

_CUSTOMER = Customer("production", "acme")


def _read(data: bytes) -> None:
    readers = list(_READERS.values())
    try:
        readers[(data[0] if data else 0) % len(readers)](data[1:])
    except SluiceError as error:
        if error.reason is Reason.INTERNAL:
            raise


def _url(data: bytes) -> None:
    """The host that is connected is the one in the `Host` header, however the URL is written."""
    url = data.decode("latin-1")
    check_url(url)
    scheme, authority, target = request_head.locate(url)
    route = run(_route(scheme, authority))
    written = authority.lower()
    host, port = route.address
    assert host in written
    assert route.initiator.url.raw_host == host
    assert port in (80, 443) or re.search(rf":0*{port}$", written)
    assert target.startswith("/")
    judged = Host.parse(host)
    assert Host.parse(judged.text) == judged


async def _route(scheme: str, authority: str) -> Route:
    return find_route((), _CUSTOMER, scheme, authority)


def _address(data: bytes) -> None:
    """What Python calls special is denied. What is denied beyond that is for its own tests."""
    try:
        address = ipaddress.ip_address(data.decode("latin-1"))
    except ValueError:
        return
    denial = classify(address)
    if not address.is_global or address.is_multicast:
        assert denial


def _settings(data: bytes) -> None:
    """What the operator writes."""
    text = data.decode("latin-1")
    with contextlib.suppress(ValueError):
        AddressRange.parse(text).covers(ipaddress.ip_address("10.0.0.1"), 80)
    with contextlib.suppress(ValueError):
        ConnectTo.parse(text).matches("a.example", 443)


def _pattern(data: bytes) -> None:
    """A pattern of an egress policy, and behind a space a host: as a shell would match it."""
    written, _, name = data.decode("utf-8", "replace").partition(" ")
    try:
        pattern = Pattern.parse(written)
    except ValueError:
        return
    if not re.fullmatch(r"[\x21-\x7e]*", name):
        return  # no URL has such a host
    host = Host.parse(name)
    if pattern.network is None:
        # Of what is special to fnmatch, a pattern of names has the star only.
        assert pattern.matches(host) == fnmatchcase(host.text, "*".join(pattern.parts))


def _origin(data: bytes) -> None:
    how, rest = (data[0] if data else 0), data[1:]
    run(_ask(_METHODS[how & 3], how & 3 == _WEBSOCKET, bytes([how >> 2]) + rest))


class _Client(GuardedClient):
    """The guarded client, on a connection without a network."""

    wire: Wire

    async def _connect(self, pool: Pool, route: Route, customer: Customer) -> Held:
        protocol = ResponseHandler(asyncio.get_running_loop())
        self.wire = Wire(protocol)
        connection: Any = _Connection(self.wire, protocol)
        return Held(connection, protocol, False)


class _Connection:
    """What aiohttp's connector hands out, as far as an exchange asks for it."""

    def __init__(self, wire: Wire, protocol: ResponseHandler) -> None:
        self.protocol: ResponseHandler | None = protocol
        self.transport: Wire | None = wire

    def close(self) -> None:
        """Close it."""
        if self.transport is not None:
            self.transport.close()
        self.transport = self.protocol = None

    def release(self) -> None:
        """Close it: nothing here is asked twice."""
        self.close()


@lru_cache(maxsize=1)
def _client() -> _Client:
    return _Client(ClientConfig(max_response_head=4096, max_message=4096), Guard())


async def _ask(method: str, websocket: bool, data: bytes) -> None:
    client = _client()
    request = Request(method, "https://a.example/", websocket=websocket)
    task = asyncio.ensure_future(_answer(client, request))
    await turns(lambda: False, most=4)
    wire = client.wire
    if websocket:
        key = bytes(wire.written).partition(b"sec-websocket-key: ")[2].partition(b"\r\n")[0]
        data = data.replace(_ACCEPT, handshake.accept_of(key))
    await wire.send(pieces(data))
    wire.end()
    assert await turns(task.done), "the asker still waits"
    task.result()


async def _answer(client: _Client, request: Request) -> None:
    response = await client.send(request, _CUSTOMER)
    if response.websocket is not None:
        while await response.websocket.receive() is not None:
            pass
        await response.aclose()
        return
    try:
        body = await read_all(response.body, _MOST_BODY)
    finally:
        await response.aclose()
    if body is not None:
        _passed_on(response, request.method)


def _passed_on(response: Response, method: str) -> None:
    """Write the head for the Worker, and read it as its runtime does."""
    framing = b"content-length: 0\r\n"
    head = response_head(response.status, response.headers, framing, response.status_text)
    reader = ResponseReader(method, 1 << 20, 1 << 10, lambda: Incoming(Deaf()))
    with contextlib.suppress(MalformedError):  # a control character, which aiohttp lets through
        reader.feed(head)
        _same(reader.response, response)


def _same(read: Response | None, written: Response) -> None:
    assert read is not None
    assert (read.status, read.headers) == (written.status, written.headers)


_READERS: dict[str, Callable[[bytes], None]] = {
    "url": _url,
    "address": _address,
    "settings": _settings,
    "pattern": _pattern,
    "origin": _origin,
}

_OK = b"\4\0HTTP/1.1 200 OK\r\n"
_OPEN = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"

TARGET = Target(
    "outbound",
    _read,
    {
        "a URL": b"\0https://a.example:8443/p?q=%20",
        "an odd URL": b"\0http://0x7f.1/..//;a",
        "IPv6": b"\0http://[::ffff:127.0.0.1]:80?",
        "an address": b"\x01169.254.169.254",
        "an IPv6 address": b"\x0164:ff9b::7f00:1",
        "6to4": b"\x012002:7f00:1::",
        "an allowance": b"\2[fd00::/8]:8080",
        "a bare allowance": b"\x0210.0.0.0/8",
        "connect-to": b"\2a.example:443:[::1]:8443",
        "a pattern": b"\3*.ex*mple.com a.example.com.",
        "a network": b"\x03192.0.2.0/24 0xc0.0.2.1",
        "a name that is not ASCII": "\3*.m\u00fcnchen.de a.xn--mnchen-3ya.de".encode(),
        "a length": _OK + b"Content-Length: 5\r\nX-A: \xe9\r\n\r\nhello",
        "chunks": b"\4\x1cHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"2;x=y\r\nhi\r\n0\r\nT: t\r\n\r\n",
        "until the end": _OK + b"\r\nhello",
        "gzip": _OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "a compressed body": _OK + b"Content-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc",
        "interim": b"\4\0HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\nHTTP/1.1 204 \r\n\r\n",
        "HEAD": b"\4\1HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
        "hop-by-hop": b"\4\2HTTP/1.1 299 It\r\nConnection: x-a, close\r\n"
        b"X-A: 1\r\nX-Sluice-A: 1\r\n\r\n",
        "HTTP/1.0": b"\4\0HTTP/1.0 200 OK\r\n\r\nhello",
        "two lengths": _OK + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        "a WebSocket": b"\4\3"
        + _OPEN
        + b"Sec-WebSocket-Accept: {accept}\r\n\r\n\x81\x05hello\x88\0",
        "not accepted": b"\4\3" + _OPEN + b"Sec-WebSocket-Accept: no\r\n\r\n",
    },
)
