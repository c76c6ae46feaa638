"""The client, against a raw server."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import Any

import pytest

from sluice.http1.client import Client
from sluice.wire.body import Whole
from sluice.wire.errors import Reason, SluiceError
from sluice.wire.messages import Request
from tests.http1.conftest import (
    CUT,
    HELLO,
    OK,
    URL,
    Origin,
    Pieces,
    Wire,
    always,
    content,
    get,
    once,
    until,
)


async def test_request_bytes(origin: Origin, caller: Client) -> None:
    """Head and body go out in one piece: absolute form, Host, headers as given, control."""
    sent = asyncio.Queue[bytes]()

    async def script(wire: Wire) -> None:
        sent.put_nowait(await wire.reader.readuntil(b"body"))
        wire.send(HELLO)

    origin.script = script
    headers = [("b", b"\xe9"), ("a", b"1"), ("b", b"2")]
    request = Request("POST", URL, headers, Whole(b"body"))
    response, _ = await caller.send(request, {"x-sluice-t": "tok"})
    assert await sent.get() == (
        b"POST http://a.example/p HTTP/1.1\r\nhost: a.example\r\nb: \xe9\r\na: 1\r\nb: 2\r\n"
        b"x-sluice-t: tok\r\ncontent-length: 4\r\n\r\nbody"
    )
    assert await content(response) == b"hello"


async def test_response(origin: Origin, caller: Client) -> None:
    """Its headers are those of the next hop; the control headers come apart from them."""
    origin.script = always(
        OK + b"Set-Cookie: 1\r\nX-Sluice-Outcome: ok\r\nKeep-Alive: 5\r\nset-cookie: 2\r\n"
        b"A: \xe9\r\nContent-Length: 5\r\n\r\nhello"
    )
    response, control = await caller.send(get(), {})
    assert response.status == 200
    assert response.headers == [("set-cookie", b"1"), ("set-cookie", b"2"), ("a", b"\xe9")]
    assert response.content_length == 5
    assert control == {"x-sluice-outcome": "ok"}
    assert response.body.take() == (b"hello", True), "at hand, since it came in the same read"


ENDS: list[tuple[str, bytes, bytes]] = [
    ("a length", HELLO, b"hello"),
    ("chunks", OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", b"hello"),
    ("the connection's end", OK + b"\r\nhello", b"hello"),
    ("nothing, until the connection's end", OK + b"\r\n", b""),
    ("HTTP/1.0", b"HTTP/1.0 200 OK\r\n\r\nhello", b"hello"),
]


@pytest.mark.parametrize(("answer", "body"), [r[1:] for r in ENDS], ids=[r[0] for r in ENDS])
async def test_clean_ends(origin: Origin, caller: Client, answer: bytes, body: bytes) -> None:
    """These three end a body, and nothing else does."""
    origin.script = once(answer)
    response, _ = await caller.send(get(), {})
    assert await content(response) == body


CUTS: list[tuple[str, bytes]] = [
    ("half a length", OK + b"Content-Length: 5\r\n\r\nhel"),
    ("chunks without a last one", OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n"),
    ("half a chunk", OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhel"),
    ("half a last chunk", OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n0\r\n"),
]


@pytest.mark.parametrize("answer", [row[1] for row in CUTS], ids=[row[0] for row in CUTS])
async def test_cut_short(origin: Origin, caller: Client, answer: bytes) -> None:
    """What arrived can be read; then the body says that it is not all."""
    origin.script = once(answer)
    response, _ = await caller.send(get(), {})
    received, complete = response.body.take()
    while len(received) < 3:
        received += await anext(aiter(response.body))
    assert (received, complete) == (b"hel", False)
    with pytest.raises(SluiceError) as raised:
        await content(response)
    assert raised.value.reason is Reason.BODY_CUT_SHORT


async def test_a_chunk_that_is_none_cuts_the_body_short(origin: Origin, caller: Client) -> None:
    """A head that was answered stays answered; its body has no clean end."""
    go = asyncio.Event()

    async def script(wire: Wire) -> None:
        await wire.head()
        wire.send(OK + b"Transfer-Encoding: chunked\r\n\r\n")
        await go.wait()
        wire.send(b"zzz\r\n")
        await wire.ended()

    origin.script = script
    response, _ = await caller.send(get(), {})
    go.set()
    with pytest.raises(SluiceError) as raised:
        await content(response)
    assert raised.value.reason is Reason.BODY_CUT_SHORT


async def test_a_reset_is_no_clean_end(origin: Origin) -> None:
    """A body that only the connection's end ends is cut short by a reset."""
    go = asyncio.Event()

    async def script(wire: Wire) -> None:
        await wire.head()
        wire.send(OK + b"\r\nhello")
        await go.wait()
        sock = wire.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    origin.script = script
    server = await asyncio.start_server(origin.accept, "127.0.0.1", 0)
    client = Client(server.sockets[0].getsockname()[:2])
    response, _ = await client.send(get(), {})
    assert await anext(aiter(response.body)) == b"hello"
    go.set()
    with pytest.raises(SluiceError) as raised:
        await content(response)
    assert raised.value.reason is Reason.BODY_CUT_SHORT
    await client.aclose()
    server.close()


BAD: list[tuple[str, bytes, Reason]] = [
    ("nothing", b"", Reason.ISOLATE_DIED),
    ("half a head", OK + b"A: b", Reason.ISOLATE_DIED),
    ("only an interim response", b"HTTP/1.1 100 Continue\r\n\r\n", Reason.ISOLATE_DIED),
    ("no HTTP", b"garbage\r\n\r\n", Reason.INVALID_RESPONSE),
    ("a switch nobody asked for", b"HTTP/1.1 101 Switch\r\n\r\n", Reason.INVALID_RESPONSE),
    ("two lengths", OK + b"Content-Length: 1\r\n" * 2 + b"\r\n", Reason.INVALID_RESPONSE),
    ("a head without end", OK + b"A: " + b"b" * 400_000, Reason.INVALID_RESPONSE),
]


