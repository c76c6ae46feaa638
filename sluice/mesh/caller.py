"""Calling a peer: a `Request` goes out as one RPC, its `Response` comes back.

A request whose body is at hand goes whole, any other streams. With `served.py` this is all that
knows gRPC on the hot path.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
import grpc.aio

from sluice.mesh import attributes, errors, tracing
from sluice.mesh.pair import Pair
from sluice.mesh.tracing import Kind, Span
from sluice.mesh.websocket import CalledSocket, open_call
from sluice.pb import http_pb2
from sluice.wire import messages
from sluice.wire.body import WHOLE, Body, Whole, chunks
from sluice.wire.errors import Reason, SluiceError
from sluice.wire.messages import Request, Response

TRACEPARENT = "traceparent"
"""Metadata key of the caller's span."""

_RPC = {attributes.RPC_SYSTEM: "grpc"}


class Caller:
    """Makes the calls of one pair. `peer` is what errors call the far side."""

    def __init__(self, pair: Pair, channel: grpc.aio.Channel, peer: str) -> None:
        self._pair = pair
        self._peer = peer
        self._whole = channel.unary_stream(
            f"/{pair.service}/{pair.whole}",
            request_serializer=pair.whole_request.SerializeToString,  # type: ignore[attr-defined]
            response_deserializer=pair.whole_response.FromString,  # type: ignore[attr-defined]
        )
        self._stream = channel.stream_stream(
            f"/{pair.service}/{pair.stream}",
            request_serializer=pair.stream_request.SerializeToString,  # type: ignore[attr-defined]
            response_deserializer=pair.stream_response.FromString,  # type: ignore[attr-defined]
        )

    async def call(self, request: Request, parent: Span, opening: Any = None) -> Response:
        """Make the call and return the response that its first message begins.

        Raises `SluiceError` where there is no response. Cancelling it, or closing the response's
        body or WebSocket before its end, cancels the RPC.
        """
        pair = self._pair
        span = tracing.start(pair.name, Kind.CLIENT, parent, _RPC)
        metadata = ((TRACEPARENT, span.traceparent()),)
        fields = {pair.opening: opening} if pair.opening else {}
        data, complete = request.body.take()
        sender = None
        if request.websocket:
            first = pair.stream_request(**fields)
            messages.request_to_pb(request, first.head)
            rpc = self._stream(metadata=metadata)
            sender = asyncio.create_task(open_call(rpc, first))
        elif complete and len(data) <= WHOLE:
            first = pair.whole_request(body=data, **fields)
            messages.request_to_pb(request, first.head)
            rpc = self._whole(first, metadata=metadata)
        else:
            first = pair.stream_request(**fields)
            messages.request_to_pb(request, first.head)
            rpc = self._stream(metadata=metadata)
            sending = _send(rpc, first, pair.stream_request, data, request.body)
            sender = asyncio.create_task(sending)
        body = _RpcBody(rpc, self._peer, sender, span)
        try:
            head = await body.begin()
            if head.status == 101 and not request.websocket:
                raise SluiceError(
                    Reason.INTERNAL, f"{self._peer}: opened a WebSocket that nobody asked for"
                )
        except BaseException as error:
            span.fail(error)
            await body.aclose()
            raise
        response = messages.response_from_pb(head, body)
        if head.status == 101:
            response.body = Whole()
            response.websocket = CalledSocket(rpc, pair.stream_request, span)
        return response


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

    __slots__ = ("_chunk", "_complete", "_left", "_peer", "_rpc", "_sender", "_span")

    def __init__(
        self, rpc: Any, peer: str, sender: asyncio.Task[SluiceError | None] | None, span: Span
    ) -> None:
        self._span = span
        self._rpc = rpc
        self._peer = peer
        self._sender = sender
        self._chunk = b""
        self._left: int | None = None
        self._complete = False

    async def begin(self) -> Any:
        """The response's head."""
        message = await self._read()
        if message is None or not message.HasField("head"):
            raise SluiceError(
                Reason.INTERNAL, f"{self._peer}: the response did not begin with a head"
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
            await self._rpc.code()
            self._complete = True
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
            raise errors.from_rpc(error, self._peer) from error
        except asyncio.CancelledError:
            if self._sender and self._sender.done() and not self._sender.cancelled():
                cut_short = self._sender.result()
                if cut_short is not None:
                    raise cut_short from None
            raise
        return None if message is grpc.aio.EOF else message
