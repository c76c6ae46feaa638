"""A far side that says nothing is asked, and one that does not answer is left."""

from __future__ import annotations

import asyncio
import socket

import pytest

from sluice.http2 import frames
from sluice.http2.failure import Code, ConnectionFailure
from sluice.http2.frames import PREFACE, frame
from sluice.http2.limits import Limits
from tests.http2.wire import Wire, client, opened, server


async def answered(wire: Wire) -> None:
    """Answer the next ping."""
    ping = await wire.next(frames.PING)
    assert not ping.flags
    wire.send(frame(frames.PING, frames.ACK, 0, ping.payload))


@pytest.mark.parametrize("said", [b"", PREFACE[:5], PREFACE, PREFACE + b"\0\0\0"])
async def test_no_settings(said: bytes) -> None:
    """A client that connects, and says no more, is told that it is late."""
    async with server(Limits(handshake=0.05), said) as (near, wire):
        got = await wire.ended()
        assert got[-1].code is Code.SETTINGS_TIMEOUT
        await near.lost.wait()


async def test_no_settings_of_a_server() -> None:
    """Likewise a server; whoever waits for it learns why."""
    async with client(Limits(handshake=0.05), b"") as (end, wire):
        with pytest.raises(ConnectionFailure, match="no settings"):
            await end.start()
        assert await wire.reader.readexactly(len(PREFACE)) == PREFACE
        assert (await wire.ended())[-1].code is Code.SETTINGS_TIMEOUT


@pytest.mark.parametrize(
    ("silence", "wait"),
    [
        (0.02, 0.2),
        (0.2, 0.1),  # an answer at once is not young any more when it is looked for
    ],
)
async def test_answers(silence: float, wait: float) -> None:
    """Who answers stays, as often as it is asked."""
    async with client(Limits(keepalive=silence, keepalive_wait=wait)) as (end, wire):
        stream = opened(end)
        for _ in range(3):
            await answered(wire)
        assert not end.closed
        wire.reset(1)
        await stream.until(lambda: stream.end)


async def test_no_answer() -> None:
    """Who does not answer is left at once, and its streams end."""
    async with client(Limits(keepalive=0.02, keepalive_wait=0.02)) as (end, wire):
        stream = opened(end)
        assert (await wire.ended())[-1].kind == frames.PING
        await stream.until(lambda: stream.end)
        assert stream.end is Code.CONNECT_ERROR
        await end.over


async def test_no_answer_but_words() -> None:
    """Whatever comes is an answer; who speaks is not asked."""
    async with server(Limits(keepalive=0.05, keepalive_wait=0.05)) as (near, wire):
        ping = await wire.next(frames.PING)
        assert ping.payload
        wire.head(1)
        await wire.next(frames.PING)  # the next one: it was not left meanwhile
        assert not near.end.closed


async def test_goodbye() -> None:
    """A connection that is closed waits for a far side that does not read, and not for ever."""
    async with server(Limits(goodbye=0.05, unread=1 << 30)) as (near, wire):
        end = near.end
        kept: socket.socket = end._transport.get_extra_info("socket")
        kept.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        for _ in range(200):
            end.emit(frame(99, 0, 0, bytes(50_000)))
        end.outbox.flush()
        assert end._transport.get_write_buffer_size()
        end.close()
        await end.over
        assert not wire.reader.at_eof()  # it has read none of it


async def test_last_words() -> None:
    """What was said before the end arrives before the end."""
    async with server() as (near, wire):
        wire.head(1)
        await wire.synced()
        near.streams[1].send_headers(b"", end=True)
        near.end.close()
        assert [one.kind for one in await wire.ended()] == [frames.HEADERS]
        await asyncio.wait_for(near.lost.wait(), 10)
