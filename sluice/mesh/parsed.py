"""Requests of generated servicers, parsed where a bad one gets an answer of ours.

`grpc.aio` answers what a deserializer cannot parse with UNKNOWN, and logs a traceback each time.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing
from typing import Any

import grpc

from sluice.mesh import errors
from sluice.mesh.parts import parse
from sluice.wire.errors import SluiceError

Read = Callable[[bytes], Any]

_UNARY = ("unary_unary", "unary_stream")
_STREAM = ("stream_unary", "stream_stream")


class ParsingServer:
    """As much of a `grpc.aio.Server` as servicers are added by: their requests come parsed.

    One that cannot be is INVALID_ARGUMENT with our reason, and is not logged.
    """

    def __init__(self, server: Any) -> None:
        self._server = server

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Any]) -> None:
        """Add methods. Those without a deserializer parse for themselves."""
        parsing = {name: _parsing(handler) for name, handler in handlers.items()}
        self._server.add_registered_method_handlers(service, parsing)

    def add_generic_rpc_handlers(self, handlers: tuple[grpc.GenericRpcHandler, ...]) -> None:
        """Add methods as they are: those of newer generated code are registered as well."""
        self._server.add_generic_rpc_handlers(handlers)


def _parsing(handler: Any) -> Any:
    read = handler.request_deserializer
    if read is None:
        return handler
    changed: dict[str, Any] = {"request_deserializer": None}
    for shape in (*_UNARY, *_STREAM):
        if behaviour := getattr(handler, shape):
            prepare = _one if shape in _UNARY else _each
            wrap = _generator if inspect.isasyncgenfunction(behaviour) else _coroutine
            changed[shape] = wrap(prepare, read, behaviour)
    return handler._replace(**changed)


def _one(read: Read, data: bytes) -> Any:
    return parse(read, data)


async def _each(read: Read, stream: AsyncIterator[bytes]) -> AsyncIterator[Any]:
    async for data in stream:
        yield parse(read, data)


def _coroutine(
    prepare: Callable[[Read, Any], Any], read: Read, behaviour: Callable[..., Awaitable[Any]]
) -> Callable[[Any, Any], Awaitable[Any]]:
    async def parsed(received: Any, context: Any) -> Any:
        try:
            return await behaviour(prepare(read, received), context)
        except SluiceError as error:
            await errors.abort(context, error)

    return parsed


def _generator(
    prepare: Callable[[Read, Any], Any], read: Read, behaviour: Callable[..., Any]
) -> Callable[[Any, Any], AsyncIterator[Any]]:
    async def parsed(received: Any, context: Any) -> AsyncIterator[Any]:
        try:
            async with aclosing(behaviour(prepare(read, received), context)) as answers:
                async for answer in answers:
                    yield answer
        except SluiceError as error:
            await errors.abort(context, error)

    return parsed
