"""Requests and responses at the server, seen from raw sockets."""

from __future__ import annotations

import asyncio
import logging
import os

import pytest

from sluice.http1.incoming import Incoming
from sluice.http1.server import Exchange
from sluice.wire.body import Whole
from sluice.wire.errors import Reason, SluiceError
from sluice.wire.messages import Response
from tests.http1.conftest import CHUNKED, CUT, GET, POST, Pieces, Site, until


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
    assert (await wire.response())[0] == 501
    assert await wire.ended()


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


@pytest.mark.parametrize("token", ["TLS/1.0", "h2c"])
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


async def test_whole_bodies_come_back(site: Site) -> None:
    """What was sent in one shape or the other is answered byte for byte, on one connection."""
    wire = await site.wire()
    for size in (0, 1, 65_536, 1_000_000):
        data = os.urandom(size)
        wire.send(POST + b"Content-Length: %d\r\n\r\n" % size + data)
        assert await wire.response() == (200, data)
        wire.send(CHUNKED + (b"%x\r\n" % size + data + b"\r\n" if size else b"") + b"0\r\n\r\n")
        assert await wire.response() == (200, data)
