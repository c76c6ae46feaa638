"""The guarded HTTP client: the only way from a Worker to the internet.

Connections, their pool, TLS and the parsing of responses are aiohttp's. Its `ClientSession` is not
used: what it sends is not quite what it was given (`request_head` says where), and it has one
timeout for head and body and none for an upload.
"""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass
from functools import lru_cache
from math import inf
from typing import NamedTuple
from weakref import WeakSet

from aiohttp import (
    ClientOSError,
    ClientRequest,
    ClientTimeout,
    ServerDisconnectedError,
    StreamReader,
    TCPConnector,
)
from aiohttp.abc import AbstractResolver
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection, SocketFactoryType
from aiohttp.http import RawResponseMessage
from yarl import URL

from services.outbound import request_head, response_head, upload, websocket
from services.outbound.connect_to import ConnectTo, find
from services.outbound.destination import Guard
from services.outbound.exchange import Exchange, OriginBody
from services.outbound.failure import EXPECTED, no_response
from services.outbound.request_head import CHUNKED
from services.outbound.resolver import Resolver
from sluice.http1 import handshake
from sluice.wire.errors import Reason, SluiceError
from sluice.wire.messages import Request, Response, has_body
from sluice.wire.websocket import MAX_MESSAGE

READ_BUFFER = 64 * 1024
"""The origin is paused where twice as many bytes of a body wait for their reader."""

DESTINATIONS = 1024
"""Origins of which the client remembers how they are reached. No address is among that."""

MAX_HEADERS = 256
"""Most headers of a response."""

IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})
"""RFC 9110 section 9.2.2."""


@dataclass(frozen=True, slots=True)
class ClientConfig:
    """Limits of the client. Times are in seconds."""

    connect_timeout: float = 10.0
    """For an open connection: a free place in the pool, DNS, TCP and TLS."""
    first_byte_timeout: float = 60.0
    """From the request's last byte to the end of the response's head."""
    idle_timeout: float = 60.0
    """Between two pieces of a body, either way."""
    max_connections: int = 1000
    max_connections_per_host: int = 100
    max_websockets: int = 1000
    """Each has a connection of its own, apart from the other two limits."""
    max_message: int = MAX_MESSAGE
    """Most bytes of one WebSocket message."""
    max_response_head: int = 128 * 1024
    """Most bytes of a response's headers; a single one may have a quarter of them."""
    dns_ttl: int = 10
    """How long an answer of the resolver is used."""
    ca_file: str | None = None
    """PEM file with the only roots to trust. None: the system's."""


class Destination(NamedTuple):
    """Where a request goes."""

    host: str
    """For messages."""
    is_redirected: bool
    """Whether the operator named the address, by `connect_to`."""
    initiator: ClientRequest
    """What aiohttp's connector wants to know: address, port, whether TLS, and the name in it."""


class Pools(NamedTuple):
    """Connections of one kind of traffic."""

    guarded: TCPConnector
    redirected: TCPConnector
    """It only ever connects to the targets of `connect_to`, which the operator has named."""


