"""Connections of the client: used again, given up, waited for, and closed."""

from __future__ import annotations

import asyncio
import gc
from contextlib import suppress

import pytest

from services.outbound.origin.client import GuardedClient
from sluice.wire.body import Whole
from sluice.wire.errors import Reason, SluiceError
from sluice.wire.messages import Request
from tests.outbound.calls import ACME, MakeClient, Pieces, Silent, failure, get, whole
from tests.outbound.origins import CUT, OK, Recorder, Serve, read_request, reset


async def test_connection_is_used_again(serve: Serve, client: GuardedClient) -> None:
    """After two clean ends a connection serves the next request."""
    origin = Recorder()
    port = await serve(origin)
    for body in (Whole(), Whole(b"x"), Pieces([b"x"])):
        request = Request("POST", f"http://127.0.0.1:{port}/", [], body)
        assert await whole(await client.send(request, ACME)) == b"ok"
    assert origin.connections == 1


async def test_body_closed_early_closes_the_connection(serve: Serve, client: GuardedClient) -> None:
    """Closing a body before its end closes the connection to the origin."""
    closed = asyncio.Event()

    async def origin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(CUT[0])
        with suppress(ConnectionError):
            await reader.read()
        closed.set()

    response = await client.send(get(await serve(origin)), ACME)
    await response.body.aclose()
    await closed.wait()
    await response.body.aclose()


@pytest.mark.parametrize("answer", [b"", CUT[0]])
async def test_cancelling_closes_the_connection(
    answer: bytes, serve: Serve, client: GuardedClient
) -> None:
    """Cancelling a request, before its response or within it, closes the connection."""
    asked, closed = asyncio.Event(), asyncio.Event()

    async def origin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(answer)
        asked.set()
        with suppress(ConnectionError):
            await reader.read()
        closed.set()

    task = asyncio.ensure_future(failure(client, get(await serve(origin))))
    await asked.wait()
    task.cancel()
    await closed.wait()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_cancelling_stops_the_upload(serve: Serve, client: GuardedClient) -> None:
    """Cancelling a request closes its body, so that its sender stops."""
    asked = asyncio.Event()

    async def origin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"abc")
        asked.set()
        await reader.read()

    body = Silent([b"abc"])
    request = Request("POST", f"http://127.0.0.1:{await serve(origin)}/", [], body)
    task = asyncio.ensure_future(client.send(request, ACME))
    await asked.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await body.closed.wait()


class ClosingWhenIdle:
    """An origin that closes each connection just as its second request arrives."""

    def __init__(self) -> None:
        self.connections = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        await read_request(reader)
        writer.write(OK)
        await reader.readexactly(1)
        reset(writer)


async def test_request_on_a_stale_connection_is_sent_again(
    serve: Serve, client: GuardedClient
) -> None:
    """A connection closed while it was idle does not fail a request that may be repeated."""
    origin = ClosingWhenIdle()
    port = await serve(origin)
    for connections in (1, 2, 3):
        assert await whole(await client.send(get(port), ACME)) == b"ok"
        assert origin.connections == connections


async def test_request_that_may_not_be_repeated_is_not(serve: Serve, client: GuardedClient) -> None:
    """A POST on a stale connection fails: the origin may have acted on it."""
    origin = ClosingWhenIdle()
    port = await serve(origin)
    assert await whole(await client.send(get(port), ACME)) == b"ok"
    error = await failure(client, Request("POST", f"http://127.0.0.1:{port}/"))
    assert error.reason is Reason.CONNECTION_REFUSED
    assert origin.connections == 1


async def test_request_on_a_fresh_connection_is_sent_once(
    serve: Serve, client: GuardedClient
) -> None:
    """An origin that closes without an answer is not asked again."""
    origin = Recorder(b"", close=True)
    port = await serve(origin)
    assert (await failure(client, get(port))).reason is Reason.CONNECTION_REFUSED
    assert len(origin.requests) == 1


async def test_answer_that_nobody_asked_for_is_not_given(
    serve: Serve, client: GuardedClient
) -> None:
    """What an origin sends on an idle connection never answers a later request."""
    forge, forged = asyncio.Event(), asyncio.Event()
    count = 0

    async def origin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal count
        count += 1
        await read_request(reader)
        writer.write(OK)
        if count == 1:
            await forge.wait()
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nforged")
            forged.set()
        await reader.read()

    port = await serve(origin)
    assert await whole(await client.send(get(port), ACME)) == b"ok"
    forge.set()
    await forged.wait()
    # Once another origin has answered a later request, the forged answer has arrived too.
    assert await whole(await client.send(get(await serve(Recorder())), ACME)) == b"ok"
    assert await whole(await client.send(get(port), ACME)) == b"ok"
    assert count == 2


