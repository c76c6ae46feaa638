"""A connection takes what the RFC allows, answers what it asks, and ends at anything else."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Callable

import hpack
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sluice.http2 import frames
from sluice.http2.failure import Code, ConnectionFailure
from sluice.http2.frames import PREFACE, frame
from sluice.http2.limits import Limits
from sluice.http2.stream import Stream
from tests.http2.wire import END, HEAD, SETTINGS, Wire, client, opened, server

FIELDS = ((b":method", b"POST"), (b":path", b"/a/b"))


async def test_settings_are_acknowledged() -> None:
    """Ours come first, theirs are acknowledged."""
    async with server(said=b"") as (_, wire):
        wire.send(PREFACE, SETTINGS)
        got = [await wire.any() for _ in range(3)]
        assert [(one.kind, one.flags) for one in got if one] == [
            (frames.SETTINGS, 0),
            (frames.WINDOW_UPDATE, 0),
            (frames.SETTINGS, frames.ACK),
        ]


async def test_a_block_in_frames() -> None:
    """A head comes in as many frames as its sender likes, with padding and priority."""
    async with server() as (near, wire):
        padded = frames.PADDED | frames.HAS_PRIORITY | END
        wire.send(
            frame(frames.HEADERS, padded, 1, b"\3" + b"prior" + HEAD[:5] + bytes(3)),
            frame(frames.CONTINUATION, 0, 1, HEAD[5:9]),
            frame(frames.CONTINUATION, 0, 1, b""),
            frame(frames.CONTINUATION, frames.END_HEADERS, 1, HEAD[9:]),
        )
        await wire.synced()
        assert [tuple(fields) for fields in near.streams[1].headers] == [FIELDS]
        assert near.streams[1].remote_ended


async def test_a_long_block_is_sent_in_frames() -> None:
    """Fields that are more than one frame takes go in CONTINUATIONs."""
    async with client() as (end, wire):
        stream = opened(end)
        stream.send_headers(b"\0\1a" + b"\x7f" + b"\xa1\x9c\x01" + bytes(20_000), end=True)
        got = [one for one in await wire.synced() if one.kind != frames.WINDOW_UPDATE][-2:]
        assert [(one.kind, one.flags) for one in got] == [
            (frames.HEADERS, END),
            (frames.CONTINUATION, frames.END_HEADERS),
        ]
        assert len(got[0].payload) == 16_384


async def test_no_table() -> None:
    """The first block, and no other, says that there is no table of fields."""
    async with client() as (end, wire):
        decoder = hpack.Decoder()
        blocks = []
        for _ in range(2):
            opened(end)
            blocks.append((await wire.next(frames.HEADERS)).payload)
            assert tuple(map(tuple, decoder.decode(blocks[-1], raw=True))) == FIELDS
        assert blocks == [b"\x20" + HEAD, HEAD]
        assert decoder.header_table_size == 0


STATIC = b"\x83\x04\4/a/b"  # a method by its index, and a path by that of its name


@pytest.mark.parametrize(
    "blocks",
    [
        pytest.param([STATIC, STATIC], id="no table, and nothing said of it"),  # .NET
        pytest.param([STATIC, b"\x20" + STATIC], id="no table"),  # Go, nghttp2
        pytest.param([b"\x83\x44\4/a/b", b"\x83\xbe"], id="a table all the same"),  # OkHttp
    ],
)
async def test_a_table_of_the_far_side(blocks: list[bytes]) -> None:
    """A client is read that gives its table up, that keeps it, and that has none and says nothing."""
    async with server() as (near, wire):
        wire.send(frame(frames.SETTINGS, frames.ACK, 0))
        for number, block in zip((1, 3), blocks, strict=True):
            wire.head(number, block=block)
        await wire.synced()
        assert [tuple(near.streams[number].headers[0]) for number in (1, 3)] == [FIELDS, FIELDS]


@pytest.mark.parametrize("padding", [0, 1, 255])
async def test_padding_is_of_the_window(padding: int) -> None:
    """Padding of DATA is nobody's content, and is given back at once (section 6.9.1)."""
    async with server(Limits(stream_window=1000, connection_window=70_000)) as (near, wire):
        wire.head(1)
        payload = bytes([padding]) + b"abc" + bytes(padding)
        wire.send(frame(frames.DATA, frames.PADDED, 1, payload))
        await wire.synced()
        stream = near.streams[1]
        assert stream.data == b"abc"
        assert stream.window.held == near.end._window.held == 3


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.integers(0, 200), max_size=30))
def test_cut_anywhere(cuts: list[int]) -> None:
    """Where the bytes are cut on their way says nothing."""
    said = (
        PREFACE
        + SETTINGS
        + frame(frames.HEADERS, frames.END_HEADERS, 1, HEAD)
        + frame(frames.DATA, 0, 1, b"abc")
        + frame(frames.HEADERS, 0, 3, HEAD[:4])
        + frame(frames.CONTINUATION, frames.END_HEADERS, 3, HEAD[4:])
        + frame(frames.DATA, END, 3, b"")
        + frame(frames.DATA, END, 1, b"def")
    )

    async def run() -> None:
        async with server(said=b"") as (near, wire):
            at = 0
            await wire.reader.readexactly(0)
            end = near.end
            for cut in [*sorted(cuts), len(said)]:
                piece, at = said[at:cut], max(at, min(cut, len(said)))
                if piece:
                    end.data_received(piece)
            assert near.streams[1].data == b"abcdef"
            assert near.streams[3].remote_ended
            assert tuple(near.streams[3].headers[0]) == FIELDS

    asyncio.run(run())


