"""Both ends know which streams are, how many may be, and how to leave without losing one."""

from __future__ import annotations

import asyncio
import gc
import socket
import weakref

import pytest

from sluice.http2 import frames
from sluice.http2.ends import ClientEnd
from sluice.http2.failure import Code, ConnectionFailure
from sluice.http2.frames import MAX_NUMBER, PREFACE, frame
from sluice.http2.limits import Limits
from tests.http2.wire import HEAD, SETTINGS, Wire, client, opened, server


def goaway(last: int, code: Code = Code.NO_ERROR) -> bytes:
    """A GOAWAY frame."""
    return frame(frames.GOAWAY, 0, 0, frames.word(last) + frames.word(code))


async def test_numbers() -> None:
    """A client's streams are odd, and each is new."""
    async with client() as (end, _):
        assert [opened(end).id for _ in range(3)] == [1, 3, 5]


async def test_the_server_goes_away() -> None:
    """Streams beyond its last are refused, the others end as they end, and then so does all."""
    left: list[ClientEnd] = []
    async with client() as (end, wire):
        end._left = left.append
        first, second = opened(end), opened(end)
        wire.send(goaway(MAX_NUMBER))
        await wire.synced()
        assert left == [end]
        assert (first.end, second.end) == (None, None)
        wire.send(goaway(1))
        await second.until(lambda: second.end)
        assert second.end is Code.REFUSED_STREAM
        assert first.alive
        await first.send(b"abc", end=True)
        wire.head(1, end=True)
        await wire.ended()
        await end.over
        assert first.end is None
        assert left == [end]


async def test_the_server_goes_away_from_nobody() -> None:
    """A connection without streams ends at once."""
    async with client() as (end, wire):
        wire.send(goaway(MAX_NUMBER))
        await end.over
        assert end.leaving


async def test_numbers_used_up() -> None:
    """The last number is given, and with its stream the connection ends."""
    left: list[ClientEnd] = []
    async with client() as (end, wire):
        end._left = left.append
        end._next = MAX_NUMBER - 2
        first = opened(end)
        assert not left
        last = opened(end)
        assert last.id == MAX_NUMBER
        assert left == [end]
        first.reset(Code.CANCEL)
        last.send_headers(HEAD, end=True)
        wire.head(last.id, end=True)
        await end.over
        assert last.end is None


async def test_full() -> None:
    """A client opens no more streams than the server takes, now."""
    async with client() as (end, wire):
        wire.send(frames.settings({3: 1}))
        await wire.synced()
        assert not end.full
        stream = opened(end)
        assert end.full
        stream.reset(Code.CANCEL)
        assert not end.full


@pytest.mark.parametrize("number", [0, 2, 3, 5])
async def test_a_server_opens_none(number: int) -> None:
    """A head of a stream that the client has not opened ends the connection."""
    async with client() as (end, wire):
        opened(end)
        wire.head(number)
        got = (await wire.ended())[-1]
        assert (got.code, frames.read_word(got.payload)) == (Code.PROTOCOL_ERROR, 0)
        await end.over


async def test_a_server_that_speaks_first() -> None:
    """Settings that are there before anything was said are answered behind the preface."""
    end = ClientEnd(Limits(), lambda _: None)
    ours, theirs = socket.socketpair()
    wire = Wire(*await asyncio.open_connection(sock=theirs))
    transport, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, sock=ours)
    end.connection_made(transport)
    end.data_received(SETTINGS)
    await end.start()
    assert await wire.reader.readexactly(len(PREFACE)) == PREFACE
    flags = [(await wire.next(frames.SETTINGS)).flags for _ in range(2)]
    assert flags == [0, frames.ACK]
    end.close()
    wire.writer.transport.abort()
    end.connection_lost(None)


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "a frame of|settings have to come first"),
        (goaway(0), "settings have to come first"),
        (SETTINGS[:5], "the connection was lost"),
        (b"", "the connection was lost"),
    ],
)
async def test_no_start(said: bytes, why: str) -> None:
    """A server that is none is known before the first call."""
    async with client(said=said) as (end, wire):
        starting = asyncio.create_task(end.start())
        wire.writer.close()
        with pytest.raises(ConnectionFailure, match=why):
            await starting


@pytest.mark.parametrize("said", [b"", goaway(0)])
async def test_no_start_leaves_nothing(said: bytes) -> None:
    """A connection that came to nothing is gone without the collector, though somebody was told."""
    gc.collect()
    gc.disable()
    try:
        async with client(said=said) as (end, wire):
            wire.writer.close()
            starting = asyncio.create_task(end.start())
            await asyncio.wait([starting])
            assert isinstance(starting.exception(), ConnectionFailure)
            await end.over
            gone = weakref.ref(end)
            del end, starting
        await asyncio.sleep(0)
        assert gone() is None
    finally:
        gc.enable()


