"""The server, seen from raw sockets."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from typing import Any

import pytest

from sluice.http1 import server_connection
from sluice.http1.incoming import Incoming
from sluice.http1.server import Exchange, Limits, Peer
from sluice.wire.body import Whole, read_all
from sluice.wire.errors import Reason, SluiceError
from sluice.wire.messages import Response
from tests.http1.conftest import CUT, Pieces, Site, Wire, until

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"

HOSTILE: list[tuple[str, bytes, int]] = [
    # The request line.
    ("not HTTP", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
    ("HTTP/0.9", b"GET /\r\n\r\n", 505),
    ("HTTP/0.9 that says so", b"GET / HTTP/0.9\r\nHost: a\r\n\r\n", 505),
    ("HTTP/2.0", b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
    ("HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    ("HTTP/1.2", b"GET / HTTP/1.2\r\nHost: a\r\n\r\n", 400),
    ("an unknown method", b"FOO / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("a lowercase method", b"get / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("a tunnel", b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", 405),
    ("a tunnel as workerd asks for one", b"CONNECT a:443 HTTP/1.1\r\n\r\n", 405),
    ("the asterisk form", b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("a control character in the target", b"GET /\x01 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("a space in the target", b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("a space behind the version", b"GET / HTTP/1.1 \r\nHost: a\r\n\r\n", 400),
    ("a bare CR", b"GET / HTTP/1.1\rHost: a\r\n\r\n", 400),
    ("bare line feeds", b"GET / HTTP/1.1\nHost: a\n\n", 400),
    ("a long target", b"GET /" + b"a" * 17_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
    # Headers.
    ("no Host", b"GET / HTTP/1.1\r\n\r\n", 400),
    ("no Host in HTTP/1.0", b"GET / HTTP/1.0\r\n\r\n", 400),
    ("two Hosts", b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
    ("a Host with a path", b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400),
    ("a folded line", GET[:-2] + b"X: a\r\n b\r\n\r\n", 400),
    ("a folded line first", b"GET / HTTP/1.1\r\n X: a\r\nHost: a\r\n\r\n", 400),
    ("a space before the colon", GET[:-2] + b"X : a\r\n\r\n", 400),
    ("no name", GET[:-2] + b": a\r\n\r\n", 400),
    ("no colon", GET[:-2] + b"X\r\n\r\n", 400),
    ("NUL in a value", GET[:-2] + b"X: a\0b\r\n\r\n", 400),
    ("a bare CR in a value", GET[:-2] + b"X: a\rb\r\n\r\n", 400),
    ("a bare LF after a value", GET[:-2] + b"X: a\nY: b\r\n\r\n", 400),
    ("latin-1 in a name", GET[:-2] + b"X\xe9: a\r\n\r\n", 400),
    ("two tokens", GET[:-2] + b"X-Sluice-T: a\r\nx-sluice-t: b\r\n\r\n", 400),
    ("an expectation nobody knows", GET[:-2] + b"Expect: more\r\n\r\n", 417),
    ("a large head", GET[:-2] + b"X: " + b"a" * 140_000 + b"\r\n\r\n", 431),
    ("a head without end", GET[:-2] + b"X: " + b"a" * 400_000, 431),
    ("many headers", GET[:-2] + b"a: b\r\n" * 300 + b"\r\n", 431),
    ("a long name", GET[:-2] + b"a" * 300 + b": b\r\n\r\n", 431),
    # The length of the body, which must have one reading.
    ("length and chunks", POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
    ("chunks and length", POST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n", 400),
    ("two lengths", POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello", 400),
    ("the same length twice", POST + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", 400),
    ("a list of lengths", POST + b"Content-Length: 5, 5\r\n\r\nhello", 400),
    ("a sign", POST + b"Content-Length: +5\r\n\r\nhello", 400),
    ("a negative length", POST + b"Content-Length: -5\r\n\r\nhello", 400),
    ("hexadecimal", POST + b"Content-Length: 0x5\r\n\r\nhello", 400),
    ("no number", POST + b"Content-Length: \r\n\r\nhello", 400),
    ("a space in the number", POST + b"Content-Length: 5 5\r\n\r\nhello", 400),
    ("2^64", POST + b"Content-Length: 18446744073709551616\r\n\r\n", 400),
    ("2^64 - 1", POST + b"Content-Length: 18446744073709551615\r\n\r\n", 400),
    ("identity", POST + b"Transfer-Encoding: identity\r\n\r\n", 400),
    ("gzip", POST + b"Transfer-Encoding: gzip\r\n\r\n", 400),
    ("gzip, chunked", POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 400),
    ("chunked, gzip", POST + b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n", 400),
    ("chunked twice", POST + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", 400),
    (
        "two codings",
        POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
        400,
    ),
    ("xchunked", POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 400),
    ("quoted", POST + b'Transfer-Encoding: "chunked"\r\n\r\n0\r\n\r\n', 400),
    ("vertical tab", POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n", 400),
    ("an empty coding", POST + b"Transfer-Encoding:\r\n\r\n0\r\n\r\n", 400),
    ("a hidden coding", POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", 400),
    ("chunks in HTTP/1.0", CHUNKED.replace(b"1.1", b"1.0") + b"0\r\n\r\n", 400),
    # Chunks.
    ("no size", CHUNKED + b"\r\nhello\r\n0\r\n\r\n", 400),
    ("a sign", CHUNKED + b"+5\r\nhello\r\n0\r\n\r\n", 400),
    ("0x", CHUNKED + b"0x5\r\nhello\r\n0\r\n\r\n", 400),
    ("a space behind the size", CHUNKED + b"5 \r\nhello\r\n0\r\n\r\n", 400),
    ("more than 2^64", CHUNKED + b"fffffffffffffffff\r\nhello", 400),
    ("bare line feeds", CHUNKED + b"5\nhello\n0\n\n", 400),
    ("a longer chunk", CHUNKED + b"4\r\nhello\r\n0\r\n\r\n", 400),
    ("no CR behind the data", CHUNKED + b"5\r\nhello\n0\r\n\r\n", 400),
    ("a line feed in an extension", CHUNKED + b"5;\nx\r\nhello\r\n0\r\n\r\n", 400),
    ("a length in the trailers", CHUNKED + b"0\r\nContent-Length: 5\r\n\r\nhello", 400),
    ("a coding in the trailers", CHUNKED + b"0\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
    ("a folded trailer", CHUNKED + b"0\r\na: b\r\n c\r\n\r\n", 400),
]


@pytest.mark.parametrize(
    ("sent", "status"), [row[1:] for row in HOSTILE], ids=[row[0] for row in HOSTILE]
)
async def test_hostile_bytes(site: Site, sent: bytes, status: int) -> None:
    """They get one answer, and whatever is behind them gets none: the connection ends."""
    wire = await site.wire(sent + GET)
    assert (await wire.response())[0] == status
    assert await wire.ended()


ODD: list[tuple[str, bytes, str]] = [
    ("blank lines first", b"\r\n\r\n" + GET, "http://a/"),
    ("absolute form", b"GET http://b/x HTTP/1.1\r\nHost: a\r\n\r\n", "http://b/x"),
    ("absolute form, no Host", b"GET http://b/x HTTP/1.1\r\n\r\n", "http://b/x"),
    ("a port", b"GET /x HTTP/1.1\r\nHost: a:1\r\n\r\n", "http://a:1/x"),
    ("IPv6", b"GET /x HTTP/1.1\r\nHost: [::1]\r\n\r\n", "http://[::1]/x"),
    ("a length with space around it", POST + b"Content-Length:\t0 \r\n\r\n", "http://a/"),
    ("a chunk extension", CHUNKED + b'1;a="b c"\r\nx\r\n0\r\n\r\n', "http://a/"),
    ("Content_Length is another header", POST + b"Content_Length: 5\r\n\r\n", "http://a/"),
]


@pytest.mark.parametrize(("sent", "url"), [row[1:] for row in ODD], ids=[row[0] for row in ODD])
async def test_odd_bytes(site: Site, sent: bytes, url: str) -> None:
    """They are as good as any, and the connection goes on."""
    wire = await site.wire(sent)
    assert (await wire.response())[0] == 200
    wire.send(GET)
    assert (await wire.response())[0] == 200
    assert site.exchanges[0].request.url == url


async def test_exchange(site: Site) -> None:
    """The handler sees the request, without what belongs to the connection, and who sent it."""
    wire = await site.wire(
        POST + b"Content-Length: 2\r\nX-Sluice-Token: \xe9\r\nSet-Cookie: 1\r\nA: \xe9\r\n"
        b"set-cookie: 2\r\nConnection: keep-alive, b\r\nB: x\r\nKeep-Alive: 5\r\nTE: t\r\n\r\nhi"
    )
    assert await wire.response() == (200, b"hi")
    (exchange,) = site.exchanges
    assert exchange.request.method == "POST"
    assert exchange.request.headers == [("set-cookie", b"1"), ("a", b"\xe9"), ("set-cookie", b"2")]
    assert exchange.request.content_length == 2
    assert exchange.control == {"x-sluice-token": "\xe9"}
    assert exchange.peer.pid == os.getpid()
    assert exchange.peer.address == f"pid:{os.getpid()}"
    assert exchange.upgrade is None


async def test_tcp_peer(site: Site) -> None:
    """Over TCP the peer is an address, and no process."""
    wire = await site.tcp_wire(GET)
    await wire.response()
    host, port = wire.writer.get_extra_info("sockname")
    assert site.exchanges[0].peer.address == f"{host}:{port}"
    assert site.exchanges[0].peer.pid is None


async def test_a_small_body_is_at_hand(site: Site) -> None:
    """What came in the same read as the head can be taken without waiting."""
    taken = []

    async def handler(exchange: Exchange) -> Response:
        taken.append(exchange.request.body.take())
        return Response(204)

    site.handler = handler
    wire = await site.wire(POST + b"Content-Length: 2\r\n\r\nhi")
    await wire.response(body=False)
    assert taken == [(b"hi", True)]


async def test_response_bytes(site: Site) -> None:
    """Head and body go out as given: order, repeats and bytes of headers."""

    async def handler(_: Exchange) -> Response:
        headers = [("set-cookie", b"1"), ("a", b"\xe9"), ("set-cookie", b"2")]
        return Response(418, headers, Whole(b"tea"))

    site.handler = handler
    wire = await site.wire(GET)
    assert await wire.reader.readuntil(b"tea") == (
        b"HTTP/1.1 418 I'm a Teapot\r\nset-cookie: 1\r\na: \xe9\r\nset-cookie: 2\r\n"
        b"content-length: 3\r\n\r\ntea"
    )


async def test_chunks_and_their_end(site: Site) -> None:
    """A body of unknown length goes out chunk by chunk, and the connection goes on."""

    async def handler(_: Exchange) -> Response:
        return Response(200, body=Pieces(b"ab", b"c" * 20))

    site.handler = handler
    wire = await site.wire(GET)
    _, headers = await wire.head()
    assert headers == [(b"transfer-encoding", b"chunked")]
    expected = b"2\r\nab\r\n14\r\n" + b"c" * 20 + b"\r\n0\r\n\r\n"
    assert await wire.reader.readexactly(len(expected)) == expected
    wire.send(GET)
    assert (await wire.response()) == (200, b"ab" + b"c" * 20)


async def test_http_1_0(site: Site) -> None:
    """A client that cannot read chunks gets the body until the connection's end."""

    async def handler(_: Exchange) -> Response:
        return Response(200, body=Pieces(b"ab", b"c"))

    site.handler = handler
    wire = await site.wire(b"GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n")
    _, headers = await wire.head()
    assert headers == [(b"connection", b"close")]
    assert await wire.reader.read() == b"abc"


