"""WebSockets as floods, at a real mesh: each is closed by the code of its fault, or held back."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
import pytest_asyncio

from tests.e2e.mesh import Mesh

# Says how long each message is, and does what it is told.
SOCKET = """export default { fetch(request) {
  if (!request.headers.get('upgrade')) return new Response('ok');
  const [client, server] = Object.values(new WebSocketPair());
  server.accept();
  server.addEventListener('message', ({ data }) => {
    if (data === 'flood') for (;;) server.send('x'.repeat(65536));
    server.send(String(data.length ?? data.byteLength));
  });
  return new Response(null, { status: 101, webSocket: client });
} }"""

UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: socket.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
MORE, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
UNMASKED = bytes(4)
MiB = 1 << 20


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True, says: int | None = None) -> bytes:
    """A client's frame (RFC 6455 section 5.2), which may say another length than it has."""
    length = len(payload) if says is None else says
    if length < 126:
        size = bytes([0x80 | length])
    elif length < 1 << 16:
        size = b"\xfe" + struct.pack(">H", length)
    else:
        size = b"\xff" + struct.pack(">Q", length)
    return bytes([fin << 7 | opcode]) + size + UNMASKED + payload


@pytest_asyncio.fixture(loop_scope="session")
async def target(mesh: Mesh) -> Mesh:
    """The mesh, with a Worker that accepts WebSockets, and a neighbour of it."""
    await mesh.deploy("socket", SOCKET, "production")
    await mesh.deploy("other", "export default { fetch: () => new Response('ok') }", "production")
    return mesh


@asynccontextmanager
async def opened(
    mesh: Mesh,
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A WebSocket to the Worker, whose frames the test writes and reads by itself."""
    host, port = mesh.http.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        async with asyncio.timeout(30):
            writer.write(UPGRADE)
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
            yield reader, writer
    finally:
        writer.close()


async def received(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """Opcode and payload of the next short frame of the server."""
    first, length = await reader.readexactly(2)
    return first & 0x0F, await reader.readexactly(length)


# What a client sends, and the code that it is closed with.
FAULTS = {
    "a message of 2 MiB": (frame(BINARY, bytes(2 * MiB)), 1009),
    "a frame that says 2^62 bytes": (frame(BINARY, bytes(2 * MiB), says=1 << 62), 1009),
    "fragments without end": (
        frame(TEXT, b"x", fin=False) + frame(MORE, b"x" * 1000, fin=False) * 2000,
        1009,
    ),
    "a length of 2^63": (frame(BINARY, says=1 << 63), 1002),
    "a long ping": (frame(PING, bytes(126)), 1002),
    "a ping in fragments": (frame(PING, b"x", fin=False), 1002),
    "a message within another": (frame(TEXT, b"x", fin=False) + frame(TEXT, b"y"), 1002),
    "half of a character": (frame(TEXT, b"\xf0\x9f"), 1007),
    "a close of one byte": (frame(CLOSE, b"x"), 1002),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_fault(target: Mesh, fault: str) -> None:
    """It is closed by the code of its fault, and neither Worker notices."""
    sent, code = FAULTS[fault]
    async with opened(target) as (reader, writer):
        writer.write(sent)
        opcode, payload = await received(reader)
        assert (opcode, struct.unpack(">H", payload[:2])) == (CLOSE, (code,))
    assert await target.get("socket.test") == (200, "ok")
    assert await target.get("other.test") == (200, "ok")


async def test_fragments(target: Mesh) -> None:
    """A message in 100,000 empty fragments and 10,000 of two bytes is a message, and others are served meanwhile."""
    async with opened(target) as (reader, writer):
        writer.write(frame(BINARY, fin=False) + frame(MORE, fin=False) * 100_000)
        assert await target.get("other.test") == (200, "ok")
        writer.write(frame(MORE, b"ab", fin=False) * 10_000 + frame(MORE))
        assert await received(reader) == (TEXT, b"20000")


async def test_pings(target: Mesh) -> None:
    """Of 50,000 pings of a client that reads nothing as many are answered as there is room for."""
    async with opened(target) as (reader, writer):
        writer.write(frame(PING, bytes(125)) * 50_000)
        assert await target.get("other.test") == (200, "ok")
        writer.write(frame(TEXT, b"over"))
        answered = 0
        while (answer := await received(reader)) == (PONG, bytes(125)):
            answered += 1
        assert answer == (TEXT, b"4")
        assert 0 < answered <= 50_000


async def test_messages(target: Mesh) -> None:
    """Of 20,000 messages each is answered, in order; others are served meanwhile."""
    async with opened(target) as (reader, writer):
        writer.write(b"".join(frame(TEXT, b"x" * (number % 100)) for number in range(20_000)))
        assert await target.get("other.test") == (200, "ok")
        for number in range(20_000):
            assert await received(reader) == (TEXT, b"%d" % (number % 100))


async def test_worker_that_floods(target: Mesh) -> None:
    """A Worker that sends without end ends for itself, without a close; its next request is served."""
    async with opened(target) as (reader, writer):
        writer.write(frame(TEXT, b"flood"))
        assert await target.get("other.test") == (200, "ok")
        last = b""
        with suppress(ConnectionError):
            while data := await reader.read(MiB):
                last = data[-100:]
        assert bytes([0x80 | CLOSE]) not in last
    assert await target.get("socket.test") == (200, "ok")
