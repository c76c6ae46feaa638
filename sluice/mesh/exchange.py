"""One HTTP exchange as one RPC: the two shapes of each, behind one call and one servicer function.

This file is the only place on the hot path that knows gRPC. A caller gives a `Request` and gets a
`Response`; a servicer gets a `Request` and gives a `Response`. Which shape carries it is decided
here: a request whose body is at hand goes whole, any other streams.

The messages of all three services have the same fields (`head`, then `body`, `trailers` or
`websocket`; requests to a user Worker or the outbound service have what the platform decided in one
more), and the two shapes of a message the same field numbers.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio

from sluice.mesh import attributes, errors, tracing
from sluice.mesh.tracing import Kind, Span
from sluice.pb import http_pb2
from sluice.wire import messages
from sluice.wire.body import WHOLE, Body, Whole, chunks
from sluice.wire.errors import Reason, SluiceError
from sluice.wire.messages import Request, Response

TRACEPARENT = "traceparent"
_RPC = {attributes.RPC_SYSTEM: "grpc"}

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Shapes:
    """The two RPCs of one call, and the message that begins each."""

    service: str
    """Name of the service in errors, such as `outbound`."""

    method: str
    """Full name of the first shape's method, such as `sluice.v1.OutboundService/OutboundFetch`."""

    whole: Callable[..., Any]
    stream: Callable[..., Any]
    whole_request: Callable[..., Any]
    stream_request: Callable[..., Any]
    opening: str | None = None
    """Name of the field with what the platform decided, where there is one."""


async def call(shapes: Shapes, request: Request, parent: Span, opening: Any = None) -> Response:
    """Make the RPC and return the response that its first message begins.

    Raises `SluiceError` where there is no response. Cancelling it, or closing the response's body
    before its end, cancels the RPC.
    """
    span = tracing.start(shapes.method, Kind.CLIENT, parent, _RPC)
    metadata = ((TRACEPARENT, span.traceparent()),)
    fields = {shapes.opening: opening} if shapes.opening else {}
    data, complete = request.body.take()
    if complete and len(data) <= WHOLE:
        first = shapes.whole_request(body=data, **fields)
        messages.request_to_pb(request, first.head)
        rpc = shapes.whole(first, metadata=metadata)
        sender = None
    else:
        rpc = shapes.stream(metadata=metadata)
        first = shapes.stream_request(**fields)
        messages.request_to_pb(request, first.head)
        sender = asyncio.create_task(_send(rpc, first, shapes.stream_request, data, request.body))
    body = _RpcBody(rpc, shapes.service, sender, span)
    try:
        head = await body.begin()
    except BaseException as error:
        span.fail(error)
        await body.aclose()
        raise
    return messages.response_from_pb(head, body)


async def _send(
    rpc: Any, first: Any, message: Callable[..., Any], data: bytes, rest: Body
) -> SluiceError | None:
    """Send the request; a body that is cut short cancels the call. Returns what cut it short."""
    try:
        await rpc.write(first)
        for piece in chunks(data):
            await rpc.write(message(body=piece))
        async for chunk in rest:
            for piece in chunks(chunk):
                await rpc.write(message(body=piece))
        await rpc.write(message(trailers=http_pb2.HttpTrailers()))
        await rpc.done_writing()
    except SluiceError as error:
        rpc.cancel()
        return error
    except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
        pass  # The call is over; its reader knows why.
    finally:
        await rest.aclose()
    return None