@pytest.mark.parametrize("method", [b"HEAD", b"GET"])
@pytest.mark.parametrize("status", [200, 204, 205, 304])
async def test_responses_without_a_body(site: Site, method: bytes, status: int) -> None:
    """Not a byte of a body follows where none can be, so the next response is read right."""

    async def handler(_: Exchange) -> Response:
        return Response(status, body=Whole(b"hello"), content_length=5)

    site.handler = handler
    wire = await site.wire(GET.replace(b"GET", method) * 2)
    for _ in range(2):
        start, headers = await wire.head()
        assert start.startswith(b"HTTP/1.1 %d" % status)
        if (method, status) == (b"GET", 200):
            assert await wire.reader.readexactly(5) == b"hello"
        if method == b"HEAD" and status in (200, 304):
            assert headers == [(b"content-length", b"5")]
    assert len(site.exchanges) == 2


async def test_pipelined_requests_are_served_in_turn(site: Site) -> None:
    """One after another, in order, the bad one in its place too."""
    running = 0

    async def handler(exchange: Exchange) -> Response:
        nonlocal running
        running += 1
        assert running == 1
        await asyncio.sleep(0)
        running -= 1
        return Response(200, body=Whole(exchange.request.url.encode()))

    site.handler = handler
    requests = [b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % n for n in range(20)]
    wire = await site.wire(b"".join(requests) + b"bad\r\n\r\n")
    for n in range(20):
        assert await wire.response() == (200, b"http://a/%d" % n)
    assert (await wire.response())[0] == 400
    assert await wire.ended()


