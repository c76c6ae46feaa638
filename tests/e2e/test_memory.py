"""Long bodies through the whole chain: nothing is kept of them but what is on its way.

`SLUICE_TEST_BODY=1GiB` in the environment makes them as long as that; 256 MiB else.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from sluice.mesh.env import Environment
from tests.e2e.accounting import processes, resident
from tests.e2e.mesh import Mesh
from tests.e2e.origin import Origin

SIZE = Environment({"SLUICE_TEST_BODY": os.environ.get("SLUICE_TEST_BODY", "256MiB")}).size(
    "TEST_BODY", "256MiB"
)
PIECE = 256 * 1024
GROWTH = 64 * 2**20
STALLED = 32 * 2**20
"""Most bytes that all buffers of the chain together may take from an origin, sockets' too."""


class Watch:
    """The most memory that each process was seen to hold, over what it held first."""

    def __init__(self, mesh: Mesh) -> None:
        self._first = {pid: resident(pid) for pid in processes(mesh)}
        self._names = processes(mesh)
        self._most = dict(self._first)

    async def __aenter__(self) -> Watch:
        self._task = asyncio.create_task(self._look())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    def growth(self) -> dict[str, int]:
        """Bytes that each process grew by."""
        return {f"{self._names[p]} {p}": self._most[p] - self._first[p] for p in self._first}

    async def _look(self) -> None:
        while True:
            for pid in self._first:
                self._most[pid] = max(self._most[pid], resident(pid))
            await asyncio.sleep(0.05)


def _pieces(size: int) -> list[bytes]:
    """Few pieces, to be sent again and again: making them must cost nothing."""
    return [
        hashlib.sha256(b"%d" % n).digest() * (PIECE // 32) for n in range(min(8, size // PIECE))
    ]


async def _stream(size: int) -> AsyncIterator[bytes]:
    pieces = _pieces(size)
    for number in range(size // PIECE):
        yield pieces[number % len(pieces)]


async def _digest(size: int) -> str:
    digest = hashlib.sha256()
    async for piece in _stream(size):
        digest.update(piece)
    return digest.hexdigest()


async def _ready(mesh: Mesh, origin: Origin) -> None:
    """Start the isolates, and let every process hold what it holds for any body."""
    await mesh.deploy(
        "long",
        f"export default {{ fetch(r) {{ return fetch(new Request('{origin.url}/', r)) }} }}",
        "production",
    )
    origin.answer = _serve
    await _download(mesh, 16 * 2**20)
    await _upload(mesh, 16 * 2**20)


async def _serve(request: web.Request) -> web.StreamResponse:
    """Send as many bytes as asked for, or the digest of what comes."""
    if request.method == "GET":
        response = web.StreamResponse()
        await response.prepare(request)
        async for piece in _stream(int(request.headers["x-size"])):
            await response.write(piece)
        return response
    digest = hashlib.sha256()
    async for piece in request.content.iter_any():
        digest.update(piece)
    return web.Response(text=digest.hexdigest())


async def _download(mesh: Mesh, size: int) -> str:
    headers = {"host": "long.example.com", "x-size": str(size)}
    digest = hashlib.sha256()
    async with mesh.session.get(mesh.http, headers=headers) as response:
        assert response.status == 200
        async for piece in response.content.iter_any():
            digest.update(piece)
    return digest.hexdigest()


async def _upload(mesh: Mesh, size: int) -> str:
    headers = {"host": "long.example.com"}
    async with mesh.session.post(mesh.http, headers=headers, data=_stream(size)) as response:
        assert response.status == 200
        return await response.text()


@pytest.mark.timeout(900)
async def test_long_response(mesh: Mesh, origin: Origin) -> None:
    """A long response arrives whole, and no process grows by 64 MiB for it."""
    await _ready(mesh, origin)
    async with Watch(mesh) as watch:
        assert await _download(mesh, SIZE) == await _digest(SIZE)
    assert max(watch.growth().values()) < GROWTH, watch.growth()


@pytest.mark.timeout(900)
async def test_long_upload(mesh: Mesh, origin: Origin) -> None:
    """So does a long upload."""
    await _ready(mesh, origin)
    async with Watch(mesh) as watch:
        assert await _upload(mesh, SIZE) == await _digest(SIZE)
    assert max(watch.growth().values()) < GROWTH, watch.growth()


async def test_stalled_reader(mesh: Mesh, origin: Origin) -> None:
    """A client that reads no more stalls the origin's writer, and reads the rest when it likes."""
    await _ready(mesh, origin)
    sent, moved = 0, asyncio.Event()

    async def serve(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse()
        await response.prepare(request)
        async for piece in _stream(2 * STALLED):
            await response.write(piece)
            sent += len(piece)
            moved.set()
        return response

    async def stalled() -> None:
        """Wait until nothing has moved for a second."""
        while True:
            moved.clear()
            try:
                await asyncio.wait_for(moved.wait(), 1)
            except TimeoutError:
                return

    origin.answer = serve
    async with mesh.session.get(mesh.http, headers={"host": "long.example.com"}) as response:
        await asyncio.wait_for(stalled(), 20)
        assert 0 < sent < STALLED
        digest = hashlib.sha256()
        async for piece in response.content.iter_any():
            digest.update(piece)
    assert digest.hexdigest() == await _digest(2 * STALLED)
