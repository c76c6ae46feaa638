"""HTTP/1.1 messages as exact bytes, taken apart no further than a test must look at them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

Headers = list[tuple[str, bytes]]

_NO_BODY = (204, 304)


@dataclass
class Message:
    """One message as it was received. `start` and `headers` are exact but for the names' case."""

    start: str
    headers: Headers
    body: bytes = b""
    framing: str = "none"
    """`none`, `length`, `chunked`, or `close` where the end of the connection ends the body."""
    ended: str = "clean"
    """`clean`, or `cut` where the connection ended before the body."""
    interim: list[str] = field(default_factory=list)
    """Start lines of the 1xx responses before it."""

    def value(self, name: str) -> bytes | None:
        """The first header of that name."""
        return next((value for key, value in self.headers if key == name), None)

    @property
    def status(self) -> int:
        """Status of a response."""
        return int(self.start.split(" ", 2)[1])


async def read_head(reader: asyncio.StreamReader) -> tuple[str, Headers]:
    """Start line and headers. Raises `IncompleteReadError` where there is none."""
    raw = await reader.readuntil(b"\r\n\r\n")
    start, *lines = raw[:-4].split(b"\r\n")
    headers = []
    for line in lines:
        name, _, value = line.partition(b":")
        headers.append((name.decode("latin-1").lower(), value.strip(b" \t")))
    return start.decode("latin-1"), headers


async def read_request(reader: asyncio.StreamReader) -> Message:
    """A request with its body."""
    message = Message(*await read_head(reader))
    await read_body(reader, message, until_close=False)
    return message


async def read_response(reader: asyncio.StreamReader, method: str) -> Message:
    """A response with its body, and what interim responses came before."""
    message = await read_response_head(reader)
    if method == "HEAD" or message.status in _NO_BODY:
        message.framing = "length" if message.value("content-length") else "none"
        message.body = await _rest(reader)  # there may be none
    else:
        await read_body(reader, message, until_close=True)
    return message


async def read_response_head(reader: asyncio.StreamReader) -> Message:
    """A response's head, behind the interim ones."""
    interim: list[str] = []
    while True:
        start, headers = await read_head(reader)
        message = Message(start, headers, interim=interim)
        if message.status == 101 or not 100 <= message.status < 200:
            return message
        interim.append(start)


async def read_body(reader: asyncio.StreamReader, message: Message, *, until_close: bool) -> None:
    """Read the body that the head promises into `message`."""
    length, coding = message.value("content-length"), message.value("transfer-encoding")
    try:
        if coding is not None:
            message.framing = "chunked"
            while piece := await read_chunk(reader):
                message.body += piece
        elif length is not None:
            message.framing = "length"
            while len(message.body) < int(length):
                piece = await reader.read(int(length) - len(message.body))
                if not piece:
                    raise asyncio.IncompleteReadError(b"", None)
                message.body += piece
        elif until_close:
            message.framing = "close"
            message.body = await _rest(reader, strict=True)
    except (asyncio.IncompleteReadError, ConnectionError):
        message.ended = "cut"


async def read_chunk(reader: asyncio.StreamReader) -> bytes:
    """One chunk; nothing for the last, with its trailers."""
    size = int((await reader.readuntil(b"\r\n")).split(b";")[0], 16)
    if size:
        return (await reader.readexactly(size + 2))[:-2]
    while await reader.readuntil(b"\r\n") != b"\r\n":
        pass
    return b""


async def _rest(reader: asyncio.StreamReader, *, strict: bool = False) -> bytes:
    pieces = b""
    try:
        while piece := await reader.read(65536):
            pieces += piece
    except ConnectionError:
        if strict:
            raise
    return pieces
