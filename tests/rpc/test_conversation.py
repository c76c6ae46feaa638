"""Messages that have come are counted until they are whole, and no longer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import grpc

from sluice.http2.fields import encode
from sluice.http2.frames import PREFACE
from sluice.rpc.envelope import envelope
from tests.http2.wire import SETTINGS, Wire
from tests.rpc.peers import HOST, SERVICE, our_server, path

MANY = 1000  # more than are taken apart at once


async def test_small_messages_are_counted_until_they_are_read() -> None:
    """Bytes of messages that wait to be taken apart are unfinished no more when they are read."""
    read, go_on = asyncio.Event(), asyncio.Event()

    async def reads(requests: AsyncIterator[bytes], _: object) -> bytes:
        for _count in range(MANY):
            await anext(requests)
        read.set()
        await go_on.wait()
        return b""

    server = our_server()
    handler = grpc.stream_unary_rpc_method_handler(reads)
    server.add_registered_method_handlers(SERVICE, {"reads": handler})
    wire = Wire(*await asyncio.open_connection(HOST, await server.start(HOST, 0)))
    head = {":method": "POST", ":path": path("reads"), "content-type": "application/grpc"}
    wire.send(PREFACE, SETTINGS)
    wire.head(1, block=encode([(name.encode(), value.encode()) for name, value in head.items()]))
    wire.data(1, envelope(b"") * MANY)
    await read.wait()
    counted = [connection.unfinished for connection in server._connections]
    go_on.set()
    wire.writer.transport.abort()
    await server.stop(1)
    assert counted == [0]