def broken(name: str, code: Code, *said: bytes) -> object:
    """A row of what ends a connection."""
    return pytest.param(b"".join(said), code, id=name)


HEADERS = frame(frames.HEADERS, frames.END_HEADERS, 1, HEAD)
OPEN = frame(frames.HEADERS, 0, 1, HEAD)
UPDATE = frames.WINDOW_UPDATE


@pytest.mark.parametrize(
    ("said", "code"),
    [
        broken("a frame too long", Code.FRAME_SIZE_ERROR, b"\xff\xff\xff\0\0\0\0\0\1"),
        broken("DATA of no stream", Code.PROTOCOL_ERROR, frame(frames.DATA, 0, 0, b"a")),
        broken("DATA of a stream that never was", Code.PROTOCOL_ERROR, frame(frames.DATA, 0, 1, b"a")),
        broken("RST_STREAM of one", Code.PROTOCOL_ERROR, frame(frames.RST_STREAM, 0, 1, bytes(4))),
        broken("WINDOW_UPDATE of one", Code.PROTOCOL_ERROR, frame(UPDATE, 0, 1, b"\0\0\0\1")),
        broken("HEADERS of no stream", Code.PROTOCOL_ERROR, frame(frames.HEADERS, 4, 0, HEAD)),
        broken("HEADERS of a server's stream", Code.PROTOCOL_ERROR, frame(frames.HEADERS, 4, 2, HEAD)),
        broken("HEADERS padded too far", Code.PROTOCOL_ERROR, frame(frames.HEADERS, 12, 1, b"\5a")),
        broken("DATA padded too far", Code.PROTOCOL_ERROR, HEADERS, frame(frames.DATA, 8, 1, b"\5a")),
        broken("no HPACK", Code.COMPRESSION_ERROR, frame(frames.HEADERS, 4, 1, b"\x80")),
        broken("another frame in a block", Code.PROTOCOL_ERROR, OPEN, frame(frames.PING, 0, 0, bytes(8))),
        broken("an unknown frame in a block", Code.PROTOCOL_ERROR, OPEN, frame(99, 0, 1)),
        broken("another stream's block", Code.PROTOCOL_ERROR, OPEN, frame(frames.CONTINUATION, 4, 3)),
        broken("a block of too much", Code.ENHANCE_YOUR_CALM, OPEN, *[frame(frames.CONTINUATION, 0, 1, b"")] * 64),
        broken("CONTINUATION of nothing", Code.PROTOCOL_ERROR, frame(frames.CONTINUATION, 4, 1)),
        broken("PUSH_PROMISE", Code.PROTOCOL_ERROR, frame(frames.PUSH_PROMISE, 4, 1, bytes(4))),
        broken("SETTINGS of a stream", Code.PROTOCOL_ERROR, frame(frames.SETTINGS, 0, 1)),
        broken("an ACK with settings", Code.FRAME_SIZE_ERROR, frame(frames.SETTINGS, 1, 0, bytes(6))),
        broken("a PING too short", Code.FRAME_SIZE_ERROR, frame(frames.PING, 0, 0, bytes(7))),
        broken("a PING of a stream", Code.PROTOCOL_ERROR, frame(frames.PING, 0, 1, bytes(8))),
        broken("GOAWAY of a stream", Code.PROTOCOL_ERROR, HEADERS, frame(frames.GOAWAY, 0, 1, bytes(8))),
        broken("RST_STREAM of no stream", Code.PROTOCOL_ERROR, frame(frames.RST_STREAM, 0, 0, bytes(4))),
        broken("GOAWAY too short", Code.FRAME_SIZE_ERROR, frame(frames.GOAWAY, 0, 0, bytes(7))),
        broken("RST_STREAM too short", Code.FRAME_SIZE_ERROR, HEADERS, frame(frames.RST_STREAM, 0, 1, b"a")),
        broken("WINDOW_UPDATE too short", Code.FRAME_SIZE_ERROR, frame(UPDATE, 0, 0, b"abc")),
        broken("no byte more", Code.PROTOCOL_ERROR, frame(UPDATE, 0, 0, bytes(4))),
        broken("a window of 2^31 by settings", Code.FLOW_CONTROL_ERROR, HEADERS, frame(UPDATE, 0, 1, b"\0\0\0\1"), frames.settings({4: 2**31 - 1})),
        broken("a window of 2^31", Code.FLOW_CONTROL_ERROR, frame(UPDATE, 0, 0, b"\x7f\xff\xff\xff")),
    ],
)  # fmt: skip
async def test_broken(said: bytes, code: Code) -> None:
    """What the RFC calls a connection error ends the connection, and is named."""
    async with server() as (near, wire):
        wire.send(said)
        got = await wire.ended()
        assert (got[-1].kind, got[-1].code) == (frames.GOAWAY, code)
        await near.lost.wait()


