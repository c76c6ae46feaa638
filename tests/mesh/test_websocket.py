from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from sluice.mesh import tracing
from sluice.mesh.caller import Caller
from sluice.mesh.channel import dial, link
from sluice.mesh.env import Address
from sluice.mesh.pair import OUTBOUND_FETCH
from sluice.mesh.served import Served
from sluice.mesh.server import GrpcServer
from sluice.mesh.tracing import Kind, Span
from sluice.pb import http_pb2, outbound_pb2, outbound_pb2_grpc
from sluice.wire.body import Whole
from sluice.wire.errors import Reason, SluiceError
from sluice.wire.messages import Request, Response
from sluice.wire.websocket import Binary, Close, Message, Text, WebSocket
from tests.bodies import read_all
from tests.websockets import End


@dataclass
class Far:
    """A far side that opens every WebSocket to `end`, and a way to call it."""

    call: Callable[[Request], Awaitable[Response]]
    stub: outbound_pb2_grpc.OutboundServiceStub
    end: End = field(default_factory=End)
    requests: list[Request] = field(default_factory=list)
    serve: Callable[[Request], Awaitable[Response]] | None = None

    async def open(self) -> WebSocket:
        """Our end."""
        response = await self.call(Request("GET", "http://a.test/", websocket=True))
        assert response.status == 101
        assert response.websocket is not None
        return response.websocket


@pytest.fixture
async def far() -> AsyncIterator[Far]:
    """The far side, on loopback."""

    async def serve(_: Any, request: Request, __: Span) -> Response:
        side.requests.append(request)
        if side.serve:
            return await side.serve(request)
        return Response(101, [("sec-websocket-protocol", b"chat")], websocket=side.end)

    server = GrpcServer(Address("127.0.0.1", 0), allow_plaintext=False)
    server.add(OUTBOUND_FETCH.service, Served(OUTBOUND_FETCH, serve).add_to)
    address = await server.start()
    channel, made = dial(address), link(address)
    caller = Caller(OUTBOUND_FETCH, made, "outbound")

    async def call(request: Request) -> Response:
        opening = outbound_pb2.Subrequest()
        opening.worker.name = "acme"
        return await caller.call(request, tracing.start("t", Kind.CLIENT, None), opening)

    side = Far(call, outbound_pb2_grpc.OutboundServiceStub(channel))
    yield side
    await channel.close()
    await made.close()
    await server.stop(0)


async def test_messages_cross(far: Far) -> None:
    """Text and binary of any size arrive whole and in order, both ways at once."""
    socket = await far.open()
    sent: list[Message] = [Text("ä"), Binary(b"\xff" * 2**20), Text(""), Binary(b"")]
    for message in sent:
        await socket.send(message)
        far.end.outbox.put_nowait(message)
    assert [await far.end.inbox.get() for _ in sent] == sent
    assert [await socket.receive() for _ in sent] == sent
    await socket.aclose()


@pytest.mark.parametrize("close", [Close(1000, "done"), Close(4999, "ü"), Close()], ids=repr)
async def test_a_close_each_way(far: Far, close: Close) -> None:
    """Each side's close arrives as it is; then the call ends with status OK."""
    socket = await far.open()
    await socket.send(close)
    assert await far.end.inbox.get() == close
    far.end.outbox.put_nowait(Text("the last word"))
    far.end.outbox.put_nowait(Close(1001, "answer"))
    assert await socket.receive() == Text("the last word")
    assert await socket.receive() == Close(1001, "answer")
    await socket.aclose()
    await far.end.closed.wait()
    assert (await socket._rpc.end()).code.name == "OK"  # type: ignore[attr-defined]


async def test_the_caller_vanishes(far: Far) -> None:
    """The WebSocket behind is closed without a `Close`."""
    socket = await far.open()
    await socket.send(Text("x"))
    assert await far.end.inbox.get() == Text("x")
    await socket.aclose()
    await far.end.closed.wait()
    assert far.end.inbox.empty()


