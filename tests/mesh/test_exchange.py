from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc.aio
import pytest

from sluice.mesh import tracing
from sluice.mesh.caller import Caller
from sluice.mesh.channel import dial, link
from sluice.mesh.env import Address
from sluice.mesh.pair import OUTBOUND_FETCH
from sluice.mesh.served import Served
from sluice.mesh.server import GrpcServer
from sluice.mesh.tracing import Kind, Span
from sluice.pb import outbound_pb2, outbound_pb2_grpc
from sluice.wire.body import CHUNK, WHOLE, Whole
from sluice.wire.errors import Reason, SluiceError
from sluice.wire.messages import Request, Response
from tests.bodies import read_all

Serve = Callable[[outbound_pb2.Subrequest, Request, Span], Awaitable[Response]]


class Peer(Served):
    """The far side: serves with whatever a test sets, and notes which shape was used."""

    def __init__(self) -> None:
        self.serve: Serve
        self.shapes: list[str] = []

        async def serve(opening: Any, request: Request, span: Span) -> Response:
            return await self.serve(opening, request, span)

        super().__init__(OUTBOUND_FETCH, serve)

    async def _answer_whole(self, message: Any, context: Any) -> Any:
        self.shapes.append("whole")
        return await super()._answer_whole(message, context)

    async def _answer_stream(self, _: Any, context: Any) -> Any:
        self.shapes.append("stream")
        return await super()._answer_stream(_, context)


class Stream:
    """A body that a test writes into."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[bytes | SluiceError | None] = asyncio.Queue(1)
        self.closed = asyncio.Event()

    def take(self) -> tuple[bytes, bool]:
        return b"", False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while (item := await self.queue.get()) is not None:
            if isinstance(item, SluiceError):
                raise item
            yield item

    async def aclose(self) -> None:
        self.closed.set()


@pytest.fixture
async def peer() -> AsyncIterator[Peer]:
    """A far side on loopback, and `call` to it."""
    servicer = Peer()
    server = GrpcServer(Address("127.0.0.1", 0), allow_plaintext=False)
    server.add(OUTBOUND_FETCH.service, servicer.add_to)
    address = await server.start()
    channel, made = dial(address), link(address)
    caller = Caller(OUTBOUND_FETCH, made, "outbound")
    servicer.channel = channel  # type: ignore[attr-defined]

    async def call(request: Request) -> Response:
        opening = outbound_pb2.Subrequest()
        opening.worker.name = "acme"
        return await caller.call(request, tracing.start("t", Kind.CLIENT, None), opening)

    servicer.call = call  # type: ignore[attr-defined]
    yield servicer
    await channel.close()
    await made.close()
    await server.stop(0)


async def echo(_: Any, request: Request, __: Span) -> Response:
    """Answer with what was sent."""
    data = await read_all(request.body, 1 << 24)
    assert data is not None
    return Response(200, [("x-url", request.url.encode()), *request.headers], Whole(data))


@pytest.mark.parametrize(
    ("size", "shape"),
    [
        (0, "whole"),  # no body at all
        (5, "whole"),
        (WHOLE, "whole"),  # the most that goes whole
        (WHOLE + 1, "stream"),  # one more
        (5 * WHOLE, "stream"),
    ],
)
async def test_round_trip(peer: Any, size: int, shape: str) -> None:
    """A message arrives as it was sent, in the shape that its size asks for."""
    peer.serve = echo
    body = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    headers = [("set-cookie", b"a=1"), ("x-latin", b"\xe9"), ("set-cookie", b"b=2")]
    response = await peer.call(Request("POST", "https://a.test:8443/p?q", headers, Whole(body)))
    assert response.status == 200
    assert response.headers == [("x-url", b"https://a.test:8443/p?q"), *headers]
    assert await read_all(response.body, 1 << 24) == body
    assert peer.shapes == [shape]


async def test_response_streams(peer: Any) -> None:
    """The head and each chunk arrive while the far side still writes."""
    stream = Stream()

    async def serve(*_: Any) -> Response:
        return Response(200, body=stream)

    peer.serve = serve
    response = await peer.call(Request("GET", "http://a.test/"))
    chunks = aiter(response.body)
    await stream.queue.put(b"one")
    assert await anext(chunks) == b"one"
    await stream.queue.put(b"x" * (2 * CHUNK))
    assert await anext(chunks) == b"x" * CHUNK
    assert await anext(chunks) == b"x" * CHUNK
    await stream.queue.put(None)
    with pytest.raises(StopAsyncIteration):
        await anext(chunks)
    await response.body.aclose()
    await asyncio.wait_for(stream.closed.wait(), 5)


async def test_request_streams(peer: Any) -> None:
    """The far side answers while the request is still being written."""
    seen: asyncio.Queue[bytes] = asyncio.Queue()

    async def serve(_: Any, request: Request, __: Span) -> Response:
        chunks = aiter(request.body)
        await seen.put(await anext(chunks))
        return Response(200, body=Whole(b"early"))

    peer.serve = serve
    stream = Stream()
    await stream.queue.put(b"one")
    response = await peer.call(Request("POST", "http://a.test/", body=stream))
    assert seen.get_nowait() == b"one"
    assert await read_all(response.body, 100) == b"early"
    await asyncio.wait_for(stream.closed.wait(), 5)


async def test_response_cut_short_is_cut_short(peer: Any) -> None:
    """A response that breaks off at the far side raises here, with the far side's reason."""
    stream = Stream()

    async def serve(*_: Any) -> Response:
        return Response(200, body=stream)

    peer.serve = serve
    response = await peer.call(Request("GET", "http://a.test/"))
    await stream.queue.put(b"one")
    await stream.queue.put(SluiceError(Reason.BODY_CUT_SHORT, "the origin broke it off"))
    with pytest.raises(SluiceError, match="the origin broke it off") as raised:
        await read_all(response.body, 100)
    assert raised.value.reason is Reason.BODY_CUT_SHORT
    await response.body.aclose()


