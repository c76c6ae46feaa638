"""A server whose peer sends or takes less than the least rate."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import pytest

from sluice.http1.server import Exchange, Limits
from sluice.wire.body import Body, Whole
from sluice.wire.errors import Reason, SluiceError
from sluice.wire.messages import Response
from tests.http1.conftest import CHUNKED, GET, POST, Pieces, Site, Wire, until

RATE = 64 * 1024
LIMITS = Limits(min_rate=RATE, rate_grace=0.1)
LONGER = 0.3

SIZED = POST + b"Content-Length: 1000000\r\n"


async def drip(wire: Wire, piece: bytes) -> None:
    """Send a piece at a time, for ever."""
    with contextlib.suppress(ConnectionError):
        while True:
            wire.send(piece)
            await wire.writer.drain()
            await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def dripping(wire: Wire, piece: bytes) -> AsyncIterator[None]:
    """Meanwhile, send a piece at a time."""
    task = asyncio.create_task(drip(wire, piece))
    try:
        async with asyncio.timeout(5):
            yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def read_slowly(site: Site, size: int, window: int = 1) -> int:
    """Ask, and take `size` bytes of the response each 10 ms, through a window as small as can be.

    Returns how many there were.
    """
    address = await site.server.listen_tcp("127.0.0.1", 0)
    loop, count = asyncio.get_running_loop(), 0
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
        sock.setblocking(False)
        await loop.sock_connect(sock, address)
        await loop.sock_sendall(sock, GET.replace(b"1.1", b"1.0"))
        async with asyncio.timeout(10):
            while got := await loop.sock_recv(sock, size):
                count += len(got)
                await asyncio.sleep(0.01)
    return count


@pytest.mark.parametrize(
    ("head", "piece"),
    [
        (SIZED + b"\r\n", b"x"),
        (SIZED + b"\r\n", b""),  # nothing at all
        (
            SIZED + b"\r\n" + bytes(8192),
            b"x",
        ),  # what that earns, an eighth of a second, is soon over
        (CHUNKED, b"1\r\nx\r\n"),
        (CHUNKED, b"1;" + b"e" * 4096 + b"\r\nx\r\n"),  # only the body counts
    ],
)
async def test_a_slow_body(quiet_site: Site, head: bytes, piece: bytes) -> None:
    """It fails whoever reads it, and the connection ends behind that answer."""
    await quiet_site.start(LIMITS)
    wire = await quiet_site.tcp_wire(head)
    async with dripping(wire, piece):
        assert await wire.response() == (408, b"REQUEST_TIMEOUT")


async def test_a_body_that_was_asked_for(quiet_site: Site) -> None:
    """A client that expects to be asked for its body, and then sends none, is not waited for."""
    await quiet_site.start(LIMITS)
    wire = await quiet_site.wire(SIZED + b"Expect: 100-continue\r\n\r\n")
    assert (await wire.head())[0] == b"HTTP/1.1 100 Continue"
    async with asyncio.timeout(5):
        assert (await wire.response())[0] == 408


async def test_a_slow_body_behind_a_response(quiet_site: Site) -> None:
    """Once the response has begun it is broken off, and never looks complete."""

    async def echo(exchange: Exchange) -> Response:
        return Response(200, body=exchange.request.body)

    await quiet_site.start(LIMITS)
    quiet_site.handler = echo
    wire = await quiet_site.tcp_wire(CHUNKED)
    async with dripping(wire, b"1\r\nx\r\n"):
        assert (await wire.head())[0] == b"HTTP/1.1 200 OK"
        with pytest.raises(ConnectionResetError):
            await wire.reader.read()


async def test_a_slow_body_beside_a_response(quiet_site: Site) -> None:
    """So it is where the response does not depend on it."""
    reads: list[asyncio.Task[int]] = []

    async def handler(exchange: Exchange) -> Response:
        reads.append(asyncio.create_task(_count(exchange.request.body)))
        return Response(200, body=Pieces(b"a", gate=asyncio.Event()))

    await quiet_site.start(LIMITS)
    quiet_site.handler = handler
    wire = await quiet_site.tcp_wire(CHUNKED)
    async with dripping(wire, b"1\r\nx\r\n"):
        assert (await wire.head())[0] == b"HTTP/1.1 200 OK"
        with pytest.raises(ConnectionResetError):
            await wire.reader.read()
    with pytest.raises(SluiceError, match="left before the end"):
        await reads[0]


async def test_no_credit_from_requests_before(quiet_site: Site) -> None:
    """Each request has a grace of its own, and nothing that another has earned."""
    await quiet_site.start(LIMITS)
    size = 32 * RATE
    wire = await quiet_site.wire(POST + b"Content-Length: %d\r\n\r\n" % size + bytes(size - 1))
    await asyncio.sleep(LONGER)
    wire.send(b"x")
    assert len((await wire.response())[1]) == size
    wire.send(SIZED + b"\r\n")
    async with dripping(wire, b"x"):
        assert (await wire.response())[0] == 408


async def test_credit_is_bounded(quiet_site: Site) -> None:
    """What came fast is worth the stall timeout at most."""
    await quiet_site.start(Limits(min_rate=RATE, rate_grace=0.1, stall_timeout=0.4))
    wire = await quiet_site.wire(SIZED + b"\r\n" + bytes(900_000))
    async with dripping(wire, b"x"):
        assert (await wire.response())[0] == 408


@pytest.mark.parametrize(("size", "count"), [(1 << 16, 256), (16 << 20, 1)])
async def test_a_slow_reader(quiet_site: Site, size: int, count: int) -> None:
    """A response that is taken too slowly is broken off, whatever our own buffers have taken."""
    body = Pieces(*[bytes(size)] * count)

    async def handler(_: Exchange) -> Response:
        return Response(200, body=body)

    await quiet_site.start(LIMITS)
    quiet_site.handler = handler
    with pytest.raises(ConnectionResetError):
        await read_slowly(quiet_site, 64)
    await body.closed.wait()


async def test_a_reader_that_is_no_faster(quiet_site: Site) -> None:
    """The least rate is enough, though our own buffer has no room for longer than may be silent."""
    size = 16 << 20

    async def handler(_: Exchange) -> Response:
        return Response(200, body=Pieces(bytes(size)))

    await quiet_site.start(Limits(min_rate=RATE, rate_grace=0.1, stall_timeout=0.4))
    quiet_site.handler = handler
    assert await read_slowly(quiet_site, 1 << 17, window=1 << 17) > size


async def test_a_reader_that_pauses(quiet_site: Site) -> None:
    """One that is fast on the whole may pause for longer than the grace."""
    size, got = 16 << 20, 0

    async def handler(_: Exchange) -> Response:
        return Response(200, body=Whole(bytes(size)))

    await quiet_site.start(LIMITS)
    quiet_site.handler = handler
    wire = await quiet_site.tcp_wire(GET)
    await wire.head()
    for _ in range(2):
        got += len(await wire.reader.readexactly(4 << 20))
        wire.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await asyncio.sleep(LONGER)
        wire.writer.transport.resume_reading()  # type: ignore[attr-defined]
    assert got + len(await wire.reader.readexactly(size - got)) == size


async def test_bursts(quiet_site: Site) -> None:
    """So may one that sends."""
    await quiet_site.start(LIMITS)
    piece = bytes(int(2 * RATE * LONGER))
    wire = await quiet_site.wire(POST + b"Content-Length: %d\r\n\r\n" % (3 * len(piece)))
    for _ in range(3):
        wire.send(piece)
        await asyncio.sleep(LONGER)
    assert (await wire.response())[0] == 200


async def test_a_handler_that_reads_late(quiet_site: Site) -> None:
    """While nobody reads, nobody waits for the client."""
    go = asyncio.Event()

    async def handler(exchange: Exchange) -> Response:
        await go.wait()
        return Response(200, body=Whole(b"%d" % await _count(exchange.request.body)))

    await quiet_site.start(LIMITS)
    quiet_site.handler = handler
    wire = await quiet_site.wire(POST + b"Content-Length: 10\r\n\r\nhalf ")
    await until(lambda: quiet_site.exchanges)
    await asyncio.sleep(LONGER)
    go.set()
    wire.send(b"of it")
    assert await wire.response() == (200, b"10")


async def test_a_handler_that_sends_little(quiet_site: Site) -> None:
    """A response may come as slowly as its handler likes: the client takes what there is."""

    async def events() -> AsyncIterator[bytes]:
        for _ in range(3):
            await asyncio.sleep(LONGER)
            yield b"x"

    async def handler(_: Exchange) -> Response:
        return Response(200, body=_Stream(events()))

    await quiet_site.start(LIMITS)
    quiet_site.handler = handler
    wire = await quiet_site.tcp_wire(GET)
    assert await wire.response() == (200, b"xxx")


async def test_a_handler_that_catches_it(quiet_site: Site) -> None:
    """A handler learns what was wrong, and may have an answer of its own."""
    raised: list[SluiceError] = []

    async def handler(exchange: Exchange) -> Response:
        try:
            await _count(exchange.request.body)
        except SluiceError as error:
            raised.append(error)
        return Response(200, body=Whole(b"mine"))

    await quiet_site.start(LIMITS)
    quiet_site.handler = handler
    wire = await quiet_site.wire(SIZED + b"\r\n")
    assert await wire.response() == (200, b"mine")
    assert await wire.ended()
    assert [error.reason for error in raised] == [Reason.REQUEST_TIMEOUT]


class _Stream(Pieces):
    """A body of what an iterator gives."""

    def __init__(self, pieces: AsyncIterator[bytes]) -> None:
        super().__init__()
        self._pieces = pieces

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._pieces


async def _count(body: Body) -> int:
    """Bytes of a body, each piece thrown away."""
    size = len(body.take()[0])
    async for piece in body:
        size += len(piece)
    return size
