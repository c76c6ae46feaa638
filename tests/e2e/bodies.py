"""Long bodies: sent by a client or an origin, and told apart by their digest."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator

from aiohttp import web

from tests.e2e.chain import HOST
from tests.e2e.mesh import Mesh

PIECE = 256 * 1024


async def stream(size: int) -> AsyncIterator[bytes]:
    """A body of `size` bytes. Few pieces, again and again: making them must cost nothing."""
    pieces = [
        hashlib.sha256(b"%d" % n).digest() * (PIECE // 32) for n in range(min(8, size // PIECE))
    ]
    for number in range(size // PIECE):
        yield pieces[number % len(pieces)]


async def digest(body: AsyncIterator[bytes]) -> str:
    """What tells a body from others."""
    found = hashlib.sha256()
    async for piece in body:
        found.update(piece)
    return found.hexdigest()


async def serve(request: web.Request) -> web.StreamResponse:
    """Be an origin: send as many bytes as asked for, or the digest of what comes."""
    if request.method != "GET":
        return web.Response(text=await digest(request.content.iter_any()))
    response = web.StreamResponse()
    await response.prepare(request)
    async for piece in stream(int(request.headers["x-size"])):
        await response.write(piece)
    return response


async def download(mesh: Mesh, url: str, size: int) -> str:
    """The digest of what a client gets, by the twin `sends_on`, of so many bytes at `url`."""
    headers = {"host": HOST, "x-url": url, "x-size": str(size)}
    async with mesh.session.get(mesh.http, headers=headers) as response:
        assert response.status == 200
        return await digest(response.content.iter_any())


async def upload(mesh: Mesh, url: str, size: int) -> str:
    """The digest of what the origin at `url` gets of so many bytes."""
    headers = {"host": HOST, "x-url": url}
    async with mesh.session.post(mesh.http, headers=headers, data=stream(size)) as response:
        assert response.status == 200
        return await response.text()
