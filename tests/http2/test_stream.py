"""Sending: never more than either window, all of it in the end, and nobody waits for others."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sluice.http2 import frames
from sluice.http2.failure import Code, StreamEndedError
from sluice.http2.frames import frame
from sluice.http2.limits import Limits
from sluice.http2.settings import DEFAULT_WINDOW
from tests.http2.wire import Wire, client, opened, server

FIRST = DEFAULT_WINDOW


def window(size: int) -> bytes:
    """SETTINGS of an initial window."""
    return frames.settings({4: size})


async def arrived(wire: Wire, number: int) -> bytes:
    """What has come of a stream's data, when nothing more is on its way."""
    got = await wire.synced()
    return b"".join(one.payload for one in got if one.kind == frames.DATA and one.stream == number)


async def test_stream_window() -> None:
    """A sender stops at the window of its stream, goes on by so much as it is opened, and ends."""
    data = bytes(range(256)) * 400
    async with client() as (end, wire):
        wire.widen(0, 1 << 20)
        stream = opened(end)
        sending = asyncio.create_task(stream.send(data, end=True))
        assert await arrived(wire, 1) == data[:FIRST]
        wire.widen(1, 1000)
        assert await arrived(wire, 1) == data[FIRST : FIRST + 1000]
        wire.widen(1, 1 << 20)
        assert await arrived(wire, 1) == data[FIRST + 1000 :]
        await sending
        assert stream.local_ended


async def test_connection_window() -> None:
    """All streams together stop at the connection's window, and each goes on when it opens."""
    async with client() as (end, wire):
        streams = [opened(end) for _ in range(3)]
        sending = [asyncio.create_task(stream.send(bytes(30_000), end=True)) for stream in streams]
        got = await wire.synced()
        assert sum(len(one.payload) for one in got if one.kind == frames.DATA) == FIRST
        wire.widen(0, 90_000 - FIRST)
        got = await wire.synced()
        assert sum(len(one.payload) for one in got if one.kind == frames.DATA) == 90_000 - FIRST
        await asyncio.gather(*sending)


async def test_others_go_on() -> None:
    """A stream whose window is used up holds nobody else."""
    async with client() as (end, wire):
        wire.widen(0, 1 << 20)
        stuck = asyncio.create_task(opened(end).send(bytes(FIRST + 1)))
        other = opened(end)
        await other.send(b"abc", end=True)
        assert await arrived(wire, other.id) == b"abc"
        wire.widen(1, 1)
        await stuck


@pytest.mark.parametrize("size", [0, 100, FIRST - 1, FIRST, FIRST + 1, 100_000])
async def test_changed_window(size: int) -> None:
    """Another initial window is that of streams that are open too; sent is sent (section 6.9.2)."""
    data = bytes(150_000)
    async with client() as (end, wire):
        wire.widen(0, 1 << 20)
        stream = opened(end)
        sending = asyncio.create_task(stream.send(data))
        assert len(await arrived(wire, 1)) == FIRST
        wire.send(window(size))
        assert len(await arrived(wire, 1)) == max(0, size - FIRST)
        assert stream.send_window == min(0, size - FIRST)
        wire.widen(1, max(0, FIRST - size) + 10)  # ten bytes above zero, or what is left
        assert len(await arrived(wire, 1)) == 10
        wire.widen(1, 150_000)
        assert len(await arrived(wire, 1)) == 150_000 - max(FIRST, size) - 10
        await sending


async def test_negative_while_waiting_for_room() -> None:
    """A window that turns negative while what was sent waits for room makes nothing be sent again."""
    limits = Limits(unsent=1000)
    async with client(limits) as (end, wire):
        stream = opened(end)
        end.outbox.pause()
        end.outbox._paused = False
        sending = asyncio.create_task(stream.send(b"a" * 1000))  # as much as there is room for
        await asyncio.sleep(0)
        stream.send_window = -50
        await sending
        assert stream.send_window == -50
        assert await arrived(wire, 1) == b"a" * 1000


async def test_nothing_is_sent_twice_or_empty() -> None:
    """Who has sent all and waits for room sends no empty frames meanwhile."""
    async with client(Limits(unsent=1000)) as (end, wire):
        stream = opened(end)
        sending = asyncio.create_task(stream.send(b"a" * 1000))
        await asyncio.sleep(0)
        for _ in range(5):
            end.outbox.wake_all()
            await asyncio.sleep(0)
        await sending
        got = [one for one in await wire.synced() if one.kind == frames.DATA]
        assert all(one.payload for one in got)
        assert b"".join(one.payload for one in got) == b"a" * 1000