async def test_streams_at_once() -> None:
    """One stream too many is refused, and its sender may try again, elsewhere or later."""
    async with server(Limits(streams=2)) as (near, wire):
        for number in (1, 3, 5):
            wire.head(number)
        got = await wire.next(frames.RST_STREAM)
        assert (got.stream, got.code) == (5, Code.REFUSED_STREAM)
        wire.data(5, b"which was on its way")
        assert list(near.streams) == [1, 3]
        await wire.synced()


async def test_a_reset_stream_keeps_its_place() -> None:
    """Who resets gets the place back when the work has ended, not before (CVE-2023-44487)."""
    async with server(Limits(streams=1)) as (near, wire):
        wire.head(1)
        wire.reset(1)
        wire.head(3)
        got = await wire.next(frames.RST_STREAM)
        assert (got.stream, got.code) == (3, Code.REFUSED_STREAM)
        near.end.settled(near.streams[1])
        wire.head(5)
        await wire.synced()
        assert list(near.streams) == [1, 5]


async def test_settled_without_an_end() -> None:
    """A stream that nobody answers any more is reset: nobody waits for it in vain."""
    async with server() as (near, wire):
        wire.head(1)
        await wire.synced()
        near.end.settled(near.streams[1])
        got = await wire.next(frames.RST_STREAM)
        assert (got.stream, got.code) == (1, Code.INTERNAL_ERROR)


@pytest.mark.parametrize("number", [1, 3])
async def test_a_number_again(number: int) -> None:
    """A head with a number that was is nothing: it cannot be told from trailers of what is over."""
    async with server() as (near, wire):
        wire.head(3)
        wire.reset(3)
        await wire.synced()
        near.streams.clear()
        wire.head(number)
        assert not near.streams
        await wire.synced()


async def drained(wire: Wire) -> bytes:
    """What the last call asks."""
    first = await wire.next(frames.GOAWAY)
    assert (frames.read_word(first.payload), first.code) == (MAX_NUMBER, Code.NO_ERROR)
    return (await wire.next(frames.PING)).payload


async def test_drain() -> None:
    """Streams on their way are taken, later ones are refused, and the end waits for the rest."""
    async with server() as (near, wire):
        wire.head(1)
        await wire.synced()
        near.end.drain()
        near.end.drain()  # which says no more than one
        call = await drained(wire)
        wire.head(3)  # sent before the GOAWAY was read
        await wire.synced()
        assert list(near.streams) == [1, 3]
        wire.send(frame(frames.PING, frames.ACK, 0, call))
        second = await wire.next(frames.GOAWAY)
        assert frames.read_word(second.payload) == 3
        wire.head(5)
        refused = await wire.next(frames.RST_STREAM)
        assert (refused.stream, refused.code) == (5, Code.REFUSED_STREAM)
        for number in (1, 3):
            assert not near.end.closed
            near.streams[number].send_headers(HEAD, end=True)
            near.end.settled(near.streams[number])
        got = [one for one in await wire.ended() if one.kind == frames.HEADERS]
        assert [one.stream for one in got] == [1, 3]
        await near.lost.wait()


async def test_drain_of_nothing() -> None:
    """Without streams the connection ends when the last call is answered."""
    async with server() as (near, wire):
        near.end.drain()
        wire.send(frame(frames.PING, frames.ACK, 0, await drained(wire)))
        assert [one.kind for one in await wire.ended()] == [frames.GOAWAY]
        await near.lost.wait()


async def test_drain_of_the_silent() -> None:
    """Who does not answer the last call is not waited for beyond `goodbye`."""
    async with server(Limits(goodbye=0.05)) as (near, wire):
        near.end.drain()
        await drained(wire)
        await wire.ended()
        await near.lost.wait()


async def test_drain_before_settings() -> None:
    """Who has said nothing yet has nothing on its way."""
    async with server(said=b"PRI") as (near, wire):
        near.end.drain()
        assert await wire.ended() == []


async def test_the_last_of_a_failure() -> None:
    """A failure says up to where streams were taken, those that are over included."""
    async with server() as (near, wire):
        wire.head(1)
        wire.head(3)
        wire.reset(3)
        await wire.synced()
        near.end.fail(ConnectionFailure(Code.INTERNAL_ERROR, "why"))
        got = (await wire.ended())[-1]
        assert got.payload == frames.word(3) + frames.word(Code.INTERNAL_ERROR) + b"why"
        assert near.streams[1].end is Code.INTERNAL_ERROR


async def test_the_client_goes_away() -> None:
    """A client that takes no more streams of ours, which are none, is answered to the end."""
    async with server() as (near, wire):
        wire.head(1)
        wire.send(goaway(0))
        await wire.synced()
        near.streams[1].send_headers(HEAD, end=True)
        assert (await wire.next(frames.HEADERS)).stream == 1
