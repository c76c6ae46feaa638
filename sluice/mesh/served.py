"""Being called: one RPC comes in as a `Request`, its `Response` goes out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Any

import grpc

from sluice.mesh import attributes, tracing
from sluice.mesh.caller import TRACEPARENT
from sluice.mesh.pair import MessageType, Pair
from sluice.mesh.parts import Parts, opening_of, refuse_request, whole_request
from sluice.mesh.tracing import Kind, Span
from sluice.mesh.websocket import ServedSocket
from sluice.rpc.context import Context
from sluice.rpc.server import Server
from sluice.wire import messages
from sluice.wire.body import Whole, chunks
from sluice.wire.errors import Reason, SluiceError
from sluice.wire.messages import Request, Response
from sluice.wire.websocket import WebSocket, cut_short, join

_TRACEPARENT = TRACEPARENT.encode()

Serve = Callable[[Any, Request, Span], Awaitable[Response]]
"""What a service does: `(opening, request, span of the RPC) -> response`."""


class Served:
    """Serves both shapes of a pair by one function."""

    def __init__(self, pair: Pair, serve: Serve) -> None:
        self._pair = pair
        self._said = {attributes.RPC_SYSTEM: "grpc", attributes.RPC_METHOD: pair.name}
        self._serve = serve

    def add_to(self, server: Server) -> None:
        """Serve the pair's two methods."""
        pair = self._pair
        methods = {
            pair.whole: grpc.unary_stream_rpc_method_handler(
                self._answer_whole,
                response_serializer=pair.whole_response.SerializeToString,
            ),
            pair.stream: grpc.stream_stream_rpc_method_handler(
                self._answer_stream,
                response_serializer=pair.stream_response.SerializeToString,
            ),
        }
        server.add_registered_method_handlers(pair.service, methods)

    async def _answer_whole(self, data: bytes, context: Context) -> None:
        with self._span(context) as span:
            opening, request = whole_request(self._pair, data)
            del data  # Its copy of the body would last as long as the call.
            async with aclosing(await self._serve(opening, request, span)) as response:
                await _write(response, context, self._pair.whole_response)

    async def _answer_stream(self, _: object, context: Context) -> None:
        with self._span(context) as span:
            await self._answer_parts(context, span)

    async def _answer_parts(self, context: Context, span: Span) -> None:
        data = await context.read()
        if data is None:
            raise refuse_request("the call ended before its first message")
        parts = Parts(self._pair.stream_request, self._pair.openings, refuse_request)
        first = parts.first(data)
        del data
        body = _IncomingBody(context, parts)
        request = messages.request_from_pb(first.head, body)
        if request.websocket:
            parts.check_open(first)
            request.body = Whole()
        else:
            body.begin(first, request.content_length)
        try:
            opening = opening_of(first, self._pair)
            del first
            async with aclosing(await self._serve(opening, request, span)) as response:
                body.check_rest()
                if response.websocket is None:
                    await _write(response, context, self._pair.stream_response)
                else:
                    socket = ServedSocket(context, parts, self._pair.stream_response)
                    await _join(response, response.websocket, socket, context)
            body.check_rest()
        finally:
            await body.stop()

    def _span(self, context: Context) -> Span:
        parent = tracing.parse_traceparent(context.said.get(_TRACEPARENT, b"").decode("latin-1"))
        return tracing.start(self._pair.name, Kind.SERVER, parent, self._said)


async def _write(response: Response, context: Context, message: MessageType) -> None:
    """Write the response."""
    data, complete = response.body.take()
    if complete and data and response.content_length is None:
        response.content_length = len(data)
    pieces = chunks(data)
    first = message(body=pieces[0]) if pieces else message()
    messages.response_to_pb(response, first.head)
    await context.write(first)
    for piece in pieces[1:]:
        await context.write(message(body=piece))
    if not complete:
        async for chunk in response.body:
            for piece in chunks(chunk):
                await context.write(message(body=piece))


async def _join(response: Response, far: WebSocket, near: ServedSocket, context: Context) -> None:
    """Be a WebSocket after the head."""
    first = near.part()
    messages.response_to_pb(response, first.head)
    await context.write(first)
    if not await join(near, far):
        raise cut_short()


class _IncomingBody:
    """The request side of a streamed call, as a body."""

    __slots__ = ("_chunk", "_context", "_parts", "_rest")

    def __init__(self, context: Context, parts: Parts) -> None:
        self._context = context
        self._parts = parts
        self._chunk = b""
        self._rest: asyncio.Task[None] | None = None

    def begin(self, first: Any, length: int | None) -> None:
        """Take what the first part has of it."""
        self._take_in(self._parts.begin(first, length))

    def take(self) -> tuple[bytes, bool]:
        data, self._chunk = self._chunk, b""
        return data, self._parts.ended

    async def __aiter__(self) -> AsyncIterator[bytes]:
        if self._chunk:
            yield self.take()[0]
        while not self._parts.ended:
            data = await self._context.read()
            if data is None:
                raise SluiceError(
                    Reason.BODY_CUT_SHORT, "the call ended before the end of the request's body"
                )
            self._take_in(self._parts.more(data))
            if self._chunk:
                yield self.take()[0]

    async def aclose(self) -> None:
        """Nothing to give back: the end of the call ends it."""

    def check_rest(self) -> None:
        """Raise `INVALID_REQUEST` where a part has come that has no place behind the end."""
        if self._rest is not None and self._rest.done():
            self._rest.result()

    async def stop(self) -> None:
        """Look for no more."""
        if self._rest is not None:
            self._rest.cancel()
            await asyncio.gather(self._rest, return_exceptions=True)
            self._rest = None  # What ended it refers to this body: no collector is needed so.

    def _take_in(self, chunk: bytes) -> None:
        self._chunk = chunk
        if self._parts.ended and self._rest is None:
            self._rest = asyncio.create_task(self._read_rest())

    async def _read_rest(self) -> None:
        while (data := await self._context.read()) is not None:
            self._parts.more(data)