@pytest.mark.parametrize("more", [0, 2**31 - 1])
async def test_broken_stream(more: int) -> None:
    """A window of a stream that nobody can have ends that stream alone (section 6.9)."""
    async with server() as (near, wire):
        wire.head(1)
        wire.widen(1, more)
        got = await wire.next(frames.RST_STREAM)
        assert got.code is (Code.FLOW_CONTROL_ERROR if more else Code.PROTOCOL_ERROR)
        assert near.streams[1].end is got.code
        await wire.synced()


async def test_settings_first() -> None:
    """Whoever begins with anything else is left."""
    async with server(said=PREFACE + frame(frames.PING, 0, 0, bytes(8))) as (_, wire):
        got = await wire.ended()
        assert got[-1].code is Code.PROTOCOL_ERROR


@pytest.mark.parametrize("said", [b"GET / HTTP/1.1\r\n\r\n", PREFACE[:-1] + b"!", b"PRJ"])
async def test_not_http2(said: bytes) -> None:
    """Another protocol is known by its first wrong byte."""
    async with server(said=said) as (near, wire):
        got = await wire.ended()
        assert [one.kind for one in got] == [frames.GOAWAY]
        near.end.data_received(b"more of it")  # as TLS may still deliver
        assert near.end.closed


@pytest.mark.parametrize(
    "late",
    [
        lambda wire: wire.head(1, end=True),  # trailers of it
        lambda wire: wire.data(1, b"abc"),
        lambda wire: wire.reset(1),
        lambda wire: wire.widen(1, 5),
        lambda wire: wire.widen(1, 0),
    ],
)
@pytest.mark.parametrize("how", ["here", "there", "both"])
async def test_over(late: Callable[[Wire], None], how: str) -> None:
    """What comes of a stream that is over may have been on its way, and is nothing."""
    async with server() as (near, wire):
        wire.head(1, end=how == "both")
        await wire.synced()
        stream = near.streams[1]
        if how == "here":
            stream.reset(Code.CANCEL)
        elif how == "there":
            wire.reset(1)
        else:
            stream.send_headers(HEAD, end=True)
        await wire.synced()
        assert not near.end.streams
        late(wire)
        wire.head(3)
        assert not [one for one in await wire.synced() if one.kind != frames.WINDOW_UPDATE]
        assert list(near.streams) == [1, 3]
        assert near.end._window.held == 0


