"""Connections to origins of one kind of traffic, shared out among customers."""

from __future__ import annotations

import asyncio
import ssl
from collections import Counter
from dataclasses import dataclass
from functools import partial
from math import inf
from typing import Any, NamedTuple
from weakref import WeakSet

from aiohttp import ClientTimeout, TCPConnector
from aiohttp.abc import AbstractResolver
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection

from services.outbound.origin.destination import Guard
from services.outbound.origin.names import asking
from services.outbound.origin.route import Address, Route
from sluice.wire.customer import Customer
from sluice.wire.errors import Reason, SluiceError
from sluice.wire.places import Bounds, Places

MAX_WAITING = 1000
"""Most requests of one customer that wait for a connection, or for one to the same host."""


@dataclass(frozen=True, slots=True)
class Share:
    """How many connections there may be."""

    total: int
    each: int
    """Of one customer."""
    host: int
    """To one host and port."""


class Held(NamedTuple):
    """A connection in use."""

    connection: Connection
    protocol: ResponseHandler
    is_reused: bool
    """Whether it has served others before."""


class Connector(TCPConnector):
    """aiohttp's connector, with a time for the TLS handshake alone."""

    def __init__(self, *, tls_timeout: float, **options: Any) -> None:
        super().__init__(limit=0, use_dns_cache=False, **options)
        self._tls_timeout = tls_timeout

    async def _wrap_create_connection(self, *args: Any, **options: Any) -> Any:
        if options.get("ssl"):
            # aiohttp passes it on to the loop, and has no setting for it.
            options["ssl_handshake_timeout"] = self._tls_timeout
        return await super()._wrap_create_connection(*args, **options)


class Pool:
    """Opens connections, hands them out, and keeps those that are idle for a while."""

    def __init__(
        self,
        share: Share,
        guard: Guard,
        resolver: AbstractResolver,
        tls: ssl.SSLContext,
        *,
        connect_timeout: float,
        tls_timeout: float,
    ) -> None:
        self._share = share
        self._timeout = connect_timeout
        self._guarded, self._redirected = (
            Connector(ssl=tls, resolver=resolver, socket_factory=factory, tls_timeout=tls_timeout)
            for factory in (guard.socket_factory, None)
        )
        self._whole_timeout = ClientTimeout(connect=connect_timeout, ceil_threshold=inf)
        self._of_host = self._bounds(share.host)
        self._places = _places(self._bounds(share.total), "connections")
        self._hosts: dict[Address, Places[Customer]] = {}
        self._used: WeakSet[ResponseHandler] = WeakSet()
        self._open = 0
        self._open_by: Counter[Customer] = Counter()

    async def connect(self, route: Route, customer: Customer) -> Held:
        """A connection, once there is a place for it. Its end or release gives the place back.

        Raises `LOAD_SHED` where there is no place in time, and what aiohttp raises.
        """
        deadline = asyncio.get_running_loop().time() + self._timeout
        await self._take(customer, route.address, deadline)
        try:
            held = await self._connected(route, customer, deadline)
        except BaseException:
            self._give_back(customer, route.address)
            raise
        held.connection.add_callback(partial(self._over, held.protocol, customer, route.address))
        return held

    async def _take(self, customer: Customer, address: Address, deadline: float) -> None:
        await self._places.take(customer)
        try:
            places = self._hosts.get(address)
            if places is None:
                places = self._hosts[address] = _places(self._of_host, "connections to this host")
            await places.take(customer, deadline - asyncio.get_running_loop().time())
        except BaseException:
            self._forget(address)
            self._places.give(customer)
            raise

    def _bounds(self, total: int) -> Bounds:
        return Bounds(
            total=total,
            each=min(self._share.each, total),
            yields=True,
            queue_each=MAX_WAITING,
            wait=self._timeout,
        )

    def _give_back(self, customer: Customer, address: Address) -> None:
        self._hosts[address].give(customer)
        self._forget(address)
        self._places.give(customer)

    def _forget(self, address: Address) -> None:
        """Forget a host that nobody is connected to."""
        places = self._hosts[address]
        if not places.taken and not places.queued:
            del self._hosts[address]

    def _over(self, protocol: ResponseHandler, customer: Customer, address: Address) -> None:
        """A connection is given back, to be kept for another request unless there are too many."""
        if self._open > self._share.total or self._open_by[customer] > self._share.each:
            protocol.force_close()
        self._give_back(customer, address)

    async def _connected(self, route: Route, customer: Customer, deadline: float) -> Held:
        connector = self._redirected if route.is_redirected else self._guarded
        asking.set(customer)
        while True:
            try:
                connection = await connector.connect(route.initiator, [], self._left(deadline))
            except TimeoutError as error:
                raise SluiceError(
                    Reason.RESPONSE_TIMEOUT,
                    f"{route.host} did not accept a connection within {self._timeout:g} s",
                    host=route.host,
                ) from error
            protocol = connection.protocol
            is_reused = protocol in self._used
            if protocol is not None and not is_reused:
                self._opened(protocol, customer)
            if protocol is not None and not protocol.should_close:
                return Held(connection, protocol, is_reused)
            # What an origin said before it was asked would answer this request.
            connection.close()
            if not is_reused:
                raise SluiceError(
                    Reason.INVALID_RESPONSE,
                    f"{route.host} spoke before it was asked",
                    host=route.host,
                )

    def _left(self, deadline: float) -> ClientTimeout:
        left = deadline - asyncio.get_running_loop().time()
        if left > 0.99 * self._timeout:  # it has not waited; a new one costs more than all the rest
            return self._whole_timeout
        return ClientTimeout(connect=max(left, 0.001), ceil_threshold=inf)

    def _opened(self, protocol: ResponseHandler, customer: Customer) -> None:
        self._used.add(protocol)
        if protocol.closed is not None:
            self._open += 1
            self._open_by[customer] += 1
            protocol.closed.add_done_callback(partial(self._closed, customer))

    def _closed(self, customer: Customer, closed: asyncio.Future[None]) -> None:
        self._open -= 1
        self._open_by[customer] -= 1
        if not self._open_by[customer]:
            del self._open_by[customer]
        if not closed.cancelled():
            closed.exception()  # asyncio logs an error that nobody has looked at

    async def aclose(self) -> None:
        """Close all connections."""
        await self._guarded.close()
        await self._redirected.close()


def _places(bounds: Bounds, what: str) -> Places[Customer]:
    return Places(bounds, Reason.LOAD_SHED, what)
