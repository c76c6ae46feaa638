"""What an exchange had is given back when it is over, or before: nothing waits for the collector."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
import weakref
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import grpc
import pytest

from sluice.mesh import tracing
from sluice.mesh.caller import Caller
from sluice.mesh.channel import dial, link
from sluice.mesh.env import Address
from sluice.mesh.pair import OUTBOUND_FETCH
from sluice.mesh.served import Serve, Served
from sluice.mesh.server import GrpcServer
from sluice.mesh.tracing import Kind
from sluice.pb import outbound_pb2
from sluice.wire.body import WHOLE, Body, Whole
from sluice.wire.errors import Reason, SluiceError
from sluice.wire.messages import Request, Response
from tests.bodies import read_all

Part = outbound_pb2.OutboundFetchStreamRequest


@asynccontextmanager
async def served(serve: Serve) -> AsyncIterator[Address]:
    """Serves by this function."""
    server = GrpcServer(Address("127.0.0.1", 0), allow_plaintext=False)
    server.add(OUTBOUND_FETCH.service, Served(OUTBOUND_FETCH, serve).add_to)
    try:
        yield await server.start()
    finally:
        await server.stop(0)


@contextmanager
def uncollected() -> Iterator[None]:
    """No collector."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


async def called(address: Address, body: Body) -> Response:
    """The response to a request with this body."""
    made = link(address)
    try:
        caller = Caller(OUTBOUND_FETCH, made, "outbound")
        request = Request("POST", "http://a.test/", body=body)
        span = tracing.start("t", Kind.CLIENT, None)
        return await caller.call(request, span, outbound_pb2.Subrequest())
    finally:
        await made.close()


class Streamed:
    """A body that comes in pieces, and may break off."""

    def __init__(self, *, whole: bool) -> None:
        self._whole = whole

    def take(self) -> tuple[bytes, bool]:
        return b"", False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b"one"
        if not self._whole:
            raise SluiceError(Reason.BODY_CUT_SHORT, "the client left")

    async def aclose(self) -> None:
        pass


async def test_a_streamed_request() -> None:
    """A call whose request came in pieces is gone when it is over."""
    kept: Any = None
    over = asyncio.Event()

    async def serve(_: Any, request: Request, __: Any) -> Response:
        nonlocal kept
        body: Any = request.body
        assert await read_all(body, 1000) == b"one"
        kept = weakref.ref(body._context._inbox.messages, lambda _: over.set())
        return Response(200)

    async with served(serve) as address:
        with uncollected():
            assert (await called(address, Streamed(whole=True))).status == 200
            await asyncio.wait_for(over.wait(), 5)
            assert kept() is None


async def test_a_request_cut_short() -> None:
    """What cut a request short keeps neither the request nor its call, though it was raised."""

    async def serve(_: Any, request: Request, __: Any) -> Response:
        await read_all(request.body, 1000)
        raise AssertionError("the body ended cleanly")

    async with served(serve) as address:
        with uncollected():
            body = Streamed(whole=False)
            calling = asyncio.create_task(called(address, body))
            await asyncio.wait([calling])
            assert "the client left" in str(calling.exception())
            gone = weakref.ref(body)
            del calling, body
            assert gone() is None


async def test_a_part_behind_the_end() -> None:
    """A call that is refused for what came behind its body is kept by nobody."""
    kept: Any = None

    async def serve(_: Any, request: Request, __: Any) -> Response:
        nonlocal kept
        body: Any = request.body
        await read_all(body, 10)
        await asyncio.wait([body._rest])
        kept = weakref.ref(body._context._inbox.messages)
        return Response(200)

    first = Part(subrequest=outbound_pb2.Subrequest(), body=b"a")
    first.head.method, first.head.url = "POST", "http://a.test/"
    async with served(serve) as address, dial(address) as channel:
        call = channel.stream_stream(f"/{OUTBOUND_FETCH.service}/{OUTBOUND_FETCH.stream}")()
        with uncollected():
            for part in (first, Part(trailers={}), Part(body=b"x")):
                await call.write(part.SerializeToString())
            with pytest.raises(grpc.aio.AioRpcError, match="body: after the trailers"):
                await call.read()
            assert kept() is None


async def test_a_body_that_is_passed_on() -> None:
    """The body of a request in one message is kept by nobody but whoever serves it."""
    taken, go_on = asyncio.Event(), asyncio.Event()

    async def serve(_: Any, request: Request, __: Any) -> Response:
        request.body.take()
        taken.set()
        await go_on.wait()
        return Response(200)

    async with served(serve) as address:
        tracemalloc.start()
        try:
            calling = asyncio.create_task(called(address, Whole(bytes(WHOLE))))
            await taken.wait()
            sizes = [trace.size for trace in tracemalloc.take_snapshot().traces]
        finally:
            tracemalloc.stop()
        go_on.set()
        assert (await calling).status == 200
    assert max(sizes) < WHOLE / 2