async def test_the_far_end_vanishes(far: Far) -> None:
    """That is no close, for whoever waits and for whoever sends; the call fails."""
    socket = await far.open()
    far.end.outbox.put_nowait(Text("x"))
    far.end.outbox.put_nowait(None)
    assert await socket.receive() == Text("x")
    assert await socket.receive() is None
    await socket.send(Text("into the void"))
    await socket.aclose()
    assert (await socket._rpc.end()).code.name == "ABORTED"  # type: ignore[attr-defined]
    assert far.end.closed.is_set()


async def test_back_pressure(far: Far) -> None:
    """A far end that takes nothing stalls the sender."""
    far.end.room.clear()
    socket = await far.open()
    sent = 0

    async def flood() -> None:
        nonlocal sent
        while True:
            await socket.send(Binary(b"x" * 65536))
            sent += 1

    flooding = asyncio.create_task(flood())
    before = -1
    while sent != before:
        before = sent
        await asyncio.wait([flooding], timeout=0.3)
    assert 0 < sent < 200
    far.end.room.set()
    for _ in range(sent + 1):
        await far.end.inbox.get()
    flooding.cancel()
    await socket.aclose()
    await far.end.closed.wait()


async def test_an_ordinary_answer(far: Far) -> None:
    """A request for a WebSocket may be answered as any other."""

    async def refuse(_: Request) -> Response:
        return Response(403, body=Whole(b"no"))

    far.serve = refuse
    request = Request("GET", "http://a.test/", [("sec-websocket-protocol", b"a, b")])
    request.websocket = True
    response = await far.call(request)
    assert (response.status, response.websocket) == (403, None)
    assert await read_all(response.body, 10) == b"no"
    (received,) = far.requests
    assert received.websocket
    assert received.headers == [("sec-websocket-protocol", b"a, b")]


async def test_an_error(far: Far) -> None:
    """So may an error come back, with its reason."""

    async def fail(_: Request) -> Response:
        raise SluiceError(Reason.DESTINATION_PROHIBITED, "no")

    far.serve = fail
    with pytest.raises(SluiceError) as raised:
        await far.open()
    assert raised.value.reason is Reason.DESTINATION_PROHIBITED


def _opening(**head: Any) -> dict[str, Any]:
    subrequest = outbound_pb2.Subrequest()
    subrequest.worker.name = "acme"
    return {
        "subrequest": subrequest,
        "head": http_pb2.HttpRequestHead(url="http://a.test/", websocket=True, **head),
    }


async def test_the_whole_shape_is_refused(far: Far) -> None:
    """One message can be no WebSocket; the error names the shape that can."""
    call = far.stub.OutboundFetch(outbound_pb2.OutboundFetchRequest(**_opening(method="GET")))
    assert (await call.code()).name == "INVALID_ARGUMENT"
    assert "OutboundFetchStream" in await call.details()


@pytest.mark.parametrize(
    ("message", "text"),
    [
        (http_pb2.WebSocketMessage(), "neither text, binary nor close"),
        (http_pb2.WebSocketMessage(close={"code": 1006}), "1006 is never sent"),
        (http_pb2.WebSocketMessage(close={"code": 999}), "999 is never sent"),
        (http_pb2.WebSocketMessage(close={"reason": "x"}), "without a code"),
        (http_pb2.WebSocketMessage(close={"code": 1000, "reason": "ä" * 62}), "123 bytes"),
    ],
)
async def test_a_bad_message(far: Far, message: http_pb2.WebSocketMessage, text: str) -> None:
    """What no frame can carry ends the call with an error that says so."""
    call = far.stub.OutboundFetchStream()
    await call.write(outbound_pb2.OutboundFetchStreamRequest(**_opening(method="GET")))
    assert (await call.read()).head.status == 101
    await call.write(outbound_pb2.OutboundFetchStreamRequest(websocket=message))
    assert (await call.code()).name == "INVALID_ARGUMENT"
    assert text in await call.details()
    await far.end.closed.wait()


async def test_only_a_get_opens(far: Far) -> None:
    """A WebSocket is asked for by GET."""
    call = far.stub.OutboundFetchStream()
    await call.write(outbound_pb2.OutboundFetchStreamRequest(**_opening(method="POST")))
    assert (await call.code()).name == "INVALID_ARGUMENT"
