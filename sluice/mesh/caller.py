"""Calling a peer: a `Request` goes out as one RPC, its `Response` comes back.

A request whose body is at hand goes whole, any other streams. With `served.py` this is all that
knows gRPC on the hot path.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import grpc
import grpc.aio

from sluice.http2.failure import StreamEndedError
from sluice.mesh import attributes, errors, tracing
from sluice.mesh.pair import MessageType, Pair
from sluice.mesh.parts import Parts
from sluice.mesh.tracing import Kind, Span
from sluice.mesh.websocket import CalledSocket
from sluice.pb import http_pb2
from sluice.rpc.call import Call
from sluice.rpc.link import Link
from sluice.wire import messages
from sluice.wire.body import WHOLE, Body, Whole, chunks
from sluice.wire.errors import SluiceError
from sluice.wire.messages import Request, Response, has_body

TRACEPARENT = "traceparent"
"""Metadata key of the caller's span."""

_OPENINGS = ("head",)
_STATUS_WAIT = 5.0  # seconds from the last byte of a response to the end of its call


class Caller:
    """Makes the calls of one pair. `peer` is what errors call the far side."""

    def __init__(self, pair: Pair, link: Link, peer: str) -> None:
        self._pair = pair
        self._said = {attributes.RPC_SYSTEM: "grpc", attributes.RPC_METHOD: pair.name}
        self._peer = peer
        self._refuse = partial(errors.invalid_response, peer)
        self._link = link
        self._whole = f"/{pair.service}/{pair.whole}"
        self._stream = f"/{pair.service}/{pair.stream}"

    async def call(self, request: Request, parent: Span, opening: Any = None) -> Response:
        """Make the call and return the response that its first message begins.

        Raises `SluiceError` where there is no response. Cancelling it, or closing the response's
        body or WebSocket before its end, cancels the RPC.
        """
        span = tracing.start(self._pair.name, Kind.CLIENT, parent, self._said)
        body = None
        try:
            body = await self._begin(request, opening, span)
            response = await body.begin(request)
        except BaseException as error:
            span.fail(error)
            if body is None:
                span.end()
            else:
                await body.aclose()
            raise
        if response.status == 101:
            response.body, response.websocket = Whole(), body.as_websocket(self._pair)
        return response

    async def _begin(self, request: Request, opening: Any, span: Span) -> _RpcBody:
        """Begin the call, in the shape that its body asks for. Returns its response side."""
        pair = self._pair
        fields = {pair.opening: opening} if pair.opening else {}
        data, complete = request.body.take()
        whole = complete and len(data) <= WHOLE and not request.websocket
        first = pair.whole_request(body=data, **fields) if whole else pair.stream_request(**fields)
        messages.request_to_pb(request, first.head)
        metadata = ((TRACEPARENT, span.traceparent()),)
        path = self._whole if whole else self._stream
        try:
            rpc = await self._link.call(path, metadata, first.SerializeToString(), whole=whole)
        except grpc.aio.AioRpcError as error:
            raise errors.from_rpc(error, self._peer) from error
        sender = None
        if not whole and not request.websocket:
            sender = asyncio.create_task(_send(rpc, pair.stream_request, data, request.body))
        response = pair.whole_response if whole else pair.stream_response
        parts = Parts(response, _OPENINGS, self._refuse)
        return _RpcBody(rpc, parts, self._peer, sender, span)


async def _send(rpc: Call, message: MessageType, data: bytes, rest: Body) -> SluiceError | None:
    """Send the rest of the request; a body cut short cancels the call, and is returned."""
    try:
        for piece in chunks(data):
            await rpc.write(message(body=piece).SerializeToString())
        async for chunk in rest:
            for piece in chunks(chunk):
                await rpc.write(message(body=piece).SerializeToString())
        end = message(trailers=http_pb2.HttpTrailers())
        await rpc.write(end.SerializeToString(), last=True)
    except SluiceError as error:
        rpc.cancel()
        return error
    except StreamEndedError:
        pass  # Its reader knows why.
    finally:
        await rest.aclose()
    return None


class _RpcBody:
    """The response side of a call, as a body."""

    __slots__ = ("_chunk", "_complete", "_parts", "_peer", "_rpc", "_sender", "_span")

    def __init__(
        self,
        rpc: Call,
        parts: Parts,
        peer: str,
        sender: asyncio.Task[SluiceError | None] | None,
        span: Span,
    ) -> None:
        self._span = span
        self._rpc = rpc
        self._parts = parts
        self._peer = peer
        self._sender = sender
        self._chunk = b""
        self._complete = False

    async def begin(self, request: Request) -> Response:
        """The response to `request`. Raises `SluiceError` where there is none."""
        data = await self._read()
        if data is None:
            raise self._parts.refuse("the call ended without a response")
        parts = self._parts
        part = parts.first(data)
        response = messages.response_from_pb(part.head, self)
        if response.status != 101:
            holds = has_body(request.method, response.status)
            self._chunk = parts.begin(part, response.content_length if holds else 0)
            return response
        if not request.websocket:
            raise parts.refuse("opened a WebSocket that nobody asked for")
        parts.check_open(part)
        return response

    def as_websocket(self, pair: Pair) -> CalledSocket:
        """The call as the WebSocket that it has opened. It is no body then."""
        return CalledSocket(self._rpc, self._parts, pair.stream_request, self._span)

    def take(self) -> tuple[bytes, bool]:
        data, self._chunk = self._chunk, b""
        return data, self._parts.left == 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        if self._chunk:
            yield self.take()[0]
        while (data := await self._read()) is not None:
            if chunk := self._parts.more(data):
                yield chunk
        self._parts.end()
        self._complete = True

    async def aclose(self) -> None:
        try:
            if not self._complete and self._parts.left == 0:
                await self._end()
        finally:
            if not self._complete:
                self._rpc.cancel()
            if self._sender is not None:
                self._sender.cancel()
                await asyncio.wait([self._sender])
                # It has what `_read` raised, which refers to this body: no collector is needed so.
                self._sender = None
            self._span.end()

    async def _end(self) -> None:
        """Await the status: all bytes are here, and it is all that is left of the call."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_STATUS_WAIT):
                await self._rpc.end()
                self._complete = True

    async def _read(self) -> bytes | None:
        """The next message; None at the clean end."""
        try:
            return await self._rpc.read()
        except grpc.aio.AioRpcError as error:
            raise self._cut_short() or errors.from_rpc(error, self._peer) from error

    def _cut_short(self) -> SluiceError | None:
        """What ended the request, and so the call, on this side."""
        sender = self._sender
        return sender.result() if sender and sender.done() and not sender.cancelled() else None
