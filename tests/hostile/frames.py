"""HTTP/2 by hand, for peers that break its rules."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY = range(8)
WINDOW_UPDATE, CONTINUATION = 8, 9
ACK, END_STREAM, END_HEADERS, PADDED = 1, 1, 4, 8


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """A frame (RFC 9113 section 4.1)."""
    return (
        len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload
    )


def field(name: str, value: str) -> bytes:
    """A header line, never indexed, without Huffman (RFC 7541 section 6.2.3)."""
    return b"\x10" + b"".join(_text(part) for part in (name, value))


def _text(text: str) -> bytes:
    assert len(text) < 127
    return bytes([len(text)]) + text.encode()


def fields(*lines: tuple[str, str]) -> bytes:
    """A block of header lines."""
    return b"".join(field(name, value) for name, value in lines)


def call(method: str, *more: tuple[str, str]) -> bytes:
    """The headers of a call."""
    return fields(
        (":method", "POST"),
        (":scheme", "http"),
        (":path", method),
        (":authority", "a"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
        *more,
    )


def word(number: int) -> bytes:
    """A number of 32 bits."""
    return number.to_bytes(4, "big")


def message(data: bytes, size: int | None = None) -> bytes:
    """A message of gRPC, or the beginning of one of `size` bytes."""
    return b"\0" + word(len(data) if size is None else size) + data


def streams(count: int) -> range:
    """Numbers of a client's streams."""
    return range(1, 2 * count, 2)


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame that came."""

    kind: int
    flags: int
    stream: int
    payload: bytes


class Peer:
    """A connection whose frames are written and read by hand."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, *data: bytes) -> None:
        """Send bytes."""
        self._writer.write(b"".join(data))
        await self._writer.drain()

    async def send_always(self, data: bytes) -> None:
        """Send bytes again and again, until the connection is lost, which is raised."""
        while True:
            await self.send(data)

    async def read(self) -> Frame | None:
        """The next frame; None at the end of the connection."""
        try:
            head = await self._reader.readexactly(9)
            payload = await self._reader.readexactly(int.from_bytes(head[:3], "big"))
        except (asyncio.IncompleteReadError, ConnectionError):
            return None
        return Frame(head[3], head[4], int.from_bytes(head[5:9], "big"), payload)

    async def until(self, kind: int, stream: int, flags: int = 0) -> Frame:
        """The next frame of this kind, stream and flags."""
        while (came := await self.read()) is not None:
            if (came.kind, came.stream, came.flags & flags) == (kind, stream, flags):
                return came
        raise AssertionError("the connection ended")

    async def discard(self) -> None:
        """Read to the end of the connection."""
        while await self.read():
            pass

    async def pong(self) -> None:
        """Wait until all that was sent has been read."""
        await self.send(frame(PING, 0, 0, b"abcdefgh"))
        assert (await self.until(PING, 0, ACK)).payload == b"abcdefgh"

    def abort(self) -> None:
        """End the connection."""
        self._writer.transport.abort()


@asynccontextmanager
async def client(host: str, port: int, settings: bytes = b"") -> AsyncIterator[Peer]:
    """A connection to a server, whose settings have been sent."""
    peer = Peer(*await asyncio.open_connection(host, port, limit=1 << 20))
    try:
        await peer.send(PREFACE, frame(SETTINGS, 0, 0, settings))
        yield peer
    finally:
        peer.abort()
