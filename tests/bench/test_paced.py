"""Customers who ask at a steady pace."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from bench import paced

INTERVAL = 0.05


@pytest.fixture
async def port() -> AsyncIterator[int]:
    """A server that is slow to answer the first request of a host, and refuses one host."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        wait = 3 * INTERVAL
        while head := await reader.readuntil(b"\r\n\r\n"):
            await asyncio.sleep(wait)
            status = b"503" if b"host: refused" in head else b"200"
            writer.write(b"HTTP/1.1 %b x\r\ntransfer-encoding: chunked\r\n\r\n" % status)
            writer.write(b"2\r\nhi\r\n0\r\n\r\n")
            wait = 0

    async def until_the_end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        except asyncio.IncompleteReadError:
            writer.close()

    server = await asyncio.start_server(until_the_end, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()


async def test_latencies_count_from_when_they_were_due(port: int) -> None:
    """What waits behind one slow answer is slow as well."""
    seen = await paced.run(port, 4 * INTERVAL, INTERVAL, ["a"])
    assert seen.failures == []
    first, second, *_ = seen.latencies
    assert len(seen.latencies) == 4
    assert first >= 3 * INTERVAL
    assert first > second > INTERVAL


async def test_an_answer_other_than_200_has_failed(port: int) -> None:
    """Each is named."""
    seen = await paced.run(port, 2 * INTERVAL, INTERVAL, ["a", "refused"])
    assert seen.failures == ["status 503"] * 2
