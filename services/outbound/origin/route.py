"""How an origin is reached, for one customer."""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple

from aiohttp import ClientRequest
from aiohttp.client_reqrep import ConnectionKey
from yarl import URL

from services.outbound.origin.request_head import origin
from sluice.mesh.connect_to import ConnectTo, find
from sluice.wire.customer import Customer

Address = tuple[str, int]
"""Host, as a name or an address, and port."""


class Route(NamedTuple):
    """Where a request goes."""

    host: str
    """For messages."""
    address: Address
    """What is connected to."""
    is_redirected: bool
    """Whether the operator named the address, by `connect_to`."""
    initiator: Initiator
    """What aiohttp's connector wants to know: address, port, whether TLS, and the name in it."""


class Initiator(ClientRequest):
    """Opens connections that are one customer's.

    Who shares a connection shares what an origin makes of the bytes on it. One that takes a body
    for the next request would give the answer to another customer.
    """

    def __init__(self, url: URL, customer: Customer, **more: Any) -> None:
        super().__init__("GET", url, loop=asyncio.get_running_loop(), **more)
        # aiohttp only compares it. The field is that of a proxy, of which there is none.
        self._key = super().connection_key._replace(proxy_headers_hash=customer)  # type: ignore[arg-type]

    @property
    def connection_key(self) -> ConnectionKey:
        """What two requests must have in common to use one connection."""
        return self._key


def find_route(
    connect_to: tuple[ConnectTo, ...], customer: Customer, scheme: str, authority: str
) -> Route:
    """The way to `authority`. Raises `INVALID_REQUEST` where there can be none."""
    url, host, port = origin(scheme, authority)
    entry = find(connect_to, host, port)
    if entry is None:
        return Route(host, (host, port), False, Initiator(url, customer))
    address = entry.to_host or host, entry.to_port or port
    target = URL.build(scheme=scheme, host=address[0], port=address[1])
    # The TLS name is part of the pool's key: no other request gets such a connection.
    initiator = Initiator(target, customer, server_hostname=host)
    return Route(host, address, bool(entry.to_host), initiator)
