"""The egress socket: what a Worker's process writes, read, answered, and sent on to an origin.

The first byte says in what pieces the rest comes. What is at stake beside exceptions: a request
that an origin would read as another, an answer that is no HTTP, and a task that stays.
"""

from __future__ import annotations

import asyncio

import httptools

from fuzz.target import Target
from fuzz.transport import Deaf, Wire, pieces, run, turns
from services.outbound.origin import request_head
from sluice.http1.exchange import Exchange, Peer
from sluice.http1.incoming import Incoming
from sluice.http1.limits import Limits
from sluice.http1.request_reader import RequestReader
from sluice.http1.server_connection import ServerConnection
from sluice.http1.serving import Serving
from sluice.isolate import control
from sluice.pb import http_pb2
from sluice.wire.body import Whole
from sluice.wire.errors import Reason, SluiceError
from sluice.wire.headers import CONTROL_PREFIX
from sluice.wire.messages import Request, Response, request_from_pb, request_to_pb
from sluice.wire.websocket import Message, message_from_pb, message_to_pb
from tests.bodies import read_all

_LIMITS = Limits(max_head=4096, max_headers=64, max_url=1024, max_message=4096)
_MOST_BODY = 64 * 1024


class _Echo:
    """A WebSocket that says what it is told, as the contract carries it."""

    def __init__(self) -> None:
        self._messages: asyncio.Queue[Message | None] = asyncio.Queue()

    async def receive(self) -> Message | None:
        return await self._messages.get()

    async def send(self, message: Message) -> None:
        carried = http_pb2.WebSocketMessage.FromString(message_to_pb(message).SerializeToString())
        assert message_from_pb(carried) == message
        self._messages.put_nowait(message)

    async def aclose(self) -> None:
        self._messages.put_nowait(None)


def _read(data: bytes) -> None:
    run(_serve(data))


async def _serve(data: bytes) -> None:
    methods: set[str] = set()

    async def handle(exchange: Exchange) -> Response:
        methods.add(exchange.request.method)
        return await _handle(exchange)

    serving = Serving(handle, control.thrown, "http", _LIMITS, None)
    connection = ServerConnection(serving)
    wire = Wire(connection)
    await wire.send(pieces(data))
    await turns(lambda: connection.idle)
    wire.end()
    assert await turns(lambda: not serving.tasks and connection.lost.done()), "a task stays"
    if "HEAD" not in methods and b"HTTP/1.1 101" not in wire.written:
        # Behind those, a parser that was not told of the request reads something else.
        httptools.HttpResponseParser(_Ignored()).feed_data(bytes(wire.written))


async def _handle(exchange: Exchange) -> Response:
    """Answer by the path's second letter: echo, ignore the body, or send the request on."""
    request = exchange.request
    assert not any(name.startswith(CONTROL_PREFIX) for name, _ in request.headers)
    if exchange.upgrade is not None:
        raise SluiceError(Reason.NOT_SUPPORTED, "upgrade")
    if request.websocket:
        _sent_on(request, b"")
        return Response(101, websocket=_Echo())
    match request_head.locate(request.url).target[1:2]:
        case "e":
            return Response(200, request.headers, request.body, request.content_length)
        case "i":
            return Response(200, [], Whole(b"ignored"))
    body = await read_all(request.body, _MOST_BODY)
    if body is None:
        raise SluiceError(Reason.BODY_TOO_LARGE, "body")
    _sent_on(request, body)
    return Response(200, request.headers, Whole(body))


def _sent_on(request: Request, body: bytes) -> None:
    """Carry a request to the outbound service, write it for an origin, and read it as one does."""
    head = http_pb2.HttpRequestHead()
    request_to_pb(request, head)
    head = http_pb2.HttpRequestHead.FromString(head.SerializeToString())
    carried = request_from_pb(head, Whole())
    location = request_head.locate(carried.url)
    framing = request_head.framing(carried, body, complete=True)
    reader = RequestReader(Limits(), location.scheme, Peer("origin", None), lambda: _body)
    _body = Incoming(Deaf())
    reader.feed(request_head.head(carried, location, framing) + body)
    (arrived,) = reader.arrived
    read = arrived.exchange.request
    assert not reader.amid
    assert not arrived.unread
    assert (read.method, read.headers) == (carried.method, carried.headers)
    assert read.url == f"{location.scheme}://{location.authority}{location.target}"
    assert read.body.take() == (body, True)


class _Ignored:
    """Wants to know nothing of what is parsed."""


_GET = b"GET /a?q=1 HTTP/1.1\r\nHost: a.example\r\nX-Sluice-Token: 0123\r\nX-A: \xe9 b\r\n\r\n"
_CHUNKED = b"POST /e HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
_H2C = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n"
_WEBSOCKET = (
    b"GET /w HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
_MASKED_TEXT = b"\x81\x85\0\0\0\0hello"
_MASKED_CLOSE = b"\x88\x82\0\0\0\0\x03\xe8"

TARGET = Target(
    "egress",
    _read,
    {
        "a request": b"\0" + _GET,
        "pipelined, byte by byte": b"\x01" + _GET + _GET,
        "absolute form": b"\0GET https://b.example:8443/?x HTTP/1.1\r\nHost: a\r\n\r\n",
        "a body by length": b"\x40POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
        "chunks, an extension, a trailer": b"\x07"
        + _CHUNKED
        + b"3;e=1\r\nabc\r\n0\r\nT: t\r\n\r\n",
        "ignored body": b"\x20PUT /i HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhello",
        "expects": b"\0POST /a HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
        b"Content-Length: 2\r\n\r\nhi",
        "h2c with a body": b"\0POST /a HTTP/1.1\r\nHost: a\r\n"
        + _H2C
        + b"Content-Length: 3\r\n\r\nxyz",
        "HEAD": b"\0HEAD /a HTTP/1.1\r\nHost: a\r\n\r\n" + _GET,
        "HTTP/1.0": b"\0GET /e HTTP/1.0\r\nHost: [::1]:80\r\nConnection: keep-alive\r\n\r\n",
        "close, and a header named": b"\0GET /a HTTP/1.1\r\nHost: a\r\n"
        b"Connection: close, x-a\r\nX-A: 1\r\n\r\n",
        "CONNECT": b"\0CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n",
        "smuggling": b"\0POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + _GET,
        "two lengths": b"\0POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n"
        b"Content-Length: 2\r\n\r\nab",
        "a WebSocket": b"\0" + _WEBSOCKET + _MASKED_TEXT + _MASKED_CLOSE,
        "a WebSocket, by pieces": b"\x0b"
        + _WEBSOCKET
        + _MASKED_TEXT * 3
        + b"\x89\x80\0\0\0\0"
        + _MASKED_CLOSE,
        "fragments": b"\0" + _WEBSOCKET + b"\x01\x81\0\0\0\0a\x00\x81\0\0\0\0b\x80\x81\0\0\0\0c",
    },
)