class GuardedClient:
    """Sends requests to origins. Made within the running loop, ended by `aclose`."""

    def __init__(
        self,
        config: ClientConfig,
        guard: Guard,
        connect_to: tuple[ConnectTo, ...] = (),
        *,
        resolver: AbstractResolver | None = None,
    ) -> None:
        self._config = config
        self._connect_to = connect_to
        self._resolver = resolver or Resolver()
        self._timeout = ClientTimeout(connect=config.connect_timeout, ceil_threshold=inf)
        tls = ssl.create_default_context(cafile=config.ca_file)
        tls.set_alpn_protocols(["http/1.1"])
        # A WebSocket keeps its place for hours, and may not take it from a request.
        self._for_requests, self._for_websockets = (
            Pools(
                self._connector(tls, guard.socket_factory, *limits),
                self._connector(tls, None, *limits),
            )
            for limits in (
                (config.max_connections, config.max_connections_per_host),
                (config.max_websockets, 0),
            )
        )
        # What aiohttp wants to know about an origin is worked out once for it.
        self._destination = lru_cache(maxsize=DESTINATIONS)(self._find_destination)
        self._used: WeakSet[ResponseHandler] = WeakSet()
        self._exchanges: WeakSet[Exchange] = WeakSet()
        self._uploads: set[asyncio.Task[None]] = set()
        self._closed = False

    def _connector(
        self,
        tls: ssl.SSLContext,
        socket_factory: SocketFactoryType | None,
        limit: int,
        limit_per_host: int,
    ) -> TCPConnector:
        return TCPConnector(
            ssl=tls,
            socket_factory=socket_factory,
            resolver=self._resolver,
            ttl_dns_cache=self._config.dns_ttl,
            limit=limit,
            limit_per_host=limit_per_host,
        )

    async def send(self, request: Request) -> Response:
        """The response to `request`, its body still to come, or its WebSocket open.

        Raises `SluiceError` where there is none. The caller reads the response's body to its end or
        closes it; until then the rest of the request's body is sent. Cancelling closes the
        connection to the origin. Where this raises, the caller closes the request's body.
        """
        location = request_head.locate(request.url)
        destination = self._destination(location.scheme, location.authority)
        data, complete = request.body.take()
        key = handshake.new_key() if request.websocket else None
        if key is None:
            framing = request_head.framing(request, data, complete)
        else:
            framing = handshake.request_lines(key)
        start = request_head.head(request, location, framing)
        start += upload.framed(data, chunked=framing is CHUNKED)
        left = None if request.content_length is None else request.content_length - len(data)
        resendable = complete and request.method in IDEMPOTENT
        while True:
            exchange, is_reused = await self._open(destination, request)
            try:
                exchange.write(start)
                if complete:
                    exchange.await_head()
                else:
                    self._keep(exchange.upload(request.body, left))
                message, content = await exchange.head()
                if key is not None and message.code == 101:
                    return self._opened(exchange, message, key)
                return self._response(exchange, request.method, message, content)
            except EXPECTED as error:
                exchange.abort()
                # An idle connection may be closed by the origin just as the request is sent.
                is_stale = is_reused and isinstance(error, ServerDisconnectedError | ClientOSError)
                if not (is_stale and resendable):
                    raise self._failure(error, destination.host) from error
            except BaseException:
                exchange.abort()
                raise

    def _find_destination(self, scheme: str, authority: str) -> Destination:
        url, host, port = request_head.origin(scheme, authority)
        loop = asyncio.get_running_loop()
        entry = find(self._connect_to, host, port)
        if entry is None:
            return Destination(host, False, ClientRequest("GET", url, loop=loop))
        target = URL.build(scheme=scheme, host=entry.to_host or host, port=entry.to_port or port)
        # The TLS name is part of the pool's key: no other request gets such a connection.
        initiator = ClientRequest("GET", target, loop=loop, server_hostname=host)
        return Destination(host, bool(entry.to_host), initiator)

    async def _open(self, destination: Destination, request: Request) -> tuple[Exchange, bool]:
        """A connection, ready for `request`, and whether it has served others before."""
        pools = self._for_websockets if request.websocket else self._for_requests
        connection, protocol = await self._connect(destination, pools)
        config = self._config
        protocol.set_response_params(
            skip_payload=request.method == "HEAD",
            read_until_eof=True,
            auto_decompress=False,
            read_timeout=config.idle_timeout,
            read_bufsize=READ_BUFFER,
            timeout_ceil_threshold=inf,
            max_line_size=config.max_response_head // 4,
            max_field_size=config.max_response_head // 4,
            max_headers=MAX_HEADERS,
        )
        is_reused = protocol in self._used
        if not is_reused:
            self._used.add(protocol)
            if protocol.closed is not None:
                protocol.closed.add_done_callback(_retrieve)
        exchange = Exchange(
            connection,
            protocol,
            destination.host,
            first_byte_timeout=config.first_byte_timeout,
            idle_timeout=config.idle_timeout,
        )
        self._exchanges.add(exchange)
        return exchange, is_reused

    async def _connect(
        self, destination: Destination, pools: Pools
    ) -> tuple[Connection, ResponseHandler]:
        host, is_redirected, initiator = destination
        connector = pools.redirected if is_redirected else pools.guarded
        while True:
            if self._closed:
                raise _stopping()
            try:
                connection = await connector.connect(initiator, [], self._timeout)
            except TimeoutError as error:
                raise SluiceError(
                    Reason.RESPONSE_TIMEOUT,
                    f"{host} did not accept a connection within {self._timeout.connect:g} s",
                    host=host,
                ) from error
            except EXPECTED as error:
                raise self._failure(error, host) from error
            protocol = connection.protocol
            if protocol is not None and not protocol.should_close:
                return connection, protocol
            # What an origin said before it was asked would answer this request.
            connection.close()
            if protocol not in self._used:
                raise SluiceError(
                    Reason.INVALID_RESPONSE, f"{host} spoke before it was asked", host=host
                )

    def _response(
        self, exchange: Exchange, method: str, message: RawResponseMessage, content: StreamReader
    ) -> Response:
        response = response_head.response(message, self._config.max_response_head, exchange.host)
        if response.content_length == 0 or not has_body(method, response.status):
            exchange.release()
        else:
            until_close = not message.chunked and response.content_length is None
            response.body = OriginBody(exchange, content, until_close=until_close)
        return response

    def _opened(self, exchange: Exchange, message: RawResponseMessage, key: bytes) -> Response:
        """The response that opens a WebSocket."""
        websocket.check(message, key, exchange.host)
        limit = self._config.max_response_head
        response = response_head.response(message, limit, exchange.host, switches=True)
        response.websocket = websocket.on(exchange, self._config.max_message)
        return response

    def _failure(self, error: BaseException, host: str) -> SluiceError:
        return _stopping() if self._closed else no_response(error, host)

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._uploads.add(task)
        task.add_done_callback(self._uploads.discard)

    async def aclose(self) -> None:
        """Close all connections. What is in flight is cut short."""
        self._closed = True
        for exchange in list(self._exchanges):
            exchange.abort()
        await asyncio.gather(*self._uploads, return_exceptions=True)
        for connector in (*self._for_requests, *self._for_websockets):
            await connector.close()
        await self._resolver.close()


def _stopping() -> SluiceError:
    return SluiceError(Reason.SERVICE_UNAVAILABLE, "the outbound service is stopping")


def _retrieve(closed: asyncio.Future[None]) -> None:
    """Look at how a connection ended. asyncio logs an error that nobody has looked at."""
    if not closed.cancelled():
        closed.exception()
