"""A real server on a real socket, a raw peer for each end, and bodies that do what a test says.

Every asynchronous test runs on both loops: uvloop, which the services use, and asyncio's own.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

import pytest
import uvloop

from sluice.http1.client import Client
from sluice.http1.server import Exchange, Limits, Server
from sluice.http1.server_connection import ServerConnection
from sluice.wire.body import Whole
from sluice.wire.errors import Reason, SluiceError
from sluice.wire.messages import Request, Response
from tests.bodies import read_all


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Both loops."""
    return {"uvloop": uvloop.new_event_loop, "asyncio": asyncio.new_event_loop}


GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"


class Pieces:
    """A body that comes in pieces, and counts those it gave. An exception among them is raised."""

    def __init__(self, *pieces: bytes | Exception, gate: asyncio.Event | None = None) -> None:
        self.pieces = list(pieces)
        self.given = 0
        self.closed = asyncio.Event()
        self._gate = gate

    def take(self) -> tuple[bytes, bool]:
        """Nothing at hand."""
        return b"", False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self.pieces:
            if isinstance(piece, Exception):
                raise piece
            self.given += len(piece)
            yield piece
        if self._gate is not None:
            await self._gate.wait()

    async def aclose(self) -> None:
        """Note that nobody wants more."""
        self.closed.set()


CUT = SluiceError(Reason.BODY_CUT_SHORT, "cut short on purpose")


async def until(condition: Callable[[], Any]) -> None:
    """Let the loop run until `condition` holds; pytest's timeout is the deadline."""
    while not condition():  # noqa: ASYNC110 - what is waited for has no event
        await asyncio.sleep(0)


class Deaf:
    """A source of a body that nothing can stop."""

    def __getattr__(self, name: str) -> Callable[[], None]:
        return lambda: None


class Reader(Protocol):
    """Either reader."""

    def feed(self, data: bytes) -> None:
        """Read `data`."""


def feed(reader: Reader, data: bytes, *cuts: int) -> None:
    """Feed `data` in pieces that end at `cuts`."""
    for begin, end in pairwise([0, *sorted(cuts), len(data)]):
        reader.feed(data[begin:end])


async def content(response: Response) -> bytes:
    """The whole body."""
    data = await read_all(response.body, 1 << 30)
    assert data is not None
    return data


@dataclass
class Wire:
    """A raw connection, seen by the test."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def send(self, data: bytes) -> None:
        """Write bytes as they are."""
        self.writer.write(data)

    async def head(self) -> tuple[bytes, list[tuple[bytes, bytes]]]:
        """Start line, and headers in order."""
        start, *lines = (await self.reader.readuntil(b"\r\n\r\n")).split(b"\r\n")[:-2]
        headers = [line.split(b": ", 1) for line in lines]
        return start, [(name, value) for name, value in headers]

    async def response(self, *, body: bool = True) -> tuple[int, bytes]:
        """Status and body of the next response."""
        start, headers = await self.head()
        named = dict(headers)
        data = b""
        if body and b"content-length" in named:
            data = await self.reader.readexactly(int(named[b"content-length"]))
        elif body and b"transfer-encoding" in named:
            while size := int(await self.reader.readline(), 16):
                data += (await self.reader.readexactly(size + 2))[:-2]
            await self.reader.readline()
        elif body:
            data = await self.reader.read()
        return int(start.split()[1]), data

    async def ended(self) -> bool:
        """Whether nothing more comes, and the connection ends."""
        try:
            return await self.reader.read() == b""
        except ConnectionError:
            return True

    async def close(self) -> None:
        """Close it."""
        self.writer.close()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()


async def stuff(wire: Wire, data: bytes, stalled: Callable[[], Any]) -> int:
    """Write `data` over and over, until the server has stalled. Returns how much it took."""
    sock = socket.socket(fileno=os.dup(wire.writer.get_extra_info("socket").fileno()))
    sock.setblocking(False)
    sent = 0
    with sock:
        while True:
            try:
                sent += sock.send(data[sent % len(data) :])
            except BlockingIOError:
                if stalled():
                    return sent
            await asyncio.sleep(0)


async def whole_answer(exchange: Exchange) -> Response:
    """Answers with the request's body, once it is all there."""
    body = await read_all(exchange.request.body, 1 << 30)
    assert body is not None
    return Response(200, body=Whole(body))


