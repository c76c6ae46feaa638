"""Reading bodies whole, for tests that look at what came."""

from __future__ import annotations

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
