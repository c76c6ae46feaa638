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
from sluice.mesh.pair import Pair
from sluice.mesh.tracing import Kind, Span
from sluice.mesh.websocket import ServedSocket
from sluice.wire import messages
from sluice.wire.body import Body, Whole, chunks
from sluice.wire.errors import Reason, SluiceError
from sluice.wire.messages import Request, Response
from sluice.wire.websocket import WebSocket, cut_short, join

Serve = Callable[[Any, Request, Span], Awaitable[Response]]
"""What a service does: `(opening, request, span of the RPC) -> response`."""

_RPC = {attributes.RPC_SYSTEM: "grpc"}

_log = logging.getLogger(__name__)


class Served:
    """Serves both shapes of a pair by one function."""

    def __init__(self, pair: Pair, serve: Serve) -> None:
        self._pair = pair
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
                request_deserializer=pair.whole_request.FromString,  # type: ignore[attr-defined]
                response_serializer=pair.whole_response.SerializeToString,  # type: ignore[attr-defined]
            ),
            pair.stream: grpc.stream_unary_rpc_method_handler(
                self._answer_stream,
                request_deserializer=pair.stream_request.FromString,  # type: ignore[attr-defined]
                response_serializer=pair.stream_response.SerializeToString,  # type: ignore[attr-defined]
            ),
        }
        server.add_registered_method_handlers(pair.service, methods)

    async def _answer_whole(self, message: Any, context: Any) -> Any:
        try:
            with self._span(context) as span:
                if message.head.websocket:
                    raise SluiceError(
                        Reason.INVALID_REQUEST,
                        f"head.websocket: needs {self._pair.stream}, not {self._pair.whole}",
                    )
                body = Whole(message.body)
                return await self._answer(message, body, context, span, self._pair.whole_response)
        except SluiceError as error:
            await errors.abort(context, error)

    async def _answer_stream(self, _: Any, context: Any) -> Any:
        try:
            with self._span(context) as span:
                first = await context.read()
                if first is grpc.aio.EOF:
                    raise SluiceError(
                        Reason.INVALID_REQUEST, "the call ended before its first message"
                    )
                opens = first.head.websocket
                body = Whole() if opens else _IncomingBody(context, first)
                return await self._answer(first, body, context, span, self._pair.stream_response)
        except SluiceError as error:
            await errors.abort(context, error)

    def _span(self, context: Any) -> Span:
        metadata = dict(context.invocation_metadata())
        parent = tracing.parse_traceparent(metadata.get(TRACEPARENT))
        return tracing.start(self._pair.name, Kind.SERVER, parent, _RPC)

    async def _answer(
        self, first: Any, body: Body, context: Any, span: Span, message: Callable[..., Any]
    ) -> Any:
        """Serve the request that `first` begins. Returns the last message of the answer."""
        opening = self._pair.opening
        for name in (opening, "head") if opening else ("head",):
            if not first.HasField(name):
                raise SluiceError(Reason.INVALID_REQUEST, f"{name}: not set in the first message")
        request = messages.request_from_pb(first.head, body)
        try:
            response = await self._serve(
                getattr(first, opening) if opening else None, request, span
            )
        except (SluiceError, asyncio.CancelledError):
            raise
        except Exception as error:
            _log.exception("%s failed", self._pair.name)
            raise SluiceError(Reason.INTERNAL, "internal error") from error
        try:
            if response.websocket is not None:
                return await _join(response, response.websocket, context, message)
            return await _write(response, context, message)
        finally:
            await response.aclose()


async def _write(response: Response, context: Any, message: Callable[..., Any]) -> Any:
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
    await context.write(first.SerializeToString())
    for piece in pieces[1:]:
        await context.write(message(body=piece).SerializeToString())
    if not complete:
        async for chunk in response.body:
            for piece in chunks(chunk):
                await context.write(message(body=piece).SerializeToString())
    return message()


async def _join(
    response: Response, far: WebSocket, context: Any, message: Callable[..., Any]
) -> Any:
    """Be a WebSocket after the head. Returns a last message, which is empty."""
    first = message()
    messages.response_to_pb(response, first.head)
    await context.write(first.SerializeToString())
    if not await join(ServedSocket(context, message), far):
        raise cut_short()
    return message()


class _IncomingBody:
    """The request side of a streamed call, as a body."""

    __slots__ = ("_chunk", "_context", "_ended", "_left")

    def __init__(self, context: Any, first: Any) -> None:
        self._context = context
        self._chunk = b""
        self._left = first.head.content_length if first.head.HasField("content_length") else None
        self._ended = self._left == 0
        self._receive(first)

    def take(self) -> tuple[bytes, bool]:
        data, self._chunk = self._chunk, b""
        return data, self._ended

    async def __aiter__(self) -> AsyncIterator[bytes]:
        if self._chunk:
            yield self.take()[0]
        while not self._ended:
            message = await self._context.read()
            if message is grpc.aio.EOF:
                # grpc.aio says the same of a caller that is done and of one that went away.
                raise SluiceError(
                    Reason.BODY_CUT_SHORT, "the call ended before the end of the request's body"
                )
            if message.HasField("head"):
                raise SluiceError(Reason.INVALID_REQUEST, "head: set again after the first message")
            self._receive(message)
            if self._chunk:
                yield self.take()[0]

    async def aclose(self) -> None:
        """Nothing to give back: the end of the call ends it."""

    def _receive(self, message: Any) -> None:
        self._chunk = message.body
        if self._left is not None:
            self._left -= len(self._chunk)
            if self._left < 0:
                raise SluiceError(
                    Reason.INVALID_REQUEST, "body: more than head.content_length bytes"
                )
        if message.HasField("trailers") or self._left == 0:
            self._ended = True
