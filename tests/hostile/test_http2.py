"""HTTP/2 against the services: what one connection does, the others do not feel, nor the memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio

from sluice.mesh.env import Address
from sluice.pb import http_pb2, userworker_pb2, worker_pb2
from tests.e2e.mesh import SERVICES, Mesh, dispatch_bundle
from tests.hostile.frames import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    PING,
    PREFACE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    call,
    field,
    frame,
    streams,
    word,
)

ECHO = "export default { fetch() { return new Response('ok') } }"
LARGE = """export default { fetch() { return new Response(new ReadableStream({
  pull(controller) { controller.enqueue(new Uint8Array(65536)) } })) } }"""
METHODS = {
    "dispatcher": "/sluice.v1.DispatcherService/Dispatch",
    "userworker": "/sluice.v1.UserWorkerService/Invoke",
    "outbound": "/sluice.v1.OutboundService/OutboundFetch",
}
MIB = 1 << 20
ROOM = 128 * MIB
"""What one attack may cost, with what Python keeps for later."""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def deployed(shared_mesh: Mesh) -> Mesh:
    """The mesh with Workers that answer."""
    await shared_mesh.deploy("dispatch", dispatch_bundle())
    await shared_mesh.deploy("echo", ECHO, "production")
    await shared_mesh.deploy("large", LARGE, "production")
    return shared_mesh


@pytest_asyncio.fixture(loop_scope="session")
async def target(deployed: Mesh) -> AsyncIterator[Mesh]:
    """The mesh, which serves on after each attack, and keeps little of it in memory."""
    assert (await deployed.get("echo.test"))[0] == 200
    before = {name: resident(deployed, name) for name in SERVICES}
    yield deployed
    assert (await deployed.get("echo.test"))[0] == 200
    for name in SERVICES:
        assert deployed.services[name].process.returncode is None
        assert resident(deployed, name) - before[name] < ROOM, name


def resident(mesh: Mesh, name: str) -> int:
    """Resident memory of a service's process, in bytes."""
    status = Path(f"/proc/{mesh.services[name].process.pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) * 1024


@asynccontextmanager
async def connected(
    address: Address,
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection whose settings have been exchanged."""
    reader, writer = await asyncio.open_connection(address.host, address.port)
    writer.write(PREFACE + frame(SETTINGS, 0, 0))
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


class Attack:
    """Frames to send. `taken` is how many were."""

    def __init__(self, frames: list[bytes]) -> None:
        self.taken = 0
        self._frames = frames

    async def to(self, writer: asyncio.StreamWriter) -> bool:
        """Send them. Whether all was taken."""
        try:
            for data in self._frames:
                writer.write(data)
                await writer.drain()
                self.taken += 1
        except ConnectionError:
            return False
        return True

    async def over(self, writing: asyncio.Task[bool]) -> None:
        """Wait for the end of `to`, for 5 s at most, or until nothing is taken for one of them."""
        for _ in range(5):
            before = self.taken
            await asyncio.wait([writing], timeout=1)
            if writing.done() or self.taken == before:
                return


async def send(mesh: Mesh, service: str, attack: list[bytes], *, reads: bool = True) -> bool:
    """Send frames while the mesh is asked for something else, and is to answer it.

    Whether all was taken: a service may close the connection, or read no more of it.
    """
    sent = Attack(attack)
    async with connected(mesh.grpc[service]) as (reader, writer), asyncio.timeout(40):
        reading = asyncio.create_task(_discard(reader)) if reads else None
        writing = asyncio.create_task(sent.to(writer))
        await asyncio.wait([writing], timeout=0.05)
        async with asyncio.timeout(10):
            assert (await mesh.get("echo.test"))[0] == 200
        await sent.over(writing)
        writing.cancel()
        if reading:
            reading.cancel()
        await asyncio.gather(writing, *filter(None, [reading]), return_exceptions=True)
        return not writing.cancelled() and writing.result()


async def _discard(reader: asyncio.StreamReader) -> None:
    try:
        while await reader.read(65536):
            pass
    except ConnectionError:
        pass


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize(
    ("kind", "number"),
    [(RST_STREAM, 8), (WINDOW_UPDATE, 0)],
    ids=["by the client", "by the service"],
)
async def test_rapid_reset(target: Mesh, service: str, kind: int, number: int) -> None:
    """20,000 calls that are begun and reset at once (CVE-2023-44487, CVE-2025-8671)."""
    head = call(METHODS[service])
    await send(
        target,
        service,
        [
            frame(HEADERS, END_HEADERS, stream, head) + frame(kind, 0, stream, word(number))
            for stream in streams(20_000)
        ],
    )


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("flags", [END_HEADERS, END_HEADERS | END_STREAM], ids=["open", "ended"])
async def test_streams(target: Mesh, service: str, flags: int) -> None:
    """20,000 calls at once that send nothing."""
    head = call(METHODS[service] + ("Stream" if flags == END_HEADERS else ""))
    await send(target, service, [frame(HEADERS, flags, stream, head) for stream in streams(20_000)])


@pytest.mark.parametrize("reads", [True, False], ids=["reading", "deaf"])
@pytest.mark.parametrize(
    ("kind", "payload"),
    [(PING, b"abcdefgh"), (SETTINGS, b""), (SETTINGS, b"\0\4\0\0\0\1" * 100), (DATA, b"")],
    ids=["pings", "settings", "windows", "data of no stream"],
)
async def test_floods(target: Mesh, kind: int, payload: bytes, reads: bool) -> None:
    """A million frames that ask for an answer, whether or not the client reads it."""
    flood = frame(kind, 0, 1 if kind == DATA else 0, payload) * 1000
    await send(target, "userworker", [flood] * (1000 if len(payload) < 100 else 20), reads=reads)


async def test_headers_without_end(target: Mesh) -> None:
    """A head that goes on and on (CVE-2024-27316)."""
    more = b"".join(field(f"x-{number}", "a" * 100) for number in range(100))
    await send(
        target,
        "userworker",
        [
            frame(HEADERS, 0, 1, call(METHODS["userworker"])),
            *[frame(CONTINUATION, 0, 1, more)] * 5000,
        ],
    )


async def test_an_hpack_bomb(target: Mesh) -> None:
    """A long header that is kept once in the table, and then named by one byte, again and again."""
    long = b"\x40\x01x\x7f" + _varint(4000 - 127) + b"a" * 4000
    head = call(METHODS["userworker"]) + long + b"\xbe" * 15_000
    await send(
        target, "userworker", [frame(HEADERS, END_HEADERS, stream, head) for stream in streams(200)]
    )


def _varint(number: int) -> bytes:
    out = b""
    while number > 127:
        out += bytes([number & 127 | 128])
        number >>= 7
    return out + bytes([number])


@pytest.mark.parametrize("timeout", ["0S", "1n", "99999999H", "100000000S", "-1S", "x", "1", ""])
async def test_deadlines(target: Mesh, timeout: str) -> None:
    """A deadline of nothing, of the past, of ten thousand years, or of no form."""
    head = call("/grpc.health.v1.Health/Check", ("grpc-timeout", timeout))
    message = frame(DATA, END_STREAM, 1, bytes(5))
    assert await send(target, "userworker", [frame(HEADERS, END_HEADERS, 1, head) + message])


async def test_answers_that_nobody_reads(target: Mesh) -> None:
    """200 endless answers to a client that takes none of them stall their Workers, and no more."""
    invoke = userworker_pb2.InvokeRequest(
        invocation=userworker_pb2.Invocation(
            worker=worker_pb2.Worker(dispatch_namespace="production", name="large")
        ),
        head=http_pb2.HttpRequestHead(method="GET", url="http://large.test/"),
    ).SerializeToString()
    head = call(METHODS["userworker"])
    message = b"\0" + len(invoke).to_bytes(4, "big") + invoke
    attack = [
        frame(HEADERS, END_HEADERS, stream, head) + frame(DATA, END_STREAM, stream, message)
        for stream in streams(200)
    ]
    await send(target, "userworker", attack, reads=False)
