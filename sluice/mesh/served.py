"""Being called: one RPC comes in as a `Request`, its `Response` goes out."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
import grpc.aio

from sluice.mesh import attributes, errors, tracing
from sluice.mesh.caller import TRACEPARENT
from sluice.mesh.pair import MessageType, Pair
from sluice.mesh.parts import Parts, opening_of, refuse_request, whole_request
from sluice.mesh.tracing import Kind, Span
from sluice.mesh.websocket import ServedSocket
from sluice.mesh.writing import answer
from sluice.wire import messages
from sluice.wire.body import Whole, chunks
from sluice.wire.errors import Reason, SluiceError
from sluice.wire.messages import Request, Response
from sluice.wire.websocket import WebSocket, cut_short, join

Serve = Callable[[Any, Request, Span], Awaitable[Response]]
"""What a service does: `(opening, request, span of the RPC) -> response`."""


_log = logging.getLogger(__name__)


class Served:
    """Serves both shapes of a pair by one function."""

    def __init__(self, pair: Pair, serve: Serve) -> None:
        self._pair = pair
        self._said = {attributes.RPC_SYSTEM: "grpc", attributes.RPC_METHOD: pair.name}
        self._serve = serve

    def add_to(self, server: grpc.aio.Server) -> None:
        """Serve the pair's two methods.

        They are registered as methods with one answer, though the contract says a stream of them.
        On the wire that is the same, and `grpc.aio` then sends the last message and the status in
        one batch: a fifth of what a short call costs. Messages before the last one are written.
        """
        pair = self._pair
        methods = {
            pair.whole: grpc.unary_unary_rpc_method_handler(
                self._answer_whole,
                response_serializer=pair.whole_response.SerializeToString,
            ),
            pair.stream: grpc.stream_unary_rpc_method_handler(
                self._answer_stream,
                response_serializer=pair.stream_response.SerializeToString,
            ),
        }
        server.add_registered_method_handlers(pair.service, methods)

    async def _answer_whole(self, data: bytes, context: Any) -> Any:
        try:
            with self._span(context) as span:
                opening, request = whole_request(self._pair, data)
                return await self._answer(opening, request, context, span, None)
        except SluiceError as error:
            await errors.abort(context, error)

    async def _answer_stream(self, _: Any, context: Any) -> Any:
        try:
            with self._span(context) as span:
                data = await context.read()
                if data is grpc.aio.EOF:
                    raise refuse_request("the call ended before its first message")
                return await self._answer_parts(data, context, span)
        except SluiceError as error:
            await errors.abort(context, error)

    async def _answer_parts(self, data: bytes, context: Any, span: Span) -> Any:
        parts = Parts(self._pair.stream_request, self._pair.openings, refuse_request)
        first = parts.first(data)
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
            last = await self._answer(opening, request, context, span, parts)
            body.check_rest()
            return last
        finally:
            await body.stop()

    def _span(self, context: Any) -> Span:
        metadata = dict(context.invocation_metadata())
        parent = tracing.parse_traceparent(metadata.get(TRACEPARENT))
        return tracing.start(self._pair.name, Kind.SERVER, parent, self._said)

    async def _answer(
        self, opening: Any, request: Request, context: Any, span: Span, parts: Parts | None
    ) -> Any:
        """Serve `request`. Returns the last message of the answer.

        `parts` read what follows the first message, where anything may.
        """
        try:
            response = await self._serve(opening, request, span)
        except (SluiceError, asyncio.CancelledError):
            raise
        except Exception as error:
            _log.exception("%s failed", self._pair.name)
            raise SluiceError(Reason.INTERNAL, "internal error") from error
        try:
            if parts is None:
                return await _write(response, context, self._pair.whole_response)
            if response.websocket is None:
                return await _write(response, context, self._pair.stream_response)
            socket = ServedSocket(context, parts, self._pair.stream_response)
            return await _join(response, response.websocket, socket, context)
        finally:
            await response.aclose()


async def _write(response: Response, context: Any, message: MessageType) -> Any:
    """Write the response, but for the last message, which is returned: it goes with the status."""
    data, complete = response.body.take()
    if complete and data and response.content_length is None:
        response.content_length = len(data)
    pieces = chunks(data)
    first = message(body=pieces[0]) if pieces else message()
    messages.response_to_pb(response, first.head)
    if complete and len(pieces) <= 1:
        return first
    # What a method with one answer writes before it is not serialised for it.
    await answer(context, first.SerializeToString())
    for piece in pieces[1:]:
        await answer(context, message(body=piece).SerializeToString())
    if not complete:
        async for chunk in response.body:
            for piece in chunks(chunk):
                await answer(context, message(body=piece).SerializeToString())
    return message()


async def _join(response: Response, far: WebSocket, near: ServedSocket, context: Any) -> Any:
    """Be a WebSocket after the head. Returns a last message, which is empty."""
    first = near.part()
    messages.response_to_pb(response, first.head)
    await answer(context, first.SerializeToString())
    if not await join(near, far):
        raise cut_short()
    return near.part()


class _IncomingBody:
    """The request side of a streamed call, as a body."""

    __slots__ = ("_chunk", "_context", "_parts", "_rest")

    def __init__(self, context: Any, parts: Parts) -> None:
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
            if data is grpc.aio.EOF:
                # grpc.aio says the same of a caller that is done and of one that went away.
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

    def _take_in(self, chunk: bytes) -> None:
        self._chunk = chunk
        if self._parts.ended and self._rest is None:
            self._rest = asyncio.create_task(self._read_rest())

    async def _read_rest(self) -> None:
        while (data := await self._context.read()) is not grpc.aio.EOF:
            self._parts.more(data)
