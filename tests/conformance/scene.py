"""What the scenes share: requests by hand, and an origin whose every step is the scene's."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from tests.conformance.case import Case
from tests.conformance.chain import Chain
from tests.conformance.messages import Message
from tests.conformance.origin import Origin, answer

Exchange = tuple[Message, tuple[asyncio.StreamReader, asyncio.StreamWriter]]

CHUNKED = "transfer-encoding: chunked"
CHUNKED_HEAD = b"HTTP/1.1 200 OK\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n"
OK = answer("200 OK", "connection: close").raw


@dataclass
class Scene:
    """One chain and the origin."""

    chain: Chain
    origin: Origin

    def raw(
        self, worker: str, method: str = "GET", *lines: str, body: bytes | None = None
    ) -> bytes:
        """The bytes of a request, to one handler of the user Worker."""
        case = Case("scene", "", worker, method, headers=lines, body=body)
        return case.raw(self.origin.variables)

    def serve_by_hand(self) -> asyncio.Queue[Exchange]:
        """Let the scene answer the origin's requests: their heads, and the connections behind them.

        An answer must close its connection, for the origin reads no second request from it.
        """
        arrived: asyncio.Queue[Exchange] = asyncio.Queue()

        async def converse(
            head: Message, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
        ) -> None:
            arrived.put_nowait((head, (reader, writer)))
            await writer.wait_closed()

        self.origin.conversation = converse
        return arrived


Play = Callable[[Scene], Awaitable[Any]]


def chunk(data: bytes) -> bytes:
    """`data` as one chunk."""
    return b"%x\r\n%b\r\n" % (len(data), data)


async def until_gone(reader: asyncio.StreamReader) -> bytes:
    """What the other end still says before it closes."""
    said = b""
    try:
        while piece := await reader.read(1000):
            said += piece
    except ConnectionError:
        pass
    return said


async def gone(reader: asyncio.StreamReader) -> bool:
    """Whether the other end closes, before it says anything more."""
    return await until_gone(reader) == b""
