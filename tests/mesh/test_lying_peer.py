"""A peer that answers what the contract does not allow: its caller says so, and is never stuck."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
import pytest

from sluice.mesh import caller as caller_module
from sluice.mesh import tracing
from sluice.mesh.caller import Caller
from sluice.mesh.channel import link
from sluice.mesh.env import Address
from sluice.mesh.pair import OUTBOUND_FETCH
from sluice.mesh.server import GrpcServer
from sluice.mesh.tracing import Kind
from sluice.pb import outbound_pb2
from sluice.rpc.server import Server
from sluice.wire.body import CHUNK, WHOLE, Whole
from sluice.wire.errors import Reason, SluiceError
from sluice.wire.messages import Request, Response
from sluice.wire.websocket import Text
from tests.bodies import read_all

OK: dict[str, Any] = {"head": {"status": 200}}
END: dict[str, Any] = {"trailers": {}}
INVALID, SHORT = Reason.INVALID_RESPONSE, Reason.BODY_CUT_SHORT
LIES: list[tuple[str, list[Any], Reason, str]] = [
    ("nothing", [], INVALID, "the call ended without a response"),
    ("an empty part", [{}], INVALID, "head: not set"),
    ("a body first", [{"body": b"a"}, OK], INVALID, "head: not set"),
    ("bytes", [b"\xff" * 9], INVALID, "not a message of this method"),
    ("bytes behind the head", [OK, b"\xff" * 9], INVALID, "not a message of this method"),
    ("two heads", [OK, OK], INVALID, "head: set again"),
    ("a WebSocket message", [OK, {"websocket": {"text": "a"}}], INVALID, "websocket: no WebSocket"),
    ("a body behind the end", [OK, END, {"body": b"a"}], INVALID, "body: after the trailers"),
    ("two ends", [OK, END, END], INVALID, "trailers: after the trailers"),
    ("a long part", [OK, {"body": b"x" * (CHUNK + 1)}], INVALID, "body: 65537 bytes"),
    ("more than said", [{"head": {"status": 200, "content_length": 1}, "body": b"ab"}], INVALID, "body: more than"),
    ("more, later", [{"head": {"status": 200, "content_length": 2}, "body": b"a"}, {"body": b"bc"}], INVALID, "body: more than"),
    ("less than said", [{"head": {"status": 200, "content_length": 3}, "body": b"ab"}], SHORT, "body: ended 1 bytes"),
    ("far less", [{"head": {"status": 200, "content_length": 10**18 - 1}}], SHORT, "body: ended"),
    ("an absurd length", [{"head": {"status": 200, "content_length": 2**64 - 1}}], INVALID, "head.content_length"),
    ("a body of a 204", [{"head": {"status": 204}, "body": b"a"}], INVALID, "body: more than"),
    ("status 0", [{"head": {}}], INVALID, "head.status"),
    ("status 100", [{"head": {"status": 100}}], INVALID, "head.status"),
    ("a split status", [{"head": {"status": 200, "status_text": "OK\r\na: b"}}], INVALID, "head.status_text"),
    ("a split header", [{"head": {"status": 200, "headers": [{"name": "a", "value": b"b\r\nc: d"}]}}], INVALID, "headers: the value of 'a'"),
    ("a control header", [{"head": {"status": 200, "headers": [{"name": "x-sluice-error", "value": b"{}"}]}}], INVALID, "headers: 'x-sluice-error'"),
    ("a WebSocket", [{"head": {"status": 101}}], INVALID, "opened a WebSocket that nobody asked for"),
]  # fmt: skip

Answers = Callable[[list[Any]], Awaitable[Callable[[Request], Awaitable[Response]]]]


def serialized(part: Any) -> bytes:
    """Bytes as they are, fields as a part of a response."""
    if isinstance(part, bytes):
        return part
    return outbound_pb2.OutboundFetchResponse(**part).SerializeToString()


class Liar:
    """Answers every call with these parts, and then, if told so, stays on the line."""

    def __init__(self, parts: list[Any], *, stays: bool = False) -> None:
        self.parts = parts
        self.stays = stays
        self.left = asyncio.Event()

    async def answer(self, _: Any, context: Any) -> None:
        """Do it."""
        try:
            for part in self.parts:
                await context.write(serialized(part))
            if self.stays:
                await asyncio.Event().wait()
        finally:
            self.left.set()

    def add_to(self, server: Server) -> None:
        """Serve both shapes."""
        methods = {
            OUTBOUND_FETCH.whole: grpc.unary_stream_rpc_method_handler(self.answer),
            OUTBOUND_FETCH.stream: grpc.stream_stream_rpc_method_handler(self.answer),
        }
        server.add_registered_method_handlers(OUTBOUND_FETCH.service, methods)


Call = Callable[[Liar, Request], Awaitable[Response]]


@pytest.fixture
async def call() -> AsyncIterator[Call]:
    """Calls a liar."""
    server = GrpcServer(Address("127.0.0.1", 0), allow_plaintext=False)
    links = []

    async def begin(liar: Liar, request: Request) -> Response:
        server.add(OUTBOUND_FETCH.service, liar.add_to)
        made = link(await server.start())
        links.append(made)
        opening = outbound_pb2.Subrequest(worker={"name": "acme"})
        parent = tracing.start("t", Kind.CLIENT, None)
        return await Caller(OUTBOUND_FETCH, made, "outbound").call(request, parent, opening)

    yield begin
    for made in links:
        await made.close()
    await server.stop(0)


@pytest.mark.parametrize("size", [0, WHOLE + 1], ids=["whole", "streamed"])
@pytest.mark.parametrize(
    ("parts", "reason", "says"), [row[1:] for row in LIES], ids=[row[0] for row in LIES]
)
async def test_a_lie(call: Call, parts: list[Any], reason: Reason, says: str, size: int) -> None:
    """It is an error that names the peer and the part, with a reason that fits."""

    async def read() -> None:
        request = Request("POST", "http://a.test/", body=Whole(b"x" * size))
        response = await call(Liar(parts), request)
        try:
            await read_all(response.body, 1 << 20)
        finally:
            await response.aclose()

    with pytest.raises(SluiceError) as raised:
        await read()
    assert raised.value.reason is reason
    assert says in raised.value.message


async def test_no_body_of_a_head(call: Call) -> None:
    """The answer to a HEAD says a length, and has no body all the same."""
    liar = Liar([{"head": {"status": 200, "content_length": 10**18 - 1}}])
    response = await call(liar, Request("HEAD", "http://a.test/"))
    assert response.content_length == 10**18 - 1
    assert await read_all(response.body, 1) == b""


@pytest.mark.parametrize(
    "more", [[], [{"body": b"a"}] * 3, [b"\xff"] * 3], ids=["no", "body", "bytes"]
)
async def test_a_peer_that_stays_on_the_line(
    call: Call, more: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever has all of a response waits for the call's end so long, and then cancels it."""
    monkeypatch.setattr(caller_module, "_STATUS_WAIT", 0.05)
    liar = Liar([{"head": {"status": 200, "content_length": 2}, "body": b"ab"}, *more], stays=True)
    response = await call(liar, Request("GET", "http://a.test/"))
    assert response.body.take() == (b"ab", True)
    await response.aclose()
    await asyncio.wait_for(liar.left.wait(), 5)


@pytest.mark.parametrize(
    ("part", "says"),
    [
        ({"body": b"a"}, "body: not a message of the open WebSocket"),
        (OK, "head: set again"),
        (b"\xff", "not a message of this method"),
    ],
)
async def test_a_lie_on_a_websocket(call: Call, part: Any, says: str) -> None:
    """What is no message of an open WebSocket is an error, after the messages before it."""
    liar = Liar([{"head": {"status": 101}}, {"websocket": {"text": "a"}}, part], stays=True)
    response = await call(liar, Request("GET", "http://a.test/", websocket=True))
    assert response.websocket is not None
    assert await response.websocket.receive() == Text("a")
    with pytest.raises(SluiceError, match=says) as raised:
        await response.websocket.receive()
    assert raised.value.reason is Reason.INVALID_RESPONSE
    await response.aclose()
    await asyncio.wait_for(liar.left.wait(), 5)
