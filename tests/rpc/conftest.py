"""Peers that speak gRPC, with and without TLS.

Every asynchronous test runs on both loops: uvloop, which the services use, and asyncio's own.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
import pytest_asyncio
import uvloop

from tests.rpc.peers import Certificates, Peer, Shapes, pair


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Both loops."""
    return {"uvloop": uvloop.new_event_loop, "asyncio": asyncio.new_event_loop}


@pytest.fixture(scope="session")
def certificates() -> Certificates:
    """A CA, and what it issued."""
    return Certificates()


PAIRS = [("grpcio", "ours"), ("ours", "grpcio"), ("ours", "ours")]


@pytest.fixture(params=["plaintext", "TLS"])
def tls(request: pytest.FixtureRequest, certificates: Certificates) -> Certificates | None:
    """None without TLS."""
    return certificates if request.param == "TLS" else None


@pytest_asyncio.fixture(params=PAIRS, ids=[f"{one} to {other}" for one, other in PAIRS])
async def peers(
    request: pytest.FixtureRequest, tls: Certificates | None
) -> AsyncIterator[tuple[Peer, Shapes]]:
    """A client and a server, at least one of them ours."""
    client, server = request.param
    async with pair(client, server, tls) as both:
        yield both
