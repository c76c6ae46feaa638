"""What an isolate answers: read by the client, then written for the one who asked.

The first byte says how it was asked (its lowest two bits) and how the connection ends, the second
in what pieces the rest comes.
"""

from __future__ import annotations

import asyncio
import contextlib

from fuzz.target import Target
from fuzz.transport import Deaf, Wire, pieces, run, turns
from sluice.http1 import handshake, outgoing
from sluice.http1.client_connection import ClientConnection
from sluice.http1.incoming import Incoming
from sluice.http1.outgoing import Outgoing
from sluice.http1.response_reader import ResponseReader
from sluice.isolate import control
from sluice.pb import http_pb2
from sluice.wire.body import Whole
from sluice.wire.errors import SluiceError
from sluice.wire.messages import Response, has_body, response_from_pb, response_to_pb
from sluice.wire.websocket import WebSocket, message_from_pb, message_to_pb
from tests.bodies import read_all

_METHODS = ("GET", "HEAD", "POST", "GET")
_WEBSOCKET = 3
_KEY = b"AAAAAAAAAAAAAAAAAAAAAA=="
_MOST_HEAD, _MOST_HEADERS, _MOST_MESSAGE, _MOST_BODY = 4096, 64, 4096, 64 * 1024


def _read(data: bytes) -> None:
    run(_ask(data[0] if data else 0, data[1:]))


async def _ask(how: int, data: bytes) -> None:
    method, pumps = _METHODS[how & 3], set[asyncio.Task[None]]()
    key = _KEY if how & 3 == _WEBSOCKET else None
    connection = ClientConnection(
        _MOST_HEAD, _MOST_HEADERS, _MOST_MESSAGE, pumps, lambda connection: connection.close()
    )
    wire = Wire(connection)
    asked = Outgoing(b"", b"", None, None, chunked=False, closes=False, key=key)
    task = asyncio.ensure_future(_exchange(connection, method, asked))
    await turns(lambda: False, most=2)
    await wire.send(pieces(data))
    wire.end() if how & 4 else wire.close()
    assert await turns(lambda: task.done() and connection.lost.done()), "the asker still waits"
    task.result()


async def _exchange(connection: ClientConnection, method: str, asked: Outgoing) -> None:
    try:
        response, said = await connection.exchange(method, asked)
        if error := said.get(control.ERROR):
            control.raise_thrown(error)
        if response.websocket is not None:
            await _listen(response.websocket)
            return
        assert response.status != 101
        body = await read_all(response.body, _MOST_BODY)
    except SluiceError:
        return
    if body is not None:
        with contextlib.suppress(SluiceError):  # a status text with a NUL in it
            _passed_on(response, method, body)


async def _listen(socket: WebSocket) -> None:
    """Read a WebSocket to its end, each message as the contract carries it."""
    while (message := await socket.receive()) is not None:
        carried = http_pb2.WebSocketMessage.FromString(message_to_pb(message).SerializeToString())
        assert message_from_pb(carried) == message
        await socket.send(message)
    await socket.aclose()


def _passed_on(response: Response, method: str, body: bytes) -> None:
    """Carry a response to the asker's service, write it for the asker, and read it as one does."""
    head = http_pb2.HttpResponseHead()
    response_to_pb(response, head)
    head = http_pb2.HttpResponseHead.FromString(head.SerializeToString())
    carried = response_from_pb(head, Whole(body))
    written = outgoing.response(carried, method, chunks=True, close=False)
    reader = ResponseReader(method, 1 << 20, 1 << 10, lambda: arrived)
    arrived = Incoming(Deaf())
    reader.feed(written.head + written.data)
    reader.end(None)
    read = reader.response
    assert read is not None
    assert reader.complete
    assert (read.status, read.headers) == (carried.status, carried.headers)
    assert read.status_text == carried.status_text
    assert arrived.take()[0] == (body if has_body(method, carried.status) else b"")


_OPEN = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
_ACCEPT = b"Sec-WebSocket-Accept: " + handshake.accept_of(_KEY) + b"\r\n\r\n"
_OK = b"HTTP/1.1 200 OK\r\n"
_THROWN = b'X-Sluice-Error: {"kind":"exception","name":"Error","message":"m"}\r\n'

TARGET = Target(
    "response",
    _read,
    {
        "a length": b"\0\0"
        + _OK
        + b"Content-Length: 5\r\nSet-Cookie: a=b\r\nSet-Cookie: c\r\n\r\nhello",
        "chunks": b"\0\x05"
        + _OK
        + b"Transfer-Encoding: chunked\r\n\r\n2;x=y\r\nhi\r\n0\r\nT: t\r\n\r\n",
        "until the end": b"\4\0" + _OK + b"\r\nhello",
        "cut short": b"\0\0" + _OK + b"Content-Length: 50\r\n\r\nhello",
        "interim": b"\4\0HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n" + _OK + b"\r\n",
        "HEAD": b"\1\0" + _OK + b"Content-Length: 5\r\n\r\n",
        "205": b"\2\0HTTP/1.1 205 \r\n\r\n",
        "a phrase": b"\0\1HTTP/1.1 299 It \xe9\r\nContent-Length: 0\r\n\r\n",
        "thrown": b"\0\0HTTP/1.1 500 \r\n" + _THROWN + b"Content-Length: 0\r\n\r\n",
        "bytes behind": b"\0\0" + _OK + b"Content-Length: 0\r\n\r\n" + _OK,
        "a WebSocket": b"\3\0" + _OPEN + _ACCEPT + b"\x81\x05hello\x82\x01a\x88\x02\x03\xe8",
        "fragments, a ping": b"\3\1" + _OPEN + _ACCEPT + b"\x01\x01a\x89\0\x80\x01b\x8a\0\x88\0",
        "refused": b"\7\0HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
        "not accepted": b"\3\0" + _OPEN + b"\r\n",
    },
)
