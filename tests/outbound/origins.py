"""Origins on loopback that see and send exact bytes."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeAlias

import trustme

Handler: TypeAlias = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
Serve: TypeAlias = Callable[..., Awaitable[int]]

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
"""An answer with a body."""

CUT = [
    b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc",
    b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n",
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nab",
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n",  # no last chunk
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n",  # no end of trailers
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\nzz\r\n",  # no chunk size
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nabcd\r\n",  # longer than it says
]
"""Answers whose body breaks off."""


class Origins:
    """Servers whose every connection is one call of their handler."""

    def __init__(self) -> None:
        self._servers: list[asyncio.Server] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._failures: list[Exception] = []

    async def serve(
        self, handler: Handler, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None
    ) -> int:
        """Start one. Returns its port."""

        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            self._tasks.add(task)
            try:
                await handler(reader, writer)
            except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                pass  # the client has closed, or the test is over
            except Exception as error:
                self._failures.append(error)
            finally:
                self._tasks.discard(task)
                writer.close()

        server = await asyncio.start_server(connected, host, 0, ssl=tls)
        self._servers.append(server)
        return int(server.sockets[0].getsockname()[1])

    async def aclose(self) -> None:
        """Stop all, and raise what a handler raised."""
        for server in self._servers:
            server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for failure in self._failures:
            raise failure


async def read_request(reader: asyncio.StreamReader) -> bytes:
    """The bytes of one request, head and body as they were sent."""
    raw = await reader.readuntil(b"\r\n\r\n")
    if b"transfer-encoding: chunked" in raw:
        while not raw.endswith(b"\r\n0\r\n\r\n"):
            raw += await reader.readuntil(b"\r\n")
    elif b"content-length: " in raw:
        raw += await reader.readexactly(int(raw.split(b"content-length: ")[1].split(b"\r\n")[0]))
    return raw


class Recorder:
    """An origin's handler that keeps what it was sent, and always answers the same."""

    def __init__(self, answer: bytes = OK, *, close: bool = False) -> None:
        self._answer = answer
        self._close = close
        self.requests: list[bytes] = []
        self.connections = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        while True:
            self.requests.append(await read_request(reader))
            writer.write(self._answer)
            await writer.drain()
            if self._close:
                return


def reset(writer: asyncio.StreamWriter) -> None:
    """Close with a TCP reset, after what was written."""
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.close()


class Authority:
    """A certificate authority, as a file to trust and as certificates for servers."""

    def __init__(self, folder: Path) -> None:
        self._authority = trustme.CA()
        path = folder / "ca.pem"
        self._authority.cert_pem.write_to_path(str(path))
        self.file = str(path)

    def server(self, *names: str, **options: object) -> ssl.SSLContext:
        """A server's TLS context with a certificate for `names`."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._authority.issue_cert(*names, **options).configure_cert(context)  # type: ignore[arg-type]
        return context