class _RpcBody:
    """The response side of a call, as a body."""

    __slots__ = ("_chunk", "_complete", "_left", "_rpc", "_sender", "_service", "_span")

    def __init__(
        self, rpc: Any, service: str, sender: asyncio.Task[SluiceError | None] | None, span: Span
    ) -> None:
        self._span = span
        self._rpc = rpc
        self._service = service
        self._sender = sender
        self._chunk = b""
        self._left: int | None = None
        self._complete = False

    async def begin(self) -> Any:
        """The response's head."""
        message = await self._read()
        if message is None or not message.HasField("head"):
            raise SluiceError(
                Reason.INTERNAL, f"{self._service}: the response did not begin with a head"
            )
        self._chunk = message.body
        if message.head.HasField("content_length"):
            self._left = message.head.content_length - len(self._chunk)
        return message.head

    def take(self) -> tuple[bytes, bool]:
        data, self._chunk = self._chunk, b""
        return data, self._left == 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        if self._chunk:
            yield self.take()[0]
        while (message := await self._read()) is not None:
            if message.body:
                yield message.body
        self._complete = True

    async def aclose(self) -> None:
        if not self._complete and self._left == 0:
            # All bytes are here; what is left of the call is its status.
            with contextlib.suppress(SluiceError):
                self._complete = await self._read() is None
        if not self._complete:
            self._rpc.cancel()
        if self._sender is not None:
            self._sender.cancel()
            await asyncio.wait([self._sender])
        self._span.end()

    async def _read(self) -> Any:
        """The next message; None at the clean end."""
        try:
            message = await self._rpc.read()
        except grpc.aio.AioRpcError as error:
            raise errors.from_rpc(error, self._service) from error
        except asyncio.CancelledError:
            if self._sender and self._sender.done() and not self._sender.cancelled():
                cut_short = self._sender.result()
                if cut_short is not None:
                    raise cut_short from None
            raise
        return None if message is grpc.aio.EOF else message


Serve = Callable[[Any, Request, Span], Awaitable[Response]]
"""What a servicer does: `(opening, request, span of the RPC) -> response`."""


@dataclass(frozen=True, slots=True)
class Served:
    """One RPC as a servicer serves it, in either shape."""

    method: str
    """Full name of the method, such as `sluice.v1.OutboundService/OutboundFetch`."""

    serve: Serve
    response: Callable[..., Any]
    opening: str | None = None
    """Name of the field with what the platform decided, where there is one."""

    async def answer(self, message: Any, context: Any) -> None:
        """Serve a call of the whole shape, whose request is `message`."""
        try:
            with self._span(context) as span:
                await self._answer(message, Whole(message.body), context, span)
        except SluiceError as error:
            await errors.abort(context, error)

    async def answer_stream(self, context: Any) -> None:
        """Serve a call of the streamed shape."""
        try:
            with self._span(context) as span:
                first = await context.read()
                if first is grpc.aio.EOF:
                    raise SluiceError(
                        Reason.INVALID_REQUEST, "the call ended before its first message"
                    )
                await self._answer(first, _IncomingBody(context, first), context, span)
        except SluiceError as error:
            await errors.abort(context, error)

    def _span(self, context: Any) -> Span:
        metadata = dict(context.invocation_metadata())
        parent = tracing.parse_traceparent(metadata.get(TRACEPARENT))
        return tracing.start(self.method, Kind.SERVER, parent, _RPC)

    async def _answer(self, first: Any, body: Body, context: Any, span: Span) -> None:
        if self.opening is not None and not first.HasField(self.opening):
            raise SluiceError(
                Reason.INVALID_REQUEST, f"{self.opening}: not set in the first message"
            )
        if not first.HasField("head"):
            raise SluiceError(Reason.INVALID_REQUEST, "head: not set in the first message")
        request = messages.request_from_pb(first.head, body)
        opening = getattr(first, self.opening) if self.opening else None
        try:
            response = await self.serve(opening, request, span)
        except (SluiceError, asyncio.CancelledError):
            raise
        except Exception as error:
            _log.exception("%s failed", self.method)
            raise SluiceError(Reason.INTERNAL, "internal error") from error
        try:
            await _write(response, context, self.response)
        finally:
            await response.body.aclose()


async def _write(response: Response, context: Any, message: Callable[..., Any]) -> None:
    data, complete = response.body.take()
    if complete and data and response.content_length is None:
        response.content_length = len(data)
    pieces = chunks(data)
    first = message(body=pieces[0]) if pieces else message()
    messages.response_to_pb(response, first.head)
    await context.write(first)
    for piece in pieces[1:]:
        await context.write(message(body=piece))
    if complete:
        return
    async for chunk in response.body:
        for piece in chunks(chunk):
            await context.write(message(body=piece))


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
