"""What is received of a response, and what is no response."""

from __future__ import annotations

import asyncio
import gzip

import pytest

from services.outbound.origin.client import GuardedClient
from sluice.wire.errors import Reason
from sluice.wire.headers import Header
from sluice.wire.messages import Request
from tests.outbound.calls import ACME, failure, get, whole
from tests.outbound.origins import OK, Recorder, Serve, read_request

HOP_BY_HOP = (
    b"HTTP/1.1 200 OK\r\nconnection: keep-alive, x-mine\r\nkeep-alive: timeout=5\r\n"
    b"x-mine: 1\r\nx-sluice-error: 1\r\nx: 1\r\ncontent-length: 0\r\n\r\n"
)
CHUNKED = (
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
    b"3\r\nabc\r\n2;ext=1\r\nde\r\n0\r\ntrailer: dropped\r\n\r\n"
)


@pytest.mark.parametrize(
    ("answer", "status", "headers", "length", "body"),
    [
        (OK, 200, [], 2, b"ok"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", 200, [], 0, b""),
        (
            b"HTTP/1.1 200 OK\r\nSet-Cookie: a\r\nX: y\r\nset-cookie: b\r\nContent-Length: 0\r\n\r\n",
            200,
            [("set-cookie", b"a"), ("x", b"y"), ("set-cookie", b"b")],
            0,
            b"",
        ),
        (
            b"HTTP/1.1 200 OK\r\nx: caf\xe9\r\ny: caf\xc3\xa9\r\nz:\r\ncontent-length: 0\r\n\r\n",
            200,
            [("x", b"caf\xe9"), ("y", b"caf\xc3\xa9"), ("z", b"")],
            0,
            b"",
        ),
        # hop-by-hop fields, those that Connection names, and our own prefix
        (
            HOP_BY_HOP,
            200,
            [("x", b"1")],
            0,
            b"",
        ),
        (
            CHUNKED,
            200,
            [],
            None,
            b"abcde",
        ),
        (b"HTTP/1.1 404 Not Found\r\n\r\nuntil close", 404, [], None, b"until close"),
        (b"HTTP/1.0 200 OK\r\n\r\nold", 200, [], None, b"old"),
        (b"HTTP/1.1 200\r\ncontent-length: 1\r\n\r\nx", 200, [], 1, b"x"),  # no reason phrase
        (b"HTTP/1.1 204 No Content\r\nx: 1\r\n\r\n", 204, [("x", b"1")], None, b""),
        (b"HTTP/1.1 304 Not Modified\r\ncontent-length: 9\r\n\r\n", 304, [], 9, b""),
        (b"HTTP/1.1 599 Odd\r\ncontent-length: 0\r\n\r\n", 599, [], 0, b""),
        # redirects are the Worker's to follow
        (
            b"HTTP/1.1 302 Found\r\nlocation: /x\r\ncontent-length: 0\r\n\r\n",
            302,
            [("location", b"/x")],
            0,
            b"",
        ),
        # interim responses end here
        (
            b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" + OK,
            200,
            [],
            2,
            b"ok",
        ),
        # compressed bodies are not touched
        (
            b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: %d\r\n\r\n%b"
            % (len(gzip.compress(b"x" * 99, mtime=0)), gzip.compress(b"x" * 99, mtime=0)),
            200,
            [("content-encoding", b"gzip")],
            len(gzip.compress(b"x" * 99, mtime=0)),
            gzip.compress(b"x" * 99, mtime=0),
        ),
    ],
)
async def test_response_is_received_as_it_was_sent(
    answer: bytes,
    status: int,
    headers: list[Header],
    length: int | None,
    body: bytes,
    serve: Serve,
    client: GuardedClient,
) -> None:
    """Status, header bytes in order with repeats, length and body bytes are those of the origin."""
    port = await serve(Recorder(answer, close=True))
    response = await client.send(get(port), ACME)
    assert (response.status, response.headers) == (status, headers)
    assert response.content_length == length
    assert await whole(response) == body


async def test_head_has_a_length_and_no_body(serve: Serve, client: GuardedClient) -> None:
    """The response to HEAD ends with its head, and the connection serves the next request."""
    origin = Recorder(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")
    port = await serve(origin)
    for _ in range(2):
        response = await client.send(Request("HEAD", f"http://127.0.0.1:{port}/"), ACME)
        assert response.content_length == 1000
        assert response.body.take() == (b"", True)
    assert origin.connections == 1


async def test_small_body_is_at_hand(serve: Serve, client: GuardedClient) -> None:
    """A body that came with its head is taken without waiting."""
    port = await serve(Recorder())
    response = await client.send(get(port), ACME)
    assert response.body.take() == (b"ok", True)
    assert [chunk async for chunk in response.body] == []


async def test_body_is_given_as_it_comes(serve: Serve, client: GuardedClient) -> None:
    """A piece of a body reaches its reader before the next is sent."""
    more = asyncio.Event()

    async def origin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\none")
        await more.wait()
        writer.write(b"two")
        await reader.read()

    response = await client.send(get(await serve(origin)), ACME)
    data, complete = response.body.take()
    chunks = response.body.__aiter__()
    first = data or await anext(chunks)
    assert (first, complete) == (b"one", False)
    more.set()
    assert await anext(chunks) == b"two"
    assert [chunk async for chunk in chunks] == []


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"", Reason.CONNECTION_REFUSED),  # closed without a word
        (b"HTTP/1.1 200 OK\r\nx: ", Reason.CONNECTION_REFUSED),  # closed within the head
        (b"SSH-2.0-OpenSSH_9.2\r\n", Reason.INVALID_RESPONSE),
        (b"<html>\r\n\r\n", Reason.INVALID_RESPONSE),  # HTTP/0.9
        (b"HTTP/1.1 abc\r\n\r\n", Reason.INVALID_RESPONSE),
        (b"HTTP/1.1 099 Low\r\ncontent-length: 0\r\n\r\n", Reason.INVALID_RESPONSE),
        (b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n", Reason.INVALID_RESPONSE),
        (b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n", Reason.INVALID_RESPONSE),
        (
            b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
            Reason.INVALID_RESPONSE,
        ),
        (b"HTTP/1.1 200 OK\r\nx: a\0b\r\ncontent-length: 0\r\n\r\n", Reason.INVALID_RESPONSE),
        (b"HTTP/1.1 200 OK\r\nx: a\rb\r\ncontent-length: 0\r\n\r\n", Reason.INVALID_RESPONSE),
        (
            b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
            Reason.INVALID_RESPONSE,  # two lengths
        ),
        # a coding that nobody asked for, and whose name is not carried on
        (
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
            Reason.INVALID_RESPONSE,
        ),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\n", Reason.INVALID_RESPONSE),
        # nobody asked for another protocol
        (
            b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n",
            Reason.INVALID_RESPONSE,
        ),
        # too much: one header, their sum, their number
        (b"HTTP/1.1 200 OK\r\nx: " + b"a" * 200_000 + b"\r\n\r\n", Reason.INVALID_RESPONSE),
        (
            b"HTTP/1.1 200 OK\r\n" + (b"x: " + b"a" * 20_000 + b"\r\n") * 7 + b"\r\n",
            Reason.INVALID_RESPONSE,
        ),
        (b"HTTP/1.1 200 OK\r\n" + b"x: a\r\n" * 1000 + b"\r\n", Reason.INVALID_RESPONSE),
        (b"HTTP/1.1 200 " + b"a" * 200_000 + b"\r\n\r\n", Reason.INVALID_RESPONSE),
    ],
)
async def test_answer_that_is_no_response(
    answer: bytes, reason: Reason, serve: Serve, client: GuardedClient
) -> None:
    """What is not an HTTP/1.1 response within the limits is an error that names the host only."""
    port = await serve(Recorder(answer, close=True))
    error = await failure(client, get(port, "/?secret=1"))
    assert error.reason is reason
    assert error.message.startswith("127.0.0.1 ")
    assert "secret" not in error.message


async def test_large_head_within_the_limit_passes(serve: Serve, client: GuardedClient) -> None:
    """A head just below 128 KiB is taken."""
    lines = b"".join(b"x%02d: %b\r\n" % (n, b"a" * 31_000) for n in range(4))
    port = await serve(Recorder(b"HTTP/1.1 200 OK\r\n" + lines + b"content-length: 0\r\n\r\n"))
    response = await client.send(get(port), ACME)
    assert [len(value) for _, value in response.headers] == [31_000] * 4