async def test_pipelining_is_bounded(site: Site) -> None:
    """While a request is served, no more is read than one read brings."""
    go = asyncio.Event()

    async def handler(_: Exchange) -> Response:
        await go.wait()
        return Response(204)

    site.handler = handler
    wire = await site.wire(GET)
    await until(lambda: site.exchanges)
    accepted = await _stuff(wire, GET * 1000, lambda: site.connection()._holds)
    assert accepted < 4 << 20
    assert len(site.connection()._reader.arrived) < 20_000
    go.set()
    for _ in range(accepted // len(GET)):
        await wire.head()


async def test_connection_close(site: Site) -> None:
    """It is said and done."""
    wire = await site.wire(GET[:-2] + b"Connection: Close\r\n\r\n" + GET)
    _, headers = await wire.head()
    assert (b"connection", b"close") in headers
    assert await wire.ended()
    assert len(site.exchanges) == 1


@pytest.mark.parametrize("ask", [True, False])
async def test_expect(site: Site, ask: bool) -> None:
    """`100 Continue` goes out when the handler wants the body, and never otherwise."""
    pieces: list[bytes] = []

    async def handler(exchange: Exchange) -> Response:
        async for piece in exchange.request.body if ask else Pieces(b"unasked"):
            pieces.append(piece)  # noqa: PERF401 - the test looks while they come
        return Response(200, body=Whole(b"".join(pieces)))

    site.handler = handler
    wire = await site.wire(POST + b"Content-Length: 2\r\nExpect: 100-Continue\r\n\r\n")
    if ask:
        assert (await wire.head())[0] == b"HTTP/1.1 100 Continue"
        wire.send(b"h")
        await until(lambda: pieces and _body(site).waiting)
        wire.send(b"i")
        assert await wire.response() == (200, b"hi")
        assert site.exchanges[0].request.headers == []
    else:
        assert await wire.response() == (200, b"unasked")
        assert await wire.ended()


async def test_expect_behind_the_response_head(site: Site) -> None:
    """Nothing is asked for in the middle of a response."""

    async def handler(exchange: Exchange) -> Response:
        return Response(200, body=exchange.request.body)

    site.handler = handler
    wire = await site.wire(CHUNKED[:-2] + b"Expect: 100-continue\r\n\r\n")
    assert (await wire.head())[0] == b"HTTP/1.1 200 OK"
    await until(lambda: _body(site).waiting)
    wire.send(b"2\r\nhi\r\n0\r\n\r\n")
    assert await wire.reader.readuntil(b"0\r\n\r\n") == b"2\r\nhi\r\n0\r\n\r\n"


async def test_expect_with_the_body_at_hand(site: Site) -> None:
    """A client that did not wait is not asked."""
    wire = await site.wire(POST + b"Content-Length: 2\r\nExpect: 100-continue\r\n\r\nhi")
    assert await wire.response() == (200, b"hi")


@pytest.mark.parametrize("token", ["WebSocket", "h2c"])
async def test_upgrade(site: Site, token: str) -> None:
    """It is named to the handler, which may answer as ever; the connection goes on."""
    upgrade = f"Connection: Upgrade\r\nUpgrade: {token}\r\n\r\n".encode()
    wire = await site.wire(GET[:-2] + upgrade + GET)
    for _ in range(2):
        assert (await wire.response())[0] == 200
    assert [exchange.upgrade for exchange in site.exchanges] == [token.lower(), None]


def _body(site: Site) -> Incoming:
    """The body of the last request."""
    body = site.exchanges[-1].request.body
    assert isinstance(body, Incoming)
    return body


async def test_error_of_the_handler(site: Site) -> None:
    """A `SluiceError` is what `on_error` says, and the connection goes on."""

    async def handler(_: Exchange) -> Response:
        raise SluiceError(Reason.LOAD_SHED, "full")

    site.handler = handler
    wire = await site.wire(GET * 2)
    for _ in range(2):
        assert await wire.response() == (503, b"LOAD_SHED")


async def test_bug_of_the_handler(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    """Any other exception is logged with its traceback, and tells the client nothing."""

    async def handler(_: Exchange) -> Response:
        raise RuntimeError("a secret")

    site.handler = handler
    wire = await site.wire(GET)
    assert await wire.response() == (500, b"INTERNAL")
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("sluice.http1", logging.ERROR)
    assert record.exc_info is not None


@pytest.mark.parametrize(
    "response",
    [
        Response(200, [("a", b"b\r\nc: d")]),
        Response(200, [("content-length", b"9")]),
        Response(101, body=Pieces(b"a")),
        Response(200, body=Whole(b"hello"), content_length=4),
    ],
    ids=["a line break", "framing of its own", "no final status", "a wrong length"],
)
async def test_responses_that_cannot_be_sent(site: Site, response: Response) -> None:
    """They are errors, before a byte of them is sent, and their bodies are closed."""

    async def handler(_: Exchange) -> Response:
        return response

    site.handler = handler
    wire = await site.wire(GET * 2)
    for _ in range(2):
        assert (await wire.response())[0] == 502
    assert not isinstance(response.body, Pieces) or response.body.closed.is_set()


CUT_SHORT: list[tuple[str, Pieces, int | None]] = [
    ("it raises", Pieces(b"ab", CUT), None),
    ("it has a bug", Pieces(b"ab", RuntimeError("bug")), None),
    ("it is too short", Pieces(b"ab"), 3),
    ("it is too long", Pieces(b"ab", b"cd"), 3),
]


@pytest.mark.parametrize("version", [b"1.1", b"1.0"])
@pytest.mark.parametrize("tcp", [True, False])
@pytest.mark.parametrize(
    ("body", "length"), [row[1:] for row in CUT_SHORT], ids=[row[0] for row in CUT_SHORT]
)
async def test_cut_short(
    site: Site, body: Pieces, length: int | None, version: bytes, tcp: bool
) -> None:
    """A response that cannot be completed is never ended cleanly: over TCP it is reset."""

    async def handler(_: Exchange) -> Response:
        return Response(200, body=Pieces(*body.pieces), content_length=length)

    site.handler = handler
    wire = await (site.tcp_wire if tcp else site.wire)(GET.replace(b"1.1", version))
    try:
        received = await wire.reader.read()
    except ConnectionResetError:
        return
    assert not tcp
    assert b"0\r\n\r\n" not in received
    assert len(received.partition(b"\r\n\r\n")[2]) != length


async def _stuff(wire: Wire, data: bytes, stalled: Any) -> int:
    """Write `data` over and over, until the server has stalled. Returns how much it took."""
    sock = socket.socket(fileno=os.dup(wire.writer.get_extra_info("socket").fileno()))
    sock.setblocking(False)
    sent = 0
    with sock:
        while True:
            try:
                sent += sock.send(data[sent % len(data) :])
            except BlockingIOError:
                if stalled():
                    return sent
            await asyncio.sleep(0)


async def test_a_handler_that_does_not_read_stalls_the_client(site: Site) -> None:
    """No more of a body is taken in than its buffer; later all of it arrives."""
    go = asyncio.Event()
    size = 8 << 20

    async def handler(exchange: Exchange) -> Response:
        await go.wait()
        total = 0
        async for piece in exchange.request.body:
            total += len(piece)
        return Response(200, body=Whole(b"%d" % total))

    site.handler = handler
    wire = await site.wire(POST + b"Content-Length: %d\r\n\r\n" % size)
    await until(lambda: site.exchanges)
    accepted = await _stuff(wire, bytes(1 << 16), lambda: site.connection()._holds)
    assert accepted < 2 << 20
    go.set()
    wire.send(bytes(size - accepted))
    assert await wire.response() == (200, b"%d" % size)


async def test_a_client_that_does_not_read_stalls_the_body(site: Site) -> None:
    """No more of a response is produced than the buffers hold; later all of it arrives."""
    body = Pieces(*[bytes(1 << 16)] * 128)

    async def handler(_: Exchange) -> Response:
        return Response(200, body=body)

    site.handler = handler
    wire = await site.wire()
    wire.writer.transport.pause_reading()  # type: ignore[attr-defined]
    wire.send(GET)
    await until(lambda: site.exchanges and site.connection().out.waiting)
    assert body.given < 2 << 20
    wire.writer.transport.resume_reading()  # type: ignore[attr-defined]
    assert len((await wire.response())[1]) == 8 << 20


async def test_a_client_that_does_not_read_stalls_its_own_requests(site: Site) -> None:
    """Responses to pipelined requests do not pile up."""

    async def handler(_: Exchange) -> Response:
        return Response(200, body=Whole(bytes(1 << 16)))

    site.handler = handler
    wire = await site.wire()
    wire.writer.transport.pause_reading()  # type: ignore[attr-defined]
    wire.send(GET * 1000)
    await until(lambda: site.exchanges and site.connection().out.waiting)
    assert len(site.exchanges) < 40
    wire.writer.transport.resume_reading()  # type: ignore[attr-defined]
    for _ in range(1000):
        assert (await wire.response())[0] == 200


async def test_a_body_that_nobody_wants_is_not_read(site: Site) -> None:
    """Its sender is stalled until the response, and does get that."""
    go = asyncio.Event()

    async def handler(exchange: Exchange) -> Response:
        await exchange.request.body.aclose()
        await go.wait()
        return Response(200, body=Whole(b"no"))

    site.handler = handler
    wire = await site.wire(POST + b"Content-Length: 80000000\r\n\r\n")
    await until(lambda: site.exchanges)
    assert await _stuff(wire, bytes(1 << 16), lambda: site.connection()._holds) < 2 << 20
    go.set()
    assert await wire.response() == (200, b"no")
    assert await wire.ended()


async def test_the_client_leaves_at_once(site: Site) -> None:
    """A request whose handler had not begun is not in flight any more."""
    await site.wire()
    await until(lambda: site.server._serving.connections)
    connection = site.connection()
    connection.data_received(GET)
    connection.eof_received()
    assert site.server.in_flight == 1
    await until(lambda: not site.server.in_flight)
    assert not site.exchanges
    connection.abort()


async def test_the_client_leaves(site: Site) -> None:
    """The handler is cancelled, and who reads the body elsewhere is told that it was cut short."""
    cancelled = asyncio.Event()
    reads: list[asyncio.Future[bytes | None]] = []

    async def handler(exchange: Exchange) -> Response:
        reads.append(asyncio.ensure_future(read_all(exchange.request.body, 100)))
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        raise AssertionError

    site.handler = handler
    wire = await site.wire(POST + b"Content-Length: 9\r\n\r\nhal")
    await until(lambda: site.exchanges)
    await wire.close()
    await cancelled.wait()
    with pytest.raises(SluiceError) as raised:
        await reads[0]
    assert raised.value.reason is Reason.BODY_CUT_SHORT
    await until(lambda: not site.server.in_flight)


async def test_the_client_leaves_in_mid_response(site: Site) -> None:
    """The response's body is closed."""
    body = Pieces(b"a", gate=asyncio.Event())

    async def handler(_: Exchange) -> Response:
        return Response(200, body=body)

    site.handler = handler
    wire = await site.wire(GET)
    await wire.head()
    await wire.close()
    await body.closed.wait()


async def test_an_answer_before_the_whole_request(site: Site) -> None:
    """It arrives although the request goes on, and then the connection ends."""

    async def handler(_: Exchange) -> Response:
        raise SluiceError(Reason.BODY_TOO_LARGE, "too large")

    site.handler = handler
    for connect in (site.wire, site.tcp_wire):
        wire = await connect(POST + b"Content-Length: 4000000\r\n\r\n" + bytes(1_000_000))
        _, headers = await wire.head()
        assert (b"connection", b"close") in headers
        wire.send(bytes(1_000_000))
        assert await wire.reader.read() == b"BODY_TOO_LARGE"


async def test_admit(quiet_site: Site) -> None:
    """A peer that is not admitted gets nothing but the end."""
    peers: list[Peer] = []

    def admit(peer: Peer) -> bool:
        peers.append(peer)
        return False

    await quiet_site.start(admit=admit)
    wire = await quiet_site.wire(GET)
    assert await wire.ended()
    assert [peer.pid for peer in peers] == [os.getpid()]
    assert not quiet_site.exchanges


async def test_too_many_connections(quiet_site: Site) -> None:
    """One more than the limit is closed; the others go on."""
    await quiet_site.start(Limits(max_connections=1))
    wire = await quiet_site.wire(GET)
    await wire.response()
    assert await (await quiet_site.wire(GET)).ended()
    wire.send(GET)
    assert (await wire.response())[0] == 200


async def test_a_slow_head(quiet_site: Site) -> None:
    """A head that does not end in time is answered 408, also behind another request."""
    await quiet_site.start(Limits(head_timeout=0.05))
    for sent in (b"GET / HT", GET + b"GET / HT"):
        wire = await quiet_site.wire(sent)
        if sent.startswith(GET):
            assert (await wire.response())[0] == 200
        assert (await wire.response())[0] == 408
        assert await wire.ended()


async def test_an_idle_connection(quiet_site: Site) -> None:
    """It ends, before its first request and after one."""
    await quiet_site.start(Limits(idle_timeout=0.05))
    assert await (await quiet_site.wire()).ended()
    wire = await quiet_site.wire(GET)
    await wire.response()
    assert await wire.ended()


async def test_a_peer_that_stalls(quiet_site: Site) -> None:
    """A body that does not go on in time, and one that nobody reads, end the connection."""
    await quiet_site.start(Limits(stall_timeout=0.1))
    wire = await quiet_site.wire(POST + b"Content-Length: 9\r\n\r\nhal")
    assert await wire.ended()

    body = Pieces(*[bytes(1 << 16)] * 128)

    async def handler(_: Exchange) -> Response:
        return Response(200, body=body)

    quiet_site.handler = handler
    wire = await quiet_site.wire()
    wire.writer.transport.pause_reading()  # type: ignore[attr-defined]
    wire.send(GET)
    await body.closed.wait()
    assert body.given < 2 << 20


async def test_lingering_is_bounded(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that neither reads nor leaves after a refusal is left."""
    monkeypatch.setattr(server_connection, "LINGER", 0.01)
    wire = await site.wire(b"bad\r\n\r\n")
    wire.writer.transport.pause_reading()  # type: ignore[attr-defined]
    await until(lambda: site.server._serving.connections)
    await until(lambda: not site.server._serving.connections)


async def test_a_handler_may_take_its_time(quiet_site: Site) -> None:
    """A timeout counts only while the peer is waited for."""
    await quiet_site.start(Limits(stall_timeout=0.02, idle_timeout=0.02, head_timeout=0.02))

    async def handler(_: Exchange) -> Response:
        await asyncio.sleep(0.2)
        return Response(204)

    quiet_site.handler = handler
    wire = await quiet_site.wire(GET)
    assert (await wire.response(body=False))[0] == 204


async def test_close_ends_idle_connections(site: Site) -> None:
    """They end at once, and nobody can connect any more."""
    wire = await site.wire(GET)
    await wire.response()
    await site.server.close(60)
    assert await wire.ended()
    with pytest.raises(OSError, match=r".+"):
        await asyncio.open_unix_connection(site.path)


async def test_a_connection_that_close_did_not_see(site: Site) -> None:
    """One that the kernel had accepted before is not served any more."""
    site.server._serving.closing = True
    assert await (await site.wire(GET)).ended()
    assert not site.exchanges


async def test_close_waits_for_requests_in_flight(site: Site) -> None:
    """They finish within the grace, and say that the connection ends with them."""
    go = asyncio.Event()

    async def handler(_: Exchange) -> Response:
        await go.wait()
        return Response(200, body=Whole(b"done"))

    site.handler = handler
    wire = await site.wire(GET)
    await until(lambda: site.server.in_flight == 1)
    closing = asyncio.create_task(site.server.close(60))
    await asyncio.sleep(0)
    go.set()
    _, headers = await wire.head()
    assert (b"connection", b"close") in headers
    assert await wire.reader.read() == b"done"
    await closing
    assert site.server.in_flight == 0


async def test_close_ends_connections_behind_streams(site: Site) -> None:
    """Also where the response's head had promised more."""
    go = asyncio.Event()

    async def handler(_: Exchange) -> Response:
        return Response(200, body=Pieces(b"a", gate=go))

    site.handler = handler
    wire = await site.wire(GET)
    await wire.head()
    closing = asyncio.create_task(site.server.close(600))
    await asyncio.sleep(0)
    go.set()
    assert await wire.reader.read() == b"1\r\na\r\n0\r\n\r\n"
    await closing


async def test_close_cancels_what_outlasts_the_grace(site: Site) -> None:
    """The handler is cancelled, and the connection broken off."""
    cancelled = asyncio.Event()

    async def handler(_: Exchange) -> Response:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        raise AssertionError

    site.handler = handler
    wire = await site.wire(GET)
    await until(lambda: site.exchanges)
    await site.server.close(0.01)
    assert cancelled.is_set()
    assert await wire.ended()


async def test_whole_bodies_come_back(site: Site) -> None:
    """What was sent in one shape or the other is answered byte for byte, on one connection."""
    wire = await site.wire()
    for size in (0, 1, 65_536, 1_000_000):
        data = os.urandom(size)
        wire.send(POST + b"Content-Length: %d\r\n\r\n" % size + data)
        assert await wire.response() == (200, data)
        wire.send(CHUNKED + (b"%x\r\n" % size + data + b"\r\n" if size else b"") + b"0\r\n\r\n")
        assert await wire.response() == (200, data)