async def test_request_cut_short_is_cut_short(peer: Any) -> None:
    """A request that breaks off here never ends cleanly at the far side."""
    began, cut = asyncio.Event(), asyncio.Event()

    async def serve(_: Any, request: Request, __: Span) -> Response:
        began.set()
        try:
            await read_all(request.body, 1000)
        except BaseException:
            cut.set()
            raise
        raise AssertionError("the body ended cleanly")

    peer.serve = serve
    stream = Stream()
    await stream.queue.put(b"one")
    calling = asyncio.create_task(peer.call(Request("POST", "http://a.test/", body=stream)))
    await began.wait()
    await stream.queue.put(SluiceError(Reason.BODY_CUT_SHORT, "the client left"))
    with pytest.raises(SluiceError, match="the client left"):
        await calling
    await asyncio.wait_for(cut.wait(), 5)


@pytest.mark.parametrize("streamed", [False, True])
async def test_cancelled_caller_cancels_the_far_side(peer: Any, streamed: bool) -> None:
    """A caller that goes away cancels the far side, before the head and after it."""
    began, cancelled = asyncio.Event(), asyncio.Event()

    async def serve(*_: Any) -> Response:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        raise AssertionError

    peer.serve = serve
    body = Stream() if streamed else Whole()
    calling = asyncio.create_task(peer.call(Request("POST", "http://a.test/", body=body)))
    await began.wait()
    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calling
    await asyncio.wait_for(cancelled.wait(), 5)


async def test_closing_a_response_early_cancels_the_far_side(peer: Any) -> None:
    """Closing the body before its end closes the far side's."""
    stream = Stream()

    async def serve(*_: Any) -> Response:
        return Response(200, body=stream)

    peer.serve = serve
    response = await peer.call(Request("GET", "http://a.test/"))
    await response.body.aclose()
    await asyncio.wait_for(stream.closed.wait(), 5)


async def test_error_keeps_its_reason(peer: Any) -> None:
    """What the far side raises arrives with reason, message and metadata."""

    async def serve(*_: Any) -> Response:
        raise SluiceError(Reason.WORKER_EXCEPTION, "E: m", name="E", message="m")

    peer.serve = serve
    with pytest.raises(SluiceError) as raised:
        await peer.call(Request("GET", "http://a.test/"))
    assert raised.value.reason is Reason.WORKER_EXCEPTION
    assert raised.value.metadata == {"name": "E", "message": "m"}


async def test_bug_is_internal(peer: Any, caplog: pytest.LogCaptureFixture) -> None:
    """A bug in a servicer is INTERNAL, with its traceback in the log and not in the answer."""

    async def serve(*_: Any) -> Response:
        raise ZeroDivisionError("secret")

    peer.serve = serve
    with pytest.raises(SluiceError) as raised:
        await peer.call(Request("GET", "http://a.test/"))
    assert (raised.value.reason, raised.value.message) == (Reason.INTERNAL, "internal error")
    assert "ZeroDivisionError" in caplog.text


