"""The far side of a connection, frame by frame, and a stream that keeps what it is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import NamedTuple

from sluice.http2 import frames
from sluice.http2.connection import Connection
from sluice.http2.ends import ClientEnd, ServerEnd
from sluice.http2.failure import Code
from sluice.http2.fields import Fields, encode
from sluice.http2.frames import PREFACE, frame
from sluice.http2.limits import Limits
from sluice.http2.stream import Stream

HEAD = encode([(b":method", b"POST"), (b":path", b"/a/b")])
SETTINGS = frames.settings({})
END = frames.END_STREAM


class Frame(NamedTuple):
    """One frame that came."""

    kind: int
    flags: int
    stream: int
    payload: bytes

    @property
    def code(self) -> Code:
        """The error code of RST_STREAM or GOAWAY."""
        payload = self.payload[4:] if self.kind == frames.GOAWAY else self.payload
        return Code(frames.read_word(payload))


class Wire:
    """A peer that says nothing by itself."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def send(self, *data: bytes) -> None:
        """Send bytes."""
        self.writer.write(b"".join(data))

    def head(self, number: int, *, end: bool = False, block: bytes = HEAD) -> None:
        """Begin a stream."""
        flags = frames.END_HEADERS | (END if end else 0)
        self.send(frame(frames.HEADERS, flags, number, block))

    def data(self, number: int, data: bytes, *, end: bool = False) -> None:
        """Send DATA."""
        self.send(frame(frames.DATA, END if end else 0, number, data))

    def widen(self, number: int, more: int) -> None:
        """Open a window."""
        self.send(frame(frames.WINDOW_UPDATE, 0, number, frames.word(more)))

    def reset(self, number: int, code: Code = Code.CANCEL) -> None:
        """End a stream."""
        self.send(frame(frames.RST_STREAM, 0, number, frames.word(code)))

    async def any(self) -> Frame | None:
        """The next frame; None at the end of the connection."""
        try:
            high, low, kind, flags, number = frames.HEAD.unpack(
                await self.reader.readexactly(frames.HEAD_SIZE)
            )
            return Frame(kind, flags, number, await self.reader.readexactly(high << 8 | low))
        except (asyncio.IncompleteReadError, ConnectionError):
            return None

    async def next(self, *kinds: int) -> Frame:
        """The next frame of these kinds; others are skipped."""
        while (got := await self.any()) is not None:
            if got.kind in kinds:
                return got
        raise EOFError(f"the end came before a frame of {kinds}")

    async def synced(self) -> list[Frame]:
        """What came when all that was sent has been read, and whoever it woke has sent.

        The answer to a first ping is sent at once, that to a second one behind what they sent.
        """
        got = []
        for _ in range(2):
            self.send(frame(frames.PING, 0, 0, b"8 bytes!"))
            while (one := await self.any()) is not None and one[:2] != (frames.PING, frames.ACK):
                got.append(one)
            if one is None:
                raise EOFError("the end came before the answer to a ping")
        return got

    async def ended(self) -> list[Frame]:
        """All that came until the end of the connection."""
        got = []
        while (one := await self.any()) is not None:
            got.append(one)
        return got


class Told(Stream):
    """A stream that keeps what it is told, and gives nothing back by itself."""

    def __init__(self, connection: Connection, number: int) -> None:
        super().__init__(connection, number)
        self.headers: list[Fields] = []
        self.data = b""
        self.end: Code | None = None
        self.changed = asyncio.Event()

    def on_headers(self, fields: Fields, *, ended: bool) -> None:
        """Keep it."""
        self.headers.append(fields)
        self.changed.set()

    def on_data(self, data: bytes, *, ended: bool) -> None:
        """Keep it."""
        self.data += data
        self.changed.set()

    def on_end(self, code: Code, text: str) -> None:
        """Keep it."""
        self.end = code
        self.changed.set()

    async def until(self, found: Callable[[], object]) -> None:
        """Wait until something is so."""
        while not found():
            self.changed.clear()
            await self.changed.wait()


class End(ServerEnd):
    """A server's end that says when its far side reads too little."""

    def __init__(self, limits: Limits, near: Near) -> None:
        super().__init__(limits, near.answer, near.made)
        self.paused = asyncio.Event()

    def pause_writing(self) -> None:
        """Say so."""
        super().pause_writing()
        self.paused.set()


class Near:
    """Our end, and the streams that the far side opened on it."""

    def __init__(self) -> None:
        self.end: End
        self.connected = asyncio.Event()
        self.streams: dict[int, Told] = {}
        self.lost = asyncio.Event()

    def answer(self, end: ServerEnd, number: int, _: Fields) -> Told:
        """Take a stream."""
        stream = self.streams[number] = Told(end, number)
        return stream

    def made(self, end: ServerEnd) -> None:
        """Know the end, and its own."""
        assert isinstance(end, End)
        self.end = end
        self.connected.set()
        end.over.add_done_callback(lambda _: self.lost.set())


@asynccontextmanager
async def server(
    limits: Limits | None = None, said: bytes = PREFACE + SETTINGS
) -> AsyncIterator[tuple[Near, Wire]]:
    """Our server's end of a connection, and the wire of its client, which has `said` this."""
    near = Near()
    loop = asyncio.get_running_loop()
    listener = await loop.create_server(lambda: End(limits or Limits(), near), "127.0.0.1", 0)
    wire = Wire(*await asyncio.open_connection(*listener.sockets[0].getsockname()))
    wire.send(said)
    try:
        await near.connected.wait()
        if said == PREFACE + SETTINGS:
            await wire.synced()
        yield near, wire
    finally:
        listener.close()
        wire.writer.transport.abort()


@asynccontextmanager
async def client(
    limits: Limits | None = None, said: bytes = SETTINGS
) -> AsyncIterator[tuple[ClientEnd, Wire]]:
    """Our client's end of a connection, and the wire of its server, which has `said` this.

    It is started where that is what a server says.
    """
    wires: asyncio.Queue[Wire] = asyncio.Queue()
    listener = await asyncio.start_server(lambda *ends: wires.put_nowait(Wire(*ends)), "127.0.0.1")
    _, end = await asyncio.get_running_loop().create_connection(
        lambda: ClientEnd(limits or Limits(), lambda _: None),
        *listener.sockets[0].getsockname(),
    )
    wire = await wires.get()
    try:
        wire.send(said)
        if said == SETTINGS:
            await end.start()
            assert await wire.reader.readexactly(len(PREFACE)) == PREFACE
            await wire.synced()
        yield end, wire
    finally:
        listener.close()
        wire.writer.transport.abort()


def opened(end: ClientEnd) -> Told:
    """A stream that our client opens."""
    stream = Told(end, end.number())
    end.streams[stream.id] = stream
    stream.send_headers(HEAD)
    return stream