@pytest.mark.parametrize("late", [lambda wire: wire.data(1, b"abc"), lambda wire: wire.head(1)])
async def test_behind_the_end(late: Callable[[Wire], None]) -> None:
    """What comes behind the end of a stream that still answers ends it (section 5.1)."""
    async with server() as (near, wire):
        wire.head(1)
        wire.data(1, b"abc", end=True)
        late(wire)
        got = await wire.next(frames.RST_STREAM)
        assert got.code is near.streams[1].end is Code.STREAM_CLOSED
        assert near.end._window.held == 0


async def test_what_nobody_knows() -> None:
    """Frames of other kinds, and PRIORITY, say nothing."""
    async with server() as (_, wire):
        wire.send(frame(frames.PRIORITY, 0, 1, bytes(5)), frame(99, 255, 7, b"abc"))
        assert await wire.synced() == []


async def test_beyond_a_window_is_held_once() -> None:
    """Streams that are broken by too much leave the count of what is held as it is."""
    limits = Limits(stream_window=100, connection_window=70_000)
    async with server(limits) as (near, wire):
        for number in (1, 3, 5):
            wire.head(number)
            wire.data(number, bytes(60))
            wire.data(number, bytes(60))
        await wire.synced()
        assert near.end._window.held == 0
        wire.head(7)
        wire.data(7, bytes(50))
        await wire.synced()
        assert near.end._window.held == 50


async def test_more_than_the_connection() -> None:
    """All streams together are held to the connection's window, if nobody reads and much is held."""
    limits = Limits(stream_window=100_000, connection_window=65_535, held=30_000)
    async with server(limits) as (near, wire):
        for number in (1, 3):
            wire.head(number)
            wire.data(number, bytes(30_000))
            wire.data(number, bytes(5_000))
        got = await wire.ended()
        assert got[-1].code is Code.FLOW_CONTROL_ERROR
        assert near.streams[1].end is near.streams[3].end is Code.FLOW_CONTROL_ERROR


async def test_held() -> None:
    """Below `held` nobody who does not read keeps others; at it, the connection waits for them."""
    size = 65_535
    limits = Limits(stream_window=size, connection_window=size, held=2 * size)
    async with server(limits) as (near, wire):
        for number in (1, 3):
            wire.head(number)
            wire.data(number, bytes(size - 1))
            got = [one for one in await wire.synced() if one.kind == UPDATE]
            assert [one.stream for one in got] == [0]  # nobody has read, and others may go on
        wire.head(5)
        wire.data(5, bytes(size - 1))
        assert not [one for one in await wire.synced() if one.kind == UPDATE]
        near.streams[1].consumed(near.streams[1].window.held)
        got = [one for one in await wire.synced() if one.kind == UPDATE]
        assert sorted(one.stream for one in got) == [0, 1]
        wire.reset(3)  # what it held is held no more
        await wire.synced()
        assert near.end._window.held == size - 1


class Echo(Stream):
    """A stream that nothing refers to but its connection."""

    def on_headers(self, _: object, *, ended: bool) -> None:
        """Answer, and be over."""
        if ended and not self.local_ended:
            self.send_headers(HEAD, end=True)

    def on_data(self, data: bytes, *, ended: bool) -> None:
        """Take it."""

    def on_end(self, code: Code, text: str) -> None:
        """Be over."""


@pytest.mark.parametrize("how", ["closed here", "closed there", "failed"])
async def test_no_cycles(how: str) -> None:
    """A stream, and a connection, are gone with their last reference: nothing is left to collect."""
    async with server() as (near, wire):
        near.answer = Echo  # type: ignore[method-assign, assignment]
        gc.collect()
        gc.disable()
        try:
            near.end._answer_stream = lambda end, number, _: Echo(end, number)
            wire.head(1)
            await wire.synced()
            stream = weakref.ref(near.end.streams[1])
            wire.head(1, end=True)
            await wire.synced()
            assert stream() is None
            wire.head(3)
            await wire.synced()
            stream, end = weakref.ref(near.end.streams[3]), weakref.ref(near.end)
            if how == "closed here":
                near.end.close()
            elif how == "closed there":
                wire.writer.close()
            else:
                near.end.fail(ConnectionFailure(Code.INTERNAL_ERROR, "x"))
            del near.end
            await wire.ended()
            await near.lost.wait()
            await asyncio.sleep(0)
            assert stream() is None
            assert end() is None
        finally:
            gc.enable()
