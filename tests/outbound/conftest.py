"""An origin and a client for each test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack

import pytest
import uvloop
from aiohttp.abc import AbstractResolver

from services.outbound.origin.client import ClientConfig, GuardedClient
from services.outbound.origin.destination import Guard
from sluice.mesh.address_range import AddressRange
from sluice.mesh.connect_to import ConnectTo
from tests.outbound.calls import MakeClient
from tests.outbound.origins import Authority, Origins, Serve


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The loop that the services run on."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Start an origin from its connection handler; gives its port."""
    origins = Origins()
    yield origins.serve
    await origins.aclose()


@pytest.fixture
async def make_client(authority: Authority) -> AsyncIterator[MakeClient]:
    """Make a client that may reach 127.0.0.1, with the given limits."""
    async with AsyncExitStack() as clients:

        def make(
            *,
            allow: tuple[str, ...] = ("127.0.0.1",),
            connect_to: tuple[str, ...] = (),
            resolver: AbstractResolver | None = None,
            **limits: float | str | None,
        ) -> GuardedClient:
            client = GuardedClient(
                ClientConfig(**{"ca_file": authority.file} | limits),  # type: ignore[arg-type]
                Guard(tuple(map(AddressRange.parse, allow))),
                tuple(map(ConnectTo.parse, connect_to)),
                resolver=resolver,
            )
            clients.push_async_callback(client.aclose)
            return client

        yield make


@pytest.fixture
async def client(make_client: MakeClient) -> GuardedClient:
    """A client with the default limits."""
    return make_client()


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """One authority for all tests."""
    return Authority(tmp_path_factory.mktemp("authority"))