def on_error(error: SluiceError) -> Response:
    """An error as a response that names its reason."""
    return Response(error.reason.http_status, body=Whole(error.reason.name.encode()))


@dataclass
class Site:
    """A server on a unix socket, with a handler that a test may set, and raw connections to it."""

    folder: Path
    handler: Callable[[Exchange], Awaitable[Response]] = whole_answer
    exchanges: list[Exchange] = field(default_factory=list)
    limits: Limits = field(default_factory=Limits)
    server: Server = field(init=False)
    wires: list[Wire] = field(default_factory=list)

    @property
    def path(self) -> str:
        """Its socket."""
        return str(self.folder / "s")

    async def start(self, limits: Limits | None = None, **options: Any) -> None:
        """Begin to listen."""
        self.server = Server(self._handle, on_error=on_error, limits=limits, **options)
        await self.server.listen_unix(self.path)

    async def wire(self, sent: bytes = b"") -> Wire:
        """A raw connection to it."""
        wire = Wire(*await asyncio.open_unix_connection(self.path, limit=1 << 20))
        self.wires.append(wire)
        wire.send(sent)
        return wire

    async def tcp_wire(self, sent: bytes = b"") -> Wire:
        """A raw connection to it over TCP."""
        host, port = await self.server.listen_tcp("127.0.0.1", 0)
        wire = Wire(*await asyncio.open_connection(host, port))
        self.wires.append(wire)
        wire.send(sent)
        return wire

    def connection(self) -> ServerConnection:
        """The server's end of the only connection."""
        (connection,) = self.server._serving.connections
        return connection

    async def _handle(self, exchange: Exchange) -> Response:
        self.exchanges.append(exchange)
        return await self.handler(exchange)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short path: a unix socket's may have 107 bytes."""
    folder = Path(tempfile.mkdtemp(prefix="sl-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
async def quiet_site(folder: Path) -> AsyncIterator[Site]:
    """A site that does not listen yet."""
    site = Site(folder)
    yield site
    await site.server.close(0)
    for wire in site.wires:
        await wire.close()


@pytest.fixture
async def site(quiet_site: Site) -> Site:
    """A site that listens."""
    await quiet_site.start()
    return quiet_site


@pytest.fixture
async def client(site: Site) -> AsyncIterator[Client]:
    """A client of the site."""
    client = Client(site.path)
    yield client
    await client.aclose()


Script = Callable[[Wire], Awaitable[None]]


@dataclass
class Origin:
    """A raw server: for each connection it does what a test says, then closes it."""

    path: str
    script: Script | None = None
    wires: list[Wire] = field(default_factory=list)

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        wire = Wire(reader, writer)
        self.wires.append(wire)
        assert self.script is not None
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await self.script(wire)
        await wire.close()


@pytest.fixture
async def origin(folder: Path) -> AsyncIterator[Origin]:
    """A raw server on a unix socket."""
    origin = Origin(str(folder / "o"))
    server = await asyncio.start_unix_server(origin.accept, origin.path, limit=1 << 20)
    yield origin
    server.close()
    for wire in origin.wires:
        await wire.close()


@pytest.fixture
async def caller(origin: Origin) -> AsyncIterator[Client]:
    """A client of the raw server, whose idle connections a test need not wait for."""
    client = Client(origin.path, idle=600)
    yield client
    await client.aclose()


URL = "http://a.example/p"
OK = b"HTTP/1.1 200 OK\r\n"
HELLO = OK + b"Content-Length: 5\r\n\r\nhello"


def get() -> Request:
    """A request without a body."""
    return Request("GET", URL)


def always(answer: bytes) -> Script:
    """A server that answers every request so."""

    async def script(wire: Wire) -> None:
        while True:
            await wire.head()
            wire.send(answer)

    return script


def once(answer: bytes) -> Script:
    """A server that answers one request so, and ends the connection."""

    async def script(wire: Wire) -> None:
        await wire.head()
        wire.send(answer)

    return script
