"""The guarded HTTP client: the only way from a Worker to the internet.

Connections, their pool, TLS and the parsing of responses are aiohttp's. Its `ClientSession` is not
used: what it sends is not quite what it was given (`request_head` says where), and it has one
timeout for head and body and none for an upload.
"""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass
from functools import lru_cache, partial
from math import inf
from weakref import WeakSet

from aiohttp import ClientOSError, ServerDisconnectedError, StreamReader
from aiohttp.abc import AbstractResolver
from aiohttp.http import RawResponseMessage

from services.outbound.origin import request_head, response_head, upload, websocket
from services.outbound.origin.destination import Guard
from services.outbound.origin.exchange import Exchange, OriginBody
from services.outbound.origin.failure import EXPECTED, no_response
from services.outbound.origin.names import Names
from services.outbound.origin.pool import MAX_WAITING, Held, Pool, Share
from services.outbound.origin.request_head import CHUNKED
from services.outbound.origin.resolver import Resolver
from services.outbound.origin.route import Route, find_route
from sluice.http1 import handshake
from sluice.mesh.connect_to import ConnectTo
from sluice.wire.customer import Customer
from sluice.wire.errors import Reason, SluiceError
from sluice.wire.messages import Request, Response, has_body
from sluice.wire.places import Bounds, Places
from sluice.wire.websocket import MAX_MESSAGE

READ_BUFFER = 64 * 1024
"""The origin is paused where twice as many bytes of a body wait for their reader."""

ROUTES = 4096
"""Routes that the client remembers, each an origin's for one customer. No address is in them."""

MAX_HEADERS = 256
"""Most headers of a response."""

IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})
"""RFC 9110 section 9.2.2."""


@dataclass(frozen=True, slots=True)
class ClientConfig:
    """Limits of the client. Times are in seconds."""

    connect_timeout: float = 10.0
    """For an open connection: a free place in the pool, DNS, TCP and TLS."""
    dns_timeout: float = 5.0
    """For the answer of the resolver, and a free place among those who ask it."""
    tls_timeout: float = 5.0
    """For the TLS handshake with one address."""
    first_byte_timeout: float = 60.0
    """From the request's last byte to the end of the response's head."""
    idle_timeout: float = 60.0
    """Between two pieces of a body, either way."""
    max_connections: int = 1000
    max_connections_per_worker: int = 100
    max_connections_per_host: int = 250
    max_websockets: int = 1000
    """Each has a connection of its own, apart from the limits above."""
    max_websockets_per_worker: int = 250
    max_lookups: int = 128
    """Each has a thread."""
    max_lookups_per_worker: int = 16
    max_message: int = MAX_MESSAGE
    """Most bytes of one WebSocket message."""
    max_response_head: int = 128 * 1024
    """Most bytes of a response's headers; a single one may have a quarter of them."""
    dns_ttl: int = 10
    """How long an answer of the resolver is used."""
    ca_file: str | None = None
    """PEM file with the only roots to trust. None: the system's."""


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
        self._names = Names(
            resolver or Resolver(),
            Places(_lookups(config), Reason.LOAD_SHED, "DNS lookups"),
            timeout=config.dns_timeout,
            ttl=config.dns_ttl,
        )
        tls = ssl.create_default_context(cafile=config.ca_file)
        tls.set_alpn_protocols(["http/1.1"])
        each, host = config.max_connections_per_worker, config.max_connections_per_host
        sockets, sockets_each = config.max_websockets, config.max_websockets_per_worker
        # A WebSocket keeps its place for hours, and may not take it from a request.
        self._for_requests, self._for_websockets = (
            Pool(
                share,
                guard,
                self._names,
                tls,
                connect_timeout=config.connect_timeout,
                tls_timeout=config.tls_timeout,
            )
            for share in (
                Share(config.max_connections, each, host),
                Share(sockets, sockets_each, sockets),
            )
        )
        # What aiohttp wants to know about an origin is worked out once for it.
        self._route = lru_cache(maxsize=ROUTES)(partial(find_route, connect_to))
        self._exchanges: WeakSet[Exchange] = WeakSet()
        self._uploads: set[asyncio.Task[None]] = set()
        self._closed = False

    async def send(self, request: Request, customer: Customer) -> Response:
        """The response to `request`, its body still to come, or its WebSocket open.

        Raises `SluiceError` where there is none. The caller reads the response's body to its end or
        closes it; until then the rest of the request's body is sent. Cancelling closes the
        connection to the origin. Where this raises, the caller closes the request's body.
        """
        location = request_head.locate(request.url)
        route = self._route(customer, location.scheme, location.authority)
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
            exchange, is_reused = await self._open(route, request, customer)
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
                    raise self._failure(error, route.host) from error
            except BaseException:
                exchange.abort()
                raise

    async def _open(
        self, route: Route, request: Request, customer: Customer
    ) -> tuple[Exchange, bool]:
        """A connection, ready for `request`, and whether it has served others before."""
        pool = self._for_websockets if request.websocket else self._for_requests
        connection, protocol, is_reused = await self._connect(pool, route, customer)
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
        exchange = Exchange(
            connection,
            protocol,
            route.host,
            first_byte_timeout=config.first_byte_timeout,
            idle_timeout=config.idle_timeout,
        )
        self._exchanges.add(exchange)
        return exchange, is_reused

    async def _connect(self, pool: Pool, route: Route, customer: Customer) -> Held:
        if self._closed:
            raise _stopping()
        try:
            return await pool.connect(route, customer)
        except EXPECTED as error:
            raise self._failure(error, route.host) from error

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
        await self._for_requests.aclose()
        await self._for_websockets.aclose()
        await self._names.close()


def _stopping() -> SluiceError:
    return SluiceError(Reason.SERVICE_UNAVAILABLE, "the outbound service is stopping")


def _lookups(config: ClientConfig) -> Bounds:
    return Bounds(
        total=config.max_lookups,
        each=config.max_lookups_per_worker,
        yields=True,
        queue_each=MAX_WAITING,
        wait=config.dns_timeout,
    )
