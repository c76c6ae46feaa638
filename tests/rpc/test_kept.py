"""What was closed is gone without the collector."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Iterator

import grpc
import pytest

from sluice.rpc.link import Link
from tests.rpc.peers import HOST, MOST, our_server, path, serving


@pytest.fixture
def uncollected() -> Iterator[None]:
    """No collector."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("uncollected")
async def test_a_server() -> None:
    """A server that has stopped is gone, though its listener was of its methods."""
    server = our_server()
    await server.start(HOST, 0)
    await server.stop(1)
    gone = weakref.ref(server)
    del server
    await asyncio.sleep(0)
    assert gone() is None


@pytest.mark.usefixtures("uncollected")
async def test_a_link() -> None:
    """A link that was called, and is closed."""
    async with serving("ours") as (port, _):
        link = Link(HOST, port, MOST)
        call = await link.call(path("unary"), (), b"x", whole=True)
        assert await call.read() == b"x"
        await link.close()
        gone = weakref.ref(link)
        del link, call
        await asyncio.sleep(0)
        assert gone() is None


@pytest.mark.usefixtures("uncollected")
async def test_a_link_to_nobody() -> None:
    """A link to a peer that accepts, and leaves: the reason keeps no connection."""
    server = await asyncio.start_server(lambda _, writer: writer.close(), HOST)
    link = Link(HOST, server.sockets[0].getsockname()[1], MOST)
    calling = asyncio.create_task(link.call("/a", (), b"x"))
    await asyncio.wait([calling])
    assert isinstance(calling.exception(), grpc.aio.AioRpcError)
    await link.close()
    server.close()
    gone = weakref.ref(link)
    del link, calling
    await asyncio.sleep(0)
    assert gone() is None
