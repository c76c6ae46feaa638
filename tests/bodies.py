"""Reading bodies whole, for tests that look at what came."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from sluice.wire.body import Body


async def read_all(body: Body, limit: int) -> bytes | None:
    """The whole body, or None where it is longer than `limit` bytes. Closes it."""
    data, complete = body.take()
    pieces, size = [data], len(data)
    if not complete:
        async for chunk in body:
            pieces.append(chunk)
            size += len(chunk)
            if size > limit:
                break
    await body.aclose()
    return b"".join(pieces) if size <= limit else None


class Endless:
    """A body that has no end, and knows how much of it was taken."""

    def __init__(self) -> None:
        self.taken = 0
        self.closed = asyncio.Event()

    def take(self) -> tuple[bytes, bool]:
        return b"x", False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            self.taken += 1 << 16
            yield b"x" * (1 << 16)
            await asyncio.sleep(0)

    async def aclose(self) -> None:
        self.closed.set()


class Stalled(Endless):
    """A body that stops after its first byte."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        await asyncio.Event().wait()
        yield b""
