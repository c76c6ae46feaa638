"""Methods: what generated code adds to a server, and how a call finds and runs one."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from sluice.rpc.context import Context
from sluice.rpc.metadata import Metadata
from sluice.rpc.status import AbortError, Status

_NO_MESSAGE = Status(grpc.StatusCode.INVALID_ARGUMENT, "the call ended before its message")


class UnreadableError(Exception):
    """A request is not the message that its method takes."""


class Method:
    """One method. `name` is `service/method`, `handler` a `grpc.RpcMethodHandler`."""

    def __init__(self, name: str, handler: Any) -> None:
        self.name = name
        self.handler = handler
        shapes = (
            handler.unary_unary,
            handler.unary_stream,
            handler.stream_unary,
            handler.stream_stream,
        )
        self._behaviour: Callable[[Any, Context], Any] = next(filter(None, shapes))
        self._generates = inspect.isasyncgenfunction(self._behaviour)
        self._read = partial(_read, handler.request_deserializer or bytes)

    async def run(self, context: Context) -> None:
        """Serve a call, but for its status.

        Raises what the method raises, `AbortError` and `UnreadableError` besides.
        """
        context.serialize = self.handler.response_serializer
        # No name for the request: the frame would keep it, and its body, as long as the call lasts.
        answer = self._behaviour(await self._request(context), context)
        if self._generates:
            async with aclosing(answer) as messages:
                async for message in messages:
                    await context.write(message)
            return
        message = await answer
        if not self.handler.response_streaming:
            await context.write(message)

    async def _request(self, context: Context) -> Any:
        """The one message of a call, or all of its messages."""
        if self.handler.request_streaming:
            return _Messages(context, self._read)
        data = await context.read()
        if data is None:
            raise AbortError(_NO_MESSAGE)
        return self._read(data)


class Methods:
    """The methods of one server, by their paths."""

    def __init__(self) -> None:
        self._known: dict[bytes, Method] = {}
        self._generic: tuple[Any, ...] = ()

    def add(self, service: str, handlers: Mapping[str, Any]) -> None:
        """Add the methods of a service."""
        for name, handler in handlers.items():
            self._known[f"/{service}/{name}".encode()] = Method(f"{service}/{name}", handler)

    def add_generic(self, handlers: tuple[Any, ...]) -> None:
        """Add what finds methods by itself."""
        self._generic += handlers

    def find(self, path: bytes) -> Method | None:
        """The method at `path`."""
        return self._known.get(path) or self._found(path)

    def _found(self, path: bytes) -> Method | None:
        details = _Details(path.decode("latin-1"))
        for generic in self._generic:
            if handler := generic.service(details):
                method = self._known[path] = Method(details.method[1:], handler)
                return method
        return None


@dataclass(frozen=True, slots=True)
class _Details(grpc.HandlerCallDetails):  # type: ignore[misc]  # grpcio has no types
    """What a generic handler is asked for."""

    method: str
    invocation_metadata: Metadata = ()


def _read(read: Callable[[bytes], Any], data: bytes) -> Any:
    try:
        return read(data)
    except DecodeError as error:
        raise UnreadableError(f"not a message of this method: {error}") from error


class _Messages:
    """The messages of a call that has many. No generator: there is nothing to close."""

    __slots__ = ("_context", "_read")

    def __init__(self, context: Context, read: Callable[[bytes], Any]) -> None:
        self._context = context
        self._read = read

    def __aiter__(self) -> _Messages:
        return self

    async def __anext__(self) -> Any:
        data = await self._context.read()
        if data is None:
            raise StopAsyncIteration
        return self._read(data)