async def test_origin_that_speaks_first(serve: Serve, client: GuardedClient) -> None:
    """What greets its clients is no HTTP server, and is not connected to again."""
    connections = 0

    async def origin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        writer.write(b"220 mail.example.com ESMTP\r\n")
        await reader.read()

    error = await failure(client, get(await serve(origin)))
    assert error.reason is Reason.INVALID_RESPONSE
    assert connections == 1


async def test_slow_reader_pauses_the_origin(serve: Serve, client: GuardedClient) -> None:
    """While nobody reads a body, the origin can send only what buffers hold; then it goes on."""
    size, sent = 64 << 20, 0
    stalled = asyncio.Event()

    async def origin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await read_request(reader)
        writer.transport.set_write_buffer_limits(0)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % size)
        while sent < size:
            writer.write(bytes(65536))
            sent += 65536
            drained = asyncio.ensure_future(writer.drain())
            if not (await asyncio.wait([drained], timeout=0.5))[0]:
                stalled.set()
            await drained
        await reader.read()

    response = await client.send(get(await serve(origin)), ACME)
    await stalled.wait()
    assert sent < 16 << 20
    assert len(await whole(response)) == size


async def test_idle_connection_that_is_reset_is_no_error(
    serve: Serve, client: GuardedClient
) -> None:
    """What happens to a connection that nobody uses is not logged as an error."""
    logged: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: logged.append(context))
    idle, gone = asyncio.Event(), asyncio.Event()

    async def origin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(OK)
        await idle.wait()
        reset(writer)
        gone.set()

    port = await serve(origin)
    assert await whole(await client.send(get(port), ACME)) == b"ok"
    idle.set()
    await gone.wait()
    # Once another origin has answered a later request, the reset has arrived too.
    assert await whole(await client.send(get(await serve(Recorder())), ACME)) == b"ok"
    assert await whole(await client.send(get(port), ACME)) == b"ok"
    gc.collect()
    assert logged == []


async def test_connection_keeps_nothing_of_its_requests(
    serve: Serve, client: GuardedClient
) -> None:
    """A connection may serve many requests and holds on to none that is over."""

    async def origin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await read_request(reader)
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n")
            await asked.wait()
            asked.clear()
            writer.write(b"x")

    asked = asyncio.Event()
    port = await serve(origin)
    for _ in range(5):
        response = await client.send(get(port), ACME)
        asked.set()
        assert await whole(response) == b"x"
        del response
    gc.collect()
    assert len(client._exchanges) == 0


async def test_client_that_is_closed(serve: Serve, make_client: MakeClient) -> None:
    """Closing the client cuts what is in flight short, stops uploads, and refuses new requests."""
    asked = asyncio.Event()

    async def origin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(CUT[0])
        asked.set()
        await reader.read()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        asked.set()
        await reader.read()

    client = make_client()
    body = Silent([b"abc"])
    port = await serve(origin)
    response = await client.send(Request("POST", f"http://127.0.0.1:{port}/", [], body), ACME)
    reading = asyncio.ensure_future(whole(response))
    asked.clear()
    asking = asyncio.ensure_future(client.send(get(await serve(silent)), ACME))
    await asked.wait()
    await client.aclose()
    assert body.closed.is_set()
    for task, reason in ((reading, Reason.BODY_CUT_SHORT), (asking, Reason.SERVICE_UNAVAILABLE)):
        with pytest.raises(SluiceError) as caught:
            await task
        assert caught.value.reason is reason
    assert (await failure(client, get(port))).reason is Reason.SERVICE_UNAVAILABLE


async def test_connection_that_is_not_made(serve: Serve, make_client: MakeClient) -> None:
    """A TLS handshake that does not proceed ends with the time for the connection."""

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    port = await serve(silent)
    client = make_client(connect_timeout=0.1)
    error = await failure(client, Request("GET", f"https://127.0.0.1:{port}/"))
    assert error.reason is Reason.RESPONSE_TIMEOUT
    assert error.message == "127.0.0.1 did not accept a connection within 0.1 s"


async def test_full_pool_is_waited_for(serve: Serve, make_client: MakeClient) -> None:
    """Beyond the connections to one host a request waits, and takes the first that is free."""
    origin = Recorder(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\no")
    port = await serve(origin)
    client = make_client(max_connections_per_host=1, connect_timeout=0.2)
    first = await client.send(get(port), ACME)
    error = await failure(client, get(port))
    assert error.reason is Reason.LOAD_SHED
    assert error.message == "all 1 connections to this host are taken for 0.2 s"
    waiting = asyncio.ensure_future(client.send(get(port), ACME))
    await first.body.aclose()
    await (await waiting).body.aclose()
