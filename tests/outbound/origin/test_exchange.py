"""One request on one connection: both directions, their ends, and their deadlines."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest

from services.outbound.origin.client import GuardedClient
from sluice.wire.errors import Reason, SluiceError
from sluice.wire.messages import Request
from tests.outbound.calls import ACME, MakeClient, Pieces, Silent, failure, get, whole
from tests.outbound.origins import CUT, Recorder, Serve, read_request, reset


async def test_answer_before_the_request_ends(serve: Serve, client: GuardedClient) -> None:
    """An early answer is given at once; when it ends, the rest of the request is not sent."""
    closed = asyncio.Event()

    async def origin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"abc")
        writer.write(b"HTTP/1.1 413 Too Large\r\ncontent-length: 2\r\n\r\nno")
        with suppress(ConnectionError):
            assert await reader.read() in (b"", b"\r\n")
        closed.set()

    body = Silent([b"abc"])
    request = Request("POST", f"http://127.0.0.1:{await serve(origin)}/", [], body)
    response = await client.send(request, ACME)
    assert response.status == 413
    assert await whole(response) == b"no"
    await closed.wait()
    await body.closed.wait()


async def test_both_directions_stream_at_once(serve: Serve, client: GuardedClient) -> None:
    """Request and response may go on side by side, each piece answered as it is sent."""
    pieces: asyncio.Queue[bytes] = asyncio.Queue()

    class Queued(Pieces):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            while piece := await pieces.get():
                yield piece

    async def origin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n")
        for _ in range(2):
            await reader.readuntil(b"\r\n")
            writer.write((await reader.readuntil(b"\r\n"))[:1])
        await reader.read()

    request = Request("POST", f"http://127.0.0.1:{await serve(origin)}/", [], Queued([]))
    response = await client.send(request, ACME)
    chunks = response.body.__aiter__()
    for piece in (b"a", b"b"):
        pieces.put_nowait(piece)
        assert await anext(chunks) == piece
    assert [chunk async for chunk in chunks] == []


@pytest.mark.parametrize("answer", CUT)
@pytest.mark.parametrize("how", ["closed", "reset"])
@pytest.mark.parametrize("when", ["at once", "later"])
async def test_body_that_is_cut_short_raises(
    answer: bytes, how: str, when: str, serve: Serve, client: GuardedClient
) -> None:
    """A response body that breaks off never ends cleanly, however and whenever it does."""
    head_read = asyncio.Event()

    async def origin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        head, end, body = answer.partition(b"\r\n\r\n")
        writer.write(head + end + (body if when == "at once" else b""))
        if when == "later":
            await head_read.wait()
            writer.write(body)
        if how == "reset":
            reset(writer)

    port = await serve(origin)

    async def fetch() -> None:
        response = await client.send(get(port), ACME)
        head_read.set()
        await whole(response)

    with pytest.raises(SluiceError) as caught:
        await fetch()
    # aiohttp drops a head that came together with a body whose framing is broken.
    at_once = {Reason.INVALID_RESPONSE} if when == "at once" else set()
    assert caught.value.reason in {Reason.BODY_CUT_SHORT} | at_once
    assert caught.value.message.startswith("127.0.0.1 ")


async def test_body_until_close_that_is_reset_raises(serve: Serve, client: GuardedClient) -> None:
    """A body that lasts until the connection closes is cut short by a reset (aiohttp ends it)."""
    head_read = asyncio.Event()

    async def origin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nabc")
        await head_read.wait()
        reset(writer)

    response = await client.send(get(await serve(origin)), ACME)
    head_read.set()
    with pytest.raises(SluiceError) as caught:
        await whole(response)
    assert caught.value.reason is Reason.BODY_CUT_SHORT


async def test_closed_body_does_not_end_cleanly(serve: Serve, client: GuardedClient) -> None:
    """Whoever reads on after closing a body learns that it is not complete."""
    port = await serve(Recorder(CUT[0]))
    response = await client.send(get(port), ACME)
    await response.body.aclose()
    assert response.body.take()[1] is False
    with pytest.raises(SluiceError) as caught:
        await anext(response.body.__aiter__())
    assert caught.value.reason is Reason.BODY_CUT_SHORT


@pytest.mark.parametrize(
    ("body", "length", "reason", "text"),
    [
        (lambda: Pieces([b"abc"]), 5, Reason.BODY_CUT_SHORT, "lacks 2 bytes"),
        (lambda: Pieces([b"abc", b"def"]), 5, Reason.INVALID_REQUEST, "longer than its head says"),
        (
            lambda: Pieces([b"abc", SluiceError(Reason.BODY_TOO_LARGE, "too large")]),
            None,
            Reason.BODY_TOO_LARGE,
            "too large",
        ),
        (
            lambda: Pieces([b"abc", RuntimeError("a bug")]),
            None,
            Reason.BODY_CUT_SHORT,
            "the request body broke off",
        ),
    ],
)
async def test_request_body_that_breaks_off_aborts_the_connection(
    body: Any, length: int | None, reason: Reason, text: str, serve: Serve, client: GuardedClient
) -> None:
    """The origin never sees a clean end of a body that has none, and the sender learns why."""
    received = asyncio.get_running_loop().create_future()

    async def origin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        raw = b""
        with suppress(ConnectionError):
            while chunk := await reader.read(65536):
                raw += chunk
        received.set_result(raw)

    sent = body()
    request = Request("POST", f"http://127.0.0.1:{await serve(origin)}/", [], sent, length)
    error = await failure(client, request)
    assert (error.reason, error.message) == (reason, error.message)
    assert text in error.message
    _, _, tail = (await received).partition(b"\r\n\r\n")
    assert not tail.endswith(b"0\r\n\r\n")
    assert len(tail) != length
    assert sent.closed.is_set()


async def test_request_body_that_breaks_off_breaks_the_response_off(
    serve: Serve, client: GuardedClient
) -> None:
    """A request body that fails within the response closes the connection and ends the response."""
    fail, closed = asyncio.Event(), asyncio.Event()

    class Failing(Pieces):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield b"abc"
            await fail.wait()
            raise SluiceError(Reason.BODY_TOO_LARGE, "too large")

    async def origin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"abc")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nuntil close")
        with suppress(ConnectionError):
            await reader.read()
        closed.set()

    body = Failing([])
    response = await client.send(
        Request("POST", f"http://127.0.0.1:{await serve(origin)}/", [], body), ACME
    )
    fail.set()
    await closed.wait()
    with pytest.raises(SluiceError) as caught:
        await whole(response)
    assert caught.value.reason is Reason.BODY_TOO_LARGE


async def test_origin_that_does_not_answer(serve: Serve, make_client: MakeClient) -> None:
    """Without a response head in time the request ends, also where interim responses keep coming."""

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async def hinting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        while not writer.is_closing():
            writer.write(b"HTTP/1.1 103 Early Hints\r\n\r\n")
            await asyncio.sleep(0.01)

    client = make_client(first_byte_timeout=0.1)
    for origin in (silent, hinting):
        error = await failure(client, get(await serve(origin)))
        assert error.reason is Reason.RESPONSE_TIMEOUT
        assert error.message == "127.0.0.1 did not answer within 0.1 s"


async def test_time_for_the_answer_begins_with_the_end_of_the_request(
    serve: Serve, make_client: MakeClient
) -> None:
    """An upload may last longer than the time for the answer, which is counted after it."""
    client = make_client(first_byte_timeout=0.1)
    ended = asyncio.Event()

    class Slow(Pieces):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield b"abc"
            await asyncio.sleep(0.3)  # three times the time for the answer
            ended.set()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    request = Request("POST", f"http://127.0.0.1:{await serve(silent)}/", [], Slow([]))
    error = await failure(client, request)
    assert ended.is_set()
    assert error.message == "127.0.0.1 did not answer within 0.1 s"


async def test_time_for_the_answer_ends_with_its_head(
    serve: Serve, make_client: MakeClient
) -> None:
    """A body may last longer than the time for the answer, and its connection serves again."""
    origin = Recorder()
    port = await serve(origin)
    client = make_client(first_byte_timeout=0.1)
    response = await client.send(get(port), ACME)
    await asyncio.sleep(0.3)  # three times the time for the answer
    assert await whole(response) == b"ok"
    assert await whole(await client.send(get(port), ACME)) == b"ok"
    assert origin.connections == 1


async def test_body_that_stalls(serve: Serve, make_client: MakeClient) -> None:
    """A body of which nothing comes in time ends with a timeout; the pieces before it are given."""

    async def origin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nabc")
        await reader.read()

    client = make_client(idle_timeout=0.1)
    response = await client.send(get(await serve(origin)), ACME)
    received = [response.body.take()[0]]
    with pytest.raises(SluiceError) as caught:
        received += [chunk async for chunk in response.body]
    assert b"".join(received) == b"abc"
    assert caught.value.reason is Reason.RESPONSE_TIMEOUT


async def test_slow_reader_is_no_stall(serve: Serve, make_client: MakeClient) -> None:
    """The origin's time does not run while it is paused because nobody reads here."""
    size = 8 << 20
    port = await serve(
        Recorder(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % size + bytes(size))
    )
    client = make_client(idle_timeout=0.1)
    response = await client.send(get(port), ACME)
    await asyncio.sleep(0.3)  # three times the origin's time
    assert len(await whole(response)) == size


async def test_upload_that_is_not_taken(serve: Serve, make_client: MakeClient) -> None:
    """An origin that reads nothing stops the sender after a bounded number of bytes, then fails."""

    async def origin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        await asyncio.Event().wait()

    body = Pieces(bytes(65536) for _ in range(10_000))
    client = make_client(idle_timeout=0.2)
    error = await failure(
        client, Request("POST", f"http://127.0.0.1:{await serve(origin)}/", [], body)
    )
    assert error.reason is Reason.RESPONSE_TIMEOUT
    assert "took nothing of the request body" in error.message
    assert body.given < 16 << 20  # what the kernel's two buffers hold, of 625 MiB
    assert body.closed.is_set()
