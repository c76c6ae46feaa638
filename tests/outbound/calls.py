"""Requests to the guarded client, their bodies, and what comes of them."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any, TypeAlias

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from services.outbound.origin.client import GuardedClient
from sluice.wire.customer import Customer
from sluice.wire.errors import SluiceError
from sluice.wire.messages import Request, Response
from tests.bodies import read_all

ACME = Customer("production", "acme")

MakeClient: TypeAlias = Callable[..., GuardedClient]


class Pieces:
    """A request body that comes piece by piece. An exception among the pieces is raised."""

    def __init__(self, pieces: Iterable[bytes | Exception], at_hand: bytes = b"") -> None:
        self._pieces = pieces
        self._at_hand = at_hand
        self.given = 0
        self.closed = asyncio.Event()

    def take(self) -> tuple[bytes, bool]:
        return self._at_hand, False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            if isinstance(piece, Exception):
                raise piece
            self.given += len(piece)
            yield piece

    async def aclose(self) -> None:
        self.closed.set()


class Silent(Pieces):
    """A request body whose end never comes."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for piece in super().__aiter__():
            yield piece
        await asyncio.Event().wait()


class Scripted(AbstractResolver):
    """A resolver that gives the next answer at each lookup."""

    def __init__(self, *answers: list[str]) -> None:
        self._answers = list(answers)
        self.asked = 0

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        self.asked += 1
        answer = self._answers.pop(0)
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=0,
            )
            for address in answer
        ]

    async def close(self) -> None:
        pass


async def whole(response: Response) -> bytes:
    """The response's body."""
    data = await read_all(response.body, 1 << 30)
    assert data is not None
    return data


async def failure(client: GuardedClient, request: Request) -> SluiceError:
    """The error that the request ends in, before or within its response."""
    with pytest.raises(SluiceError) as caught:
        await whole(await client.send(request, ACME))
    return caught.value


def get(port: int, path: str = "/", host: str = "127.0.0.1", **more: Any) -> Request:
    """A GET request."""
    return Request("GET", f"http://{host}:{port}{path}", **more)