_HEAD = {"method": "GET", "url": "http://a.test/"}
_WHO: dict[str, Any] = {"worker": {"name": "acme"}}


@pytest.mark.parametrize(
    ("messages", "says"),
    [
        ([], "before its first message"),
        ([{"subrequest": _WHO}], "head: not set"),
        ([{"head": _HEAD}], "subrequest: not set"),
        ([{"subrequest": _WHO, "head": {**_HEAD, "url": "/a"}}], "head.url"),
        ([{"subrequest": _WHO, "head": {**_HEAD, "url": "http://u:p@a.test/"}}], "userinfo"),
        ([{"subrequest": _WHO, "head": {**_HEAD, "method": "G T"}}], "head.method"),
        ([{"subrequest": _WHO, "head": {**_HEAD, "method": "CONNECT"}}], "CONNECT"),
        (
            [{"subrequest": _WHO, "head": {**_HEAD, "headers": [{"name": "A", "value": b""}]}}],
            "not a lowercase header name",
        ),
        (
            [{"subrequest": _WHO, "head": {**_HEAD, "headers": [{"name": "a", "value": b"\r\n"}]}}],
            "CR, LF or NUL",
        ),
        (
            [{"subrequest": _WHO, "head": {**_HEAD, "headers": [{"name": "host", "value": b"b"}]}}],
            "'host' is said by the message",
        ),
        ([{"subrequest": _WHO, "head": _HEAD}, {"head": _HEAD}], "head: set again"),
        (
            [{"subrequest": _WHO, "head": {**_HEAD, "content_length": 1}, "body": b"ab"}],
            "more than head.content_length",
        ),
    ],
)
async def test_bad_input(peer: Any, messages: list[dict[str, Any]], says: str) -> None:
    """Bad input is INVALID_REQUEST that names the field, and the service goes on serving."""
    peer.serve = echo
    stub = outbound_pb2_grpc.OutboundServiceStub(peer.channel)
    call = stub.OutboundFetchStream(
        iter([outbound_pb2.OutboundFetchStreamRequest(**message) for message in messages])
    )
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call.read()
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert says in str(raised.value.details())
    assert (await peer.call(Request("GET", "http://a.test/"))).status == 200


@pytest.mark.parametrize(
    ("rest", "ends"),
    [
        ([{"body": b"ab"}, {"trailers": {}}], True),  # ended by its trailers
        ([{"trailers": {}}], True),  # an empty body
        ([{"body": b"abc"}], False),  # the caller may have gone away
        ([], False),
    ],
)
async def test_half_close_is_no_end(peer: Any, rest: list[dict[str, Any]], ends: bool) -> None:
    """A request's body of unknown length ends by its trailers, not by the call's half-close."""
    peer.serve = echo
    stub = outbound_pb2_grpc.OutboundServiceStub(peer.channel)
    first = {"subrequest": _WHO, "head": _HEAD}
    messages = [outbound_pb2.OutboundFetchStreamRequest(**part) for part in (first, *rest)]
    call = stub.OutboundFetchStream(iter(messages))
    if ends:
        assert (await call.read()).head.status == 200
    else:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await call.read()
        assert raised.value.code() is grpc.StatusCode.ABORTED


@pytest.mark.parametrize(
    ("behind", "says"),
    [
        (outbound_pb2.OutboundFetchStreamRequest(body=b"x").SerializeToString(), "body: after"),
        (
            outbound_pb2.OutboundFetchStreamRequest(trailers={}).SerializeToString(),
            "trailers: after",
        ),
        (b"\xff" * 9, "not a message"),
    ],
)
async def test_a_part_behind_the_end(peer: Any, behind: bytes, says: str) -> None:
    """It is refused as long as the answer is not complete, though nobody reads the body any more."""

    async def serve(_: Any, request: Request, __: Span) -> Response:
        data = await read_all(request.body, 10)
        await asyncio.wait([request.body._rest])  # type: ignore[attr-defined]
        return Response(200, body=Whole(data or b""))

    peer.serve = serve
    parts = [
        outbound_pb2.OutboundFetchStreamRequest(subrequest=_WHO, head=_HEAD, body=b"a"),
        outbound_pb2.OutboundFetchStreamRequest(trailers={}),
    ]
    call = peer.channel.stream_stream(f"/{OUTBOUND_FETCH.service}/{OUTBOUND_FETCH.stream}")()
    for data in (*(one.SerializeToString() for one in parts), behind):
        await call.write(data)
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call.read()
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert says in str(raised.value.details())