@pytest.mark.parametrize(("answer", "reason"), [r[1:] for r in BAD], ids=[r[0] for r in BAD])
async def test_no_response(origin: Origin, caller: Client, answer: bytes, reason: Reason) -> None:
    """An end before the head is the isolate's death; bytes that are no response are invalid."""
    origin.script = once(answer)
    with pytest.raises(SluiceError) as raised:
        await caller.send(get(), {})
    assert raised.value.reason is reason
    await until(lambda: not caller._open)


async def test_nobody_listens(folder: Path) -> None:
    """It is the isolate's death too."""
    client = Client(str(folder / "nothing"))
    body = Pieces(b"a")
    with pytest.raises(SluiceError) as raised:
        await client.send(Request("POST", URL, [], body), {})
    assert raised.value.reason is Reason.ISOLATE_DIED
    assert body.closed.is_set()


async def test_a_full_queue_sheds_load(folder: Path) -> None:
    """An isolate that is too slow to accept is not a dead one."""
    path = str(folder / "full")
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as first:
        listener.bind(path)
        listener.listen(0)
        first.connect(path)
        with pytest.raises(SluiceError) as raised:
            await Client(path).send(get(), {})
    assert raised.value.reason is Reason.LOAD_SHED


async def test_interim_responses_are_skipped(origin: Origin, caller: Client) -> None:
    """The response is the final one."""
    origin.script = always(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + HELLO)
    response, _ = await caller.send(get(), {})
    assert (response.status, response.headers) == (200, [])
    assert await content(response) == b"hello"


NO_BODY: list[tuple[str, bytes, int | None]] = [
    ("HEAD", OK + b"Content-Length: 5\r\n\r\n", 5),
    ("HEAD", OK + b"Transfer-Encoding: chunked\r\n\r\n", None),
    ("GET", b"HTTP/1.1 204 No Content\r\n\r\n", None),
    ("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", None),
]


@pytest.mark.parametrize(("method", "answer", "length"), NO_BODY)
async def test_responses_without_a_body(
    origin: Origin, caller: Client, method: str, answer: bytes, length: int | None
) -> None:
    """They are complete with their head, and the connection is used again."""
    origin.script = always(answer)
    for _ in range(3):
        response, _ = await caller.send(Request(method, URL), {})
        assert response.body.take() == (b"", True)
        assert response.content_length == length
    assert len(origin.wires) == 1


BODIES: list[tuple[str, Pieces, int | None, Reason]] = [
    ("it raises", Pieces(b"ab", CUT), None, Reason.BODY_CUT_SHORT),
    ("it has a bug", Pieces(b"ab", RuntimeError("bug")), None, Reason.INTERNAL),
    ("it is too short", Pieces(b"ab"), 3, Reason.BODY_CUT_SHORT),
    ("it is too long", Pieces(b"ab", b"cd"), 3, Reason.BODY_CUT_SHORT),
]


@pytest.mark.parametrize(
    ("body", "length", "reason"), [r[1:] for r in BODIES], ids=[r[0] for r in BODIES]
)
async def test_request_bodies_that_fail(
    origin: Origin, caller: Client, body: Pieces, length: int | None, reason: Reason
) -> None:
    """`send` says why, and the server never sees a clean end."""
    received = asyncio.Queue[bytes]()

    async def script(wire: Wire) -> None:
        await wire.head()
        received.put_nowait(await wire.reader.read())

    origin.script = script
    with pytest.raises(SluiceError) as raised:
        await caller.send(Request("POST", URL, [], Pieces(*body.pieces), length), {})
    assert raised.value.reason is reason
    seen = await received.get()
    assert not seen.endswith(b"0\r\n\r\n")
    assert length is None or len(seen) < length


async def test_a_body_that_fails_behind_the_response_head(origin: Origin, caller: Client) -> None:
    """The response's body is cut short with it."""
    gate = asyncio.Event()

    class Failing(Pieces):
        async def __aiter__(self) -> Any:
            yield b"a"
            await gate.wait()
            raise CUT

    origin.script = always(OK + b"Content-Length: 5\r\n\r\nhel")
    response, _ = await caller.send(Request("POST", URL, [], Failing()), {})
    gate.set()
    with pytest.raises(SluiceError) as raised:
        await content(response)
    assert raised.value is CUT


async def test_an_early_response_ends_the_request(origin: Origin, caller: Client) -> None:
    """It can be read; the rest of the request's body is not asked for, the connection not kept."""
    body = Pieces(b"a", gate=asyncio.Event())
    origin.script = always(HELLO)
    response, _ = await caller.send(Request("POST", URL, [], body), {})
    assert await content(response) == b"hello"
    assert not caller._free
    await body.closed.wait()
    await until(lambda: not caller._open)


INVALID = [
    Request("CONNECT", "http://a/"),
    Request("GET", "http://u@a/"),
    Request("GET", URL, [("a", b"b\r\nc: d")]),
    Request("POST", URL, [], Whole(b"hello"), 4),
]


@pytest.mark.parametrize("request_", INVALID)
async def test_requests_that_cannot_be_sent(
    origin: Origin, caller: Client, request_: Request
) -> None:
    """They never reach the socket."""
    origin.script = always(HELLO)
    with pytest.raises(SluiceError):
        await caller.send(request_, {})
    assert not origin.wires
