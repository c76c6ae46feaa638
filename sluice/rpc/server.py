"""Serving calls: who may make them, what becomes of what they raise, and how it all ends."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import grpc

from sluice.http2.ends import ServerEnd
from sluice.http2.fields import Fields
from sluice.http2.limits import KIB, Limits
from sluice.http2.stream import Stream
from sluice.rpc import metadata
from sluice.rpc.context import Context
from sluice.rpc.method import Method, Methods
from sluice.rpc.status import OK, AbortError, Status

_BACKLOG = 1024
_ANY = ("::", "0.0.0.0")  # noqa: S104  # asyncio's `::` is IPv6 alone; gRPC's is both, as users expect
_HANDSHAKE = 10.0  # seconds that TLS may take
_GOODBYE = 0.5  # seconds for the far side to end TLS, too: grpcio's clients never do

LIMITS = Limits(fields=8 * KIB, stall=300.0)
"""What a caller may have a server keep. Its heads last as long as its calls, so they are short."""

MAX_CONNECTIONS = 1024
"""One more takes the place of the oldest without a call. A peer has one, or a few."""

Explain = Callable[[str, Exception], Status]
"""The status that says what a method, `service/name`, raised."""

Admit = Callable[[str, tuple[str, ...]], Status | None]
"""Why a caller whose certificate has these names may not call a method. None: it may."""

_LATE = Status(grpc.StatusCode.DEADLINE_EXCEEDED, "the caller's deadline is over")
_NO_TIMEOUT = Status(grpc.StatusCode.INVALID_ARGUMENT, "grpc-timeout: not of the form 10S")
_NO_POST = Status(grpc.StatusCode.INTERNAL, "a call is a POST")
_NO_GRPC = Status(grpc.StatusCode.INTERNAL, "content-type: not application/grpc")
_ENCODED = Status(
    grpc.StatusCode.UNIMPLEMENTED,
    "grpc-encoding: only identity is taken",
    (("grpc-accept-encoding", "identity"),),
)
"""A client may send again what it had compressed (gRPC's doc/compression.md)."""


class Server:
    """Serves methods to whoever connects, or by `tls` to whoever that lets in."""

    def __init__(
        self,
        max_message: int,
        explain: Explain,
        admit: Admit | None = None,
        tls: ssl.SSLContext | None = None,
        limits: Limits = LIMITS,
        max_connections: int = MAX_CONNECTIONS,
    ) -> None:
        self._max_message = max_message
        self._explain = explain
        self._admit = admit
        self._tls = tls
        self._limits = limits
        self._methods = Methods()
        self._max_connections = max_connections
        self._connections: dict[ServerEnd, None] = {}  # the oldest first
        self._tasks: set[asyncio.Task[None]] = set()
        self._listener: asyncio.Server | None = None
        self._stopping = False

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Any]) -> None:
        """Add methods, as generated code does."""
        self._methods.add(service, handlers)

    def add_generic_rpc_handlers(self, handlers: tuple[Any, ...]) -> None:
        """Add methods as older generated code does; newer gives the same methods both ways."""
        self._methods.add_generic(handlers)

    async def start(self, host: str, port: int) -> int:
        """Listen. Returns the port; `OSError` where it cannot be had."""
        self._listener = await asyncio.get_running_loop().create_server(
            self._end,
            _ANY if host == _ANY[0] else host,
            port,
            ssl=self._tls,
            backlog=_BACKLOG,
            ssl_handshake_timeout=_HANDSHAKE if self._tls else None,
            ssl_shutdown_timeout=_GOODBYE if self._tls else None,
        )
        return int(self._listener.sockets[0].getsockname()[1])

    async def stop(self, grace: float) -> None:
        """Take no more calls, give those in flight `grace` seconds, and end them.

        Cancelling it ends the grace.
        """
        if self._listener is None:
            return
        self._listener.close()
        self._stopping = True
        for connection in tuple(self._connections):
            connection.drain()
        try:
            await self._ended(grace)
        finally:
            for connection in tuple(self._connections):
                connection.close()
            for task in self._tasks:
                task.cancel()
            await self._ended(None)
            self._listener = None  # It refers to this server: no collector is needed so.

    async def _ended(self, seconds: float | None) -> None:
        """Wait until every connection is over, and every call."""
        waiting = [*(connection.over for connection in self._connections), *self._tasks]
        if waiting:
            await asyncio.wait(waiting, timeout=seconds)

    def _end(self) -> ServerEnd:
        return ServerEnd(self._limits, self._answer, self._made)

    def _made(self, connection: ServerEnd) -> None:
        full = len(self._connections) >= self._max_connections
        self._connections[connection] = None
        connection.over.add_done_callback(lambda _: self._connections.pop(connection, None))
        if self._stopping:  # it was on its way when the listener closed
            connection.close()
        elif full:
            next((one for one in self._connections if one.idle), connection).abort()

    def _answer(self, connection: ServerEnd, number: int, fields: Fields) -> Stream:
        """Begin to serve the call that a head begins."""
        context = Context(connection, number, fields, self._max_message)
        task = context.task = asyncio.create_task(self._run(context))
        self._tasks.add(task)
        task.add_done_callback(partial(self._settled, connection, context))
        return context

    def _settled(self, connection: ServerEnd, context: Context, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        context.task = None  # whose traceback has the context: no collector is needed so
        connection.settled(context)

    async def _run(self, context: Context) -> None:
        """Serve a call to its end."""
        status = _refusal(context.said)
        if status is None:
            path = context.said.get(b":path", b"")
            method = self._methods.find(path)
            status = await self._status(method, context) if method else _no_method(path)
        context.finish(status)

    async def _status(self, method: Method, context: Context) -> Status:
        """Serve a call, if its caller may make it. Returns how it ended."""
        if self._admit and (refusal := self._admit(method.name, context.connection.peer_names)):
            return refusal
        timeout = context.said.get(b"grpc-timeout")
        try:
            if timeout is None:
                await method.run(context)
            else:
                async with asyncio.timeout(_seconds(timeout)) as deadline:
                    await method.run(context)
        except AbortError as abort:
            return abort.status
        except TimeoutError as error:
            late = timeout is not None and deadline.expired()
            return _LATE if late else self._explain(method.name, error)
        except Exception as error:  # whatever a method raises ends its call alone
            return self._explain(method.name, error)
        return OK


def _seconds(timeout: bytes) -> float:
    seconds = metadata.timeout(timeout)
    if seconds is None:
        raise AbortError(_NO_TIMEOUT)
    return seconds


def _no_method(path: bytes) -> Status:
    return Status(grpc.StatusCode.UNIMPLEMENTED, f"no method {path.decode('latin-1')[:200]}")


def _refusal(said: dict[bytes, bytes]) -> Status | None:
    """Why this is no call of gRPC."""
    if said.get(b":method") != b"POST":
        return _NO_POST
    if not said.get(b"content-type", b"").startswith(b"application/grpc"):
        return _NO_GRPC
    if said.get(b"grpc-encoding", b"identity") != b"identity":
        return _ENCODED
    return None