@pytest.mark.parametrize("most", [16_384, 20_000, 2**24 - 1])
async def test_frames(most: int) -> None:
    """DATA comes in frames as long as the far side takes, and the last one alone ends."""
    async with client() as (end, wire):
        wire.send(
            frames.settings({4: 1 << 20, 5: most}),
            frame(frames.WINDOW_UPDATE, 0, 0, frames.word(1 << 20)),
        )
        await wire.synced()
        stream = opened(end)
        await stream.send(bytes(50_000), end=True)
        got = [one for one in await wire.synced() if one.kind == frames.DATA]
        assert max(len(one.payload) for one in got) == min(most, 50_000)
        assert sum(len(one.payload) for one in got) == 50_000
        assert [one.flags for one in got] == [0] * (len(got) - 1) + [frames.END_STREAM]


TURNS = st.lists(
    st.one_of(
        st.tuples(st.just("stream"), st.integers(0, 1), st.integers(1, 30_000)),
        st.tuples(st.just("all"), st.just(0), st.integers(1, 30_000)),
        st.tuples(st.just("initial"), st.just(0), st.integers(0, 100_000)),
    ),
    max_size=12,
)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(TURNS, st.lists(st.integers(1, 90_000), min_size=2, max_size=2))
def test_never_more(turns: list[tuple[str, int, int]], sizes: list[int]) -> None:
    """Whatever windows open and shut: what has come is all that was allowed, and no byte more."""

    async def run() -> None:
        async with client() as (end, wire):
            streams = [opened(end) for _ in sizes]
            sent = [bytes([index + 1]) * size for index, size in enumerate(sizes)]
            pairs = zip(streams, sent, strict=True)
            sending = [asyncio.create_task(one.send(data, end=True)) for one, data in pairs]
            whole, initial, more, came = FIRST, FIRST, [0, 0], [b"", b""]
            for kind, index, size in [("all", 0, 1), *turns]:
                if kind == "stream":
                    if not streams[index].alive:
                        continue
                    more[index] += size
                    wire.widen(streams[index].id, size)
                elif kind == "all":
                    whole += size
                    wire.widen(0, size)
                else:
                    initial = size
                    wire.send(window(size))
                for one in await wire.synced():
                    if one.kind == frames.DATA:
                        at = (one.stream - 1) // 2
                        came[at] += one.payload
                        assert len(came[at]) <= initial + more[at]
                assert sum(map(len, came)) <= whole
                for at in range(2):
                    assert came[at] == sent[at][: len(came[at])]
                    stopped = len(came[at]) < sizes[at]
                    full = len(came[at]) >= initial + more[at] or sum(map(len, came)) == whole
                    assert not stopped or full
            wire.send(window(1 << 20))
            wire.widen(0, 1 << 20)
            await asyncio.gather(*sending)

    asyncio.run(run())


@pytest.mark.parametrize("how", ["reset", "lost", "closed"])
async def test_ended_while_waiting(how: str) -> None:
    """A sender who waits for the window learns that the stream is over."""
    async with client() as (end, wire):
        stream = opened(end)
        sending = asyncio.create_task(stream.send(bytes(FIRST + 1)))
        await wire.synced()
        if how == "reset":
            wire.reset(1)
        elif how == "lost":
            wire.writer.transport.abort()
        else:
            end.close()
        with pytest.raises(StreamEndedError):
            await sending
        assert not stream.alive
        with pytest.raises(StreamEndedError):
            await stream.send(b"more")
        stream.send_headers(b"", end=True)  # says nothing, and fails at nothing
        assert not end.outbox._waiting


async def test_cancelled_while_waiting() -> None:
    """A sender who leaves is not waited for, and another may send on the stream."""
    async with client() as (end, wire):
        stream = opened(end)
        sending = asyncio.create_task(stream.send(bytes(FIRST + 1)))
        await wire.synced()
        sending.cancel()
        await asyncio.wait([sending])
        assert not end.outbox._waiting
        wire.widen(0, 10)
        wire.widen(1, 10)
        await stream.send(b"abc")
        assert await arrived(wire, 1) == b"abc"


async def test_nothing_read_nothing_more() -> None:
    """Who does not read its data gets no more than the stream's window; who reads gets on."""
    size = 1 << 16
    async with server(Limits(stream_window=size)) as (near, wire):
        wire.head(1)
        wire.data(1, bytes(size))
        wire.head(3)
        wire.data(3, bytes(size))
        await wire.synced()
        near.streams[3].consumed(size)
        got = [one for one in await wire.synced() if one.kind == frames.WINDOW_UPDATE]
        assert [(one.stream, frames.read_word(one.payload)) for one in got] == [(3, size)]
        wire.data(3, b"more")
        wire.data(1, b"x")  # more than its window
        broken = await wire.next(frames.RST_STREAM)
        assert (broken.stream, broken.code) == (1, Code.FLOW_CONTROL_ERROR)
        assert near.streams[1].end is Code.FLOW_CONTROL_ERROR
        assert near.streams[3].data[-4:] == b"more"
