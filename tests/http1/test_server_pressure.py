"""A server whose peer does not read, does not write, or leaves."""

from __future__ import annotations

import asyncio

import pytest

from sluice.http1.server import Exchange
from sluice.wire.body import Whole
from sluice.wire.errors import Reason, SluiceError
from sluice.wire.messages import Response
from tests.bodies import read_all
from tests.http1.conftest import GET, POST, Pieces, Site, stuff, until


async def test_pipelining_is_bounded(site: Site) -> None:
    """While a request is served, no more is read than one read brings."""
    go = asyncio.Event()

    async def handler(_: Exchange) -> Response:
        await go.wait()
        return Response(204)

    site.handler = handler
    wire = await site.wire(GET)
    await until(lambda: site.exchanges)
    accepted = await stuff(wire, GET * 1000, lambda: site.connection()._holds)
    assert accepted < 4 << 20
    assert len(site.connection()._reader.arrived) < 20_000
    go.set()
    for _ in range(accepted // len(GET)):
        await wire.head()


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
    accepted = await stuff(wire, bytes(1 << 16), lambda: site.connection()._holds)
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
    assert await stuff(wire, bytes(1 << 16), lambda: site.connection()._holds) < 2 << 20
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
