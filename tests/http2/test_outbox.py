"""What is sent goes out together, and is never more than a peer that does not read may cost."""

from __future__ import annotations

import asyncio
import socket

import pytest

from sluice.http2 import frames
from sluice.http2.ends import ServerEnd
from sluice.http2.failure import StreamEndedError
from sluice.http2.frames import frame
from sluice.http2.limits import Limits
from tests.http2.wire import HEAD, Wire, client, opened, server

PING = frame(frames.PING, 0, 0, b"8 bytes!")


class Counting:
    """A transport that counts what it is given."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self.writes: list[bytes] = []

    def write(self, data: bytes) -> None:
        """Write it."""
        self.writes.append(data)
        self._transport.write(data)

    def __getattr__(self, name: str) -> object:
        return getattr(self._transport, name)


async def test_one_write() -> None:
    """What is said within one turn of the loop goes out in one write, in order."""
    async with client() as (end, wire):
        counting = end.outbox._transport = Counting(end._transport)  # type: ignore[assignment]

        async def call() -> None:
            await opened(end).send(b"abc", end=True)

        await asyncio.gather(*(call() for _ in range(10)))
        kinds = [(await wire.next(frames.HEADERS, frames.DATA)).kind for _ in range(20)]
        assert kinds == [frames.HEADERS, frames.DATA] * 10
        assert len(counting.writes) == 1


def few(end: ServerEnd) -> None:
    """Let the kernel keep little."""
    own: socket.socket = end._transport.get_extra_info("socket")
    own.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)


async def read_all(wire: Wire, size: int) -> int:
    """Read so many bytes of DATA."""
    while size > 0:
        size -= len((await wire.next(frames.DATA)).payload)
    return size


async def test_room() -> None:
    """Who sends more than the far side reads waits, with at most two rooms kept, and goes on."""
    limits = Limits(unsent=65_536)
    async with server(limits) as (near, wire):
        few(near.end)
        wire.send(frames.settings({4: 1 << 30}))
        wire.widen(0, 1 << 30)
        wire.head(1)
        await wire.synced()
        stream, size = near.streams[1], 16 << 20
        sending = asyncio.create_task(stream.send(bytes(size)))
        await near.end.paused.wait()
        assert near.end._transport.get_write_buffer_size() <= 2 * limits.unsent + 1000
        assert not near.end.outbox.has_room
        assert not sending.done()
        assert await read_all(wire, size) == 0
        await sending
        assert near.end.outbox.has_room


async def test_one_after_another() -> None:
    """Two who send more than there is room for both come through."""
    async with server(Limits(unsent=20_000)) as (near, wire):
        wire.send(frames.settings({4: 1 << 30}))
        wire.widen(0, 1 << 30)
        wire.head(1)
        wire.head(3)
        await wire.synced()
        sends = [near.streams[number].send(bytes(1 << 20)) for number in (1, 3)]
        sending = asyncio.gather(*sends)
        assert await read_all(wire, 2 << 20) == 0
        await sending


async def test_unread() -> None:
    """Who asks on and on, and reads no answers, is left before they cost more than `unread`."""
    limits = Limits(unsent=8192, unread=65_536)
    async with server(limits) as (near, wire):
        few(near.end)
        most = 0
        while not near.end.closed:
            wire.send(PING * 100)
            await asyncio.sleep(0)
            most = max(most, near.end._transport.get_write_buffer_size())
        assert most <= limits.unread + (1 << 18)  # and what one read of the socket asks for
        await near.lost.wait()


@pytest.mark.parametrize("how", ["reset", "closed"])
async def test_ended_while_full(how: str) -> None:
    """Who waits for room learns that there will be none."""
    async with server(Limits(unsent=8192)) as (near, wire):
        few(near.end)
        wire.send(frames.settings({4: 1 << 30}))
        wire.widen(0, 1 << 30)
        wire.head(1)
        await wire.synced()
        sending = asyncio.create_task(near.streams[1].send(bytes(32 << 20)))
        await near.end.paused.wait()
        if how == "reset":
            wire.reset(1)
        else:
            near.end.close()
        with pytest.raises(StreamEndedError):
            await sending


async def test_nothing_after_the_end() -> None:
    """What is said on a connection that is over goes nowhere, and is not kept."""
    async with client() as (end, wire):
        stream = opened(end)
        wire.writer.transport.abort()
        await end.over
        stream.send_headers(HEAD)
        end.last_call()
        end.close()
        assert not end.outbox._parts
