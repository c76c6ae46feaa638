"""The connection to a peer, made at the first call and again after each loss."""

from __future__ import annotations

import asyncio
import ssl

import grpc

from sluice.http2.ends import ClientEnd
from sluice.http2.failure import ConnectionFailure, StreamEndedError
from sluice.http2.fields import encode
from sluice.http2.limits import Limits
from sluice.rpc.call import Call
from sluice.rpc.envelope import envelope
from sluice.rpc.metadata import Metadata, to_fields
from sluice.rpc.status import Status

_ATTEMPT = 2.0  # seconds that one attempt to connect may take
_FIRST_PAUSE, _LONGEST_PAUSE, _GROWTH = 0.1, 1.0, 1.6
_PROTOCOL = "h2"
_CLOSED = Status(grpc.StatusCode.CANCELLED, "the link is closed")


class Link:
    """Calls to `host`:`port`, over one connection.

    With `tls` the peer's certificate has to name `peer_name`. A call to a peer that is down fails
    at once with UNAVAILABLE: the next attempt to connect is made after a pause of at most a second.
    """

    def __init__(
        self,
        host: str,
        port: int,
        max_message: int,
        tls: ssl.SSLContext | None = None,
        peer_name: str | None = None,
    ) -> None:
        self._host, self._port = host, port
        self._tls, self._peer_name = tls, peer_name
        self._max_message = max_message
        self._limits = Limits()
        self._target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self._connection: ClientEnd | None = None
        self._connections: set[ClientEnd] = set()
        self._connecting: asyncio.Task[ClientEnd | Status] | None = None
        self._failure: Status | None = None
        self._pause = _FIRST_PAUSE
        self._pause_ends = 0.0
        self._closed = False
        self._heads: dict[str, bytes] = {}  # by path: callers know a few

    async def call(
        self, path: str, metadata: Metadata, message: bytes, *, whole: bool = False
    ) -> Call:
        """Begin a call with its first message; `whole`: it is the only one.

        Raises `AioRpcError` where there is no connection.
        """
        connection = self._connection or await self._connected()
        if connection.leaving:  # between two turns of the event loop
            raise Status(grpc.StatusCode.UNAVAILABLE, "the peer has left").error()
        if connection.full:
            raise Status(grpc.StatusCode.UNAVAILABLE, "as many calls as it takes").error()
        call = Call(connection, connection.number(), self._max_message)
        connection.streams[call.id] = call
        head = self._heads.get(path) or self._encode_head(path)
        call.send_headers(head + encode(to_fields(metadata)))
        try:
            await call.send(envelope(message), end=whole)
        except StreamEndedError:
            pass  # Whoever reads it learns why.
        except asyncio.CancelledError:
            call.cancel()
            raise
        return call

    async def close(self) -> None:
        """Close the connection; calls in flight are cancelled."""
        self._closed = True
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.wait([self._connecting])
        for connection in tuple(self._connections):
            connection.close()
            connection.abort()  # rather than wait for the last words of TLS
        if self._connections:
            await asyncio.wait([connection.over for connection in self._connections])

    def _encode_head(self, path: str) -> bytes:
        head = self._heads[path] = encode(
            [
                (b":method", b"POST"),
                (b":scheme", b"https" if self._tls else b"http"),
                (b":path", path.encode()),
                (b":authority", (self._peer_name or self._target).encode()),
                (b"te", b"trailers"),
                (b"content-type", b"application/grpc"),
            ]
        )
        return head

    async def _connected(self) -> ClientEnd:
        if self._connecting is None:
            if self._closed:
                raise _CLOSED.error()
            if self._failure and asyncio.get_running_loop().time() < self._pause_ends:
                raise self._failure.error()
            self._connecting = asyncio.create_task(self._connect())
        connecting = self._connecting
        await asyncio.wait([connecting])  # whoever leaves it leaves it to the others
        made = _CLOSED if connecting.cancelled() else connecting.result()
        if isinstance(made, Status):
            raise made.error()
        return made

    async def _connect(self) -> ClientEnd | Status:
        """Make an attempt. Returns how it failed where it did: many may wait for it, or nobody."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(_ATTEMPT):
                self._connection = await self._open()
        except (OSError, ConnectionFailure, TimeoutError) as error:
            why = "no answer in time" if isinstance(error, TimeoutError) else str(error)
            text = f"cannot reach {self._target}: {why}"
            self._failure = Status(grpc.StatusCode.UNAVAILABLE, text)
            self._pause_ends = loop.time() + self._pause
            self._pause = min(self._pause * _GROWTH, _LONGEST_PAUSE)
            return self._failure
        else:
            self._failure, self._pause = None, _FIRST_PAUSE
            return self._connection
        finally:
            self._connecting = None

    async def _open(self) -> ClientEnd:
        transport, connection = await asyncio.get_running_loop().create_connection(
            lambda: ClientEnd(self._limits, self._left),
            self._host,
            self._port,
            ssl=self._tls,
            server_hostname=self._peer_name if self._tls else None,
        )
        self._connections.add(connection)
        connection.over.add_done_callback(lambda _: self._connections.discard(connection))
        try:
            encryption = transport.get_extra_info("ssl_object")
            if encryption is not None and encryption.selected_alpn_protocol() != _PROTOCOL:
                raise ConnectionError("the peer does not speak HTTP/2")
            await connection.start()
            if connection.leaving:  # `_left` did not know it yet
                raise ConnectionError("the peer left at once")
        except BaseException:
            transport.abort()
            raise
        return connection

    def _left(self, connection: ClientEnd) -> None:
        if self._connection is connection:
            self._connection = None
