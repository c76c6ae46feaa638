"""Customers and origins of attacks on the way out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

from services.outbound.origin.client import GuardedClient
from sluice.wire.customer import Customer
from sluice.wire.messages import Request
from tests.bodies import read_all
from tests.outbound.origins import OK, read_request

MakeClient = Callable[..., GuardedClient]

HOARDER, NEIGHBOUR = Customer("production", "hoarder"), Customer("production", "neighbour")
FEW_PLACES = {
    "max_connections": 20,
    "max_connections_per_worker": 8,
    "max_connections_per_host": 12,
    "max_websockets": 8,
    "max_websockets_per_worker": 4,
    "connect_timeout": 20,
}


class SlowOrigin:
    """Takes requests and answers none, until it is let."""

    def __init__(self) -> None:
        self.requests = 0
        self.open = 0
        self.answer = asyncio.Event()
        self.changed = asyncio.Condition()

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._count(0, 1)
        try:
            while True:
                request = await read_request(reader)
                await self._count(1, 0)
                if not request.startswith(b"GET /quick "):
                    await self.answer.wait()
                writer.write(OK)
        finally:
            self.open -= 1
            with suppress(RuntimeError):
                await self._count(0, 0)

    async def _count(self, requests: int, connections: int) -> None:
        async with self.changed:
            self.requests += requests
            self.open += connections
            self.changed.notify_all()

    async def has(self, requests: int) -> None:
        """Wait until it has so many."""
        async with asyncio.timeout(10), self.changed:
            await self.changed.wait_for(lambda: self.requests >= requests)


async def quick(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """An origin that answers."""
    while True:
        await read_request(reader)
        writer.write(OK)


def get(port: int, **more: object) -> Request:
    """A GET request."""
    return Request("GET", f"http://127.0.0.1:{port}/", **more)  # type: ignore[arg-type]


async def text(client: GuardedClient, request: Request, customer: Customer) -> bytes:
    """The body of what is answered."""
    response = await client.send(request, customer)
    return await read_all(response.body, 1 << 20) or b""


def ask(client: GuardedClient, port: int, times: int) -> list[asyncio.Task[bytes]]:
    """The hoarder asks so many times at once."""
    return [asyncio.ensure_future(text(client, get(port), HOARDER)) for _ in range(times)]
