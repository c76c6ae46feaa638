"""Bodies through all three Workers, as their bytes come."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web

from tests.e2e.bodies import digest, download, serve, stream, upload
from tests.e2e.chain import HOST, Chain
from tests.e2e.origin import Origin

SIZE = 8 * 2**20
STALLED = 32 * 2**20
"""Most bytes that all buffers of the chain together may take from an origin, sockets' too."""

QUIET = 0.3
"""Seconds without a byte after which a body is stalled."""


@pytest_asyncio.fixture(loop_scope="session")
async def streaming(chain: Chain, origin: Origin) -> Chain:
    """A chain that sends requests on to an origin of long bodies."""
    await chain.user("sends_on")
    origin.answer = serve
    return chain


async def test_long_response(streaming: Chain, origin: Origin) -> None:
    """A long response arrives whole."""
    assert await download(streaming.mesh, origin.url, SIZE) == await digest(stream(SIZE))


async def test_long_upload(streaming: Chain, origin: Origin) -> None:
    """So does a long upload."""
    assert await upload(streaming.mesh, origin.url, SIZE) == await digest(stream(SIZE))


async def test_stalled_reader(streaming: Chain, origin: Origin) -> None:
    """A client that reads no more stalls the origin's writer, and reads the rest when it likes."""
    mesh = streaming.mesh
    size = STALLED + SIZE
    sent, moved = 0, asyncio.Event()

    async def flood(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse()
        await response.prepare(request)
        async for piece in stream(size):
            await response.write(piece)
            sent += len(piece)
            moved.set()
        return response

    async def stalled() -> None:
        """Wait until nothing has moved for a while."""
        while True:
            moved.clear()
            try:
                await asyncio.wait_for(moved.wait(), QUIET)
            except TimeoutError:
                return

    origin.answer = flood
    headers = {"host": HOST, "x-url": origin.url}
    async with mesh.session.get(mesh.http, headers=headers) as response:
        await asyncio.wait_for(stalled(), 20)
        assert 0 < sent < STALLED
        assert await digest(response.content.iter_any()) == await digest(stream(size))


async def test_chunks_as_they_come(streaming: Chain, origin: Origin) -> None:
    """A client has the first chunk of a response before the origin writes the second."""
    has_first = asyncio.Event()

    async def dribble(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"first")
        await has_first.wait()
        await response.write(b"second")
        return response

    origin.answer = dribble
    headers = {"host": HOST, "x-url": origin.url}
    mesh = streaming.mesh
    async with asyncio.timeout(20), mesh.session.get(mesh.http, headers=headers) as response:
        assert await response.content.readexactly(5) == b"first"
        has_first.set()
        assert await response.content.read() == b"second"


async def test_body_cut_short(streaming: Chain, origin: Origin) -> None:
    """A response that breaks off at the origin breaks off at the client: it never ends cleanly."""
    has_some = asyncio.Event()

    async def break_off(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"some")
        await has_some.wait()
        assert request.transport is not None
        request.transport.abort()
        return response

    origin.answer = break_off
    headers = {"host": HOST, "x-url": origin.url}
    mesh = streaming.mesh
    async with asyncio.timeout(20), mesh.session.get(mesh.http, headers=headers) as response:
        assert await response.content.readexactly(4) == b"some"
        has_some.set()
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.content.read()
