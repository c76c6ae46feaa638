"""One connection to a server, by hand: what it costs is bounded, and calls beside it are answered."""

from __future__ import annotations

import asyncio
import time
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import Any

import grpc
import pytest

from sluice.http2.limits import Limits
from sluice.rpc.context import Context
from sluice.rpc.link import Link
from sluice.rpc.server import LIMITS, Server
from sluice.rpc.status import Status
from tests.hostile.frames import (
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    PING,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    Peer,
    call,
    client,
    field,
    frame,
    message,
    streams,
    word,
)

KIB, MIB = 1 << 10, 1 << 20
MOST = 4 * MIB
LARGE = bytes(MIB)
CALM = word(0xB)
WIDE = b"\0\4" + word(2**31 - 1)
"""A window for each stream that is never used up."""


class Site:
    """A server with a few methods, and how many of its calls have ended."""

    def __init__(self, limits: Limits, connections: int) -> None:
        self.server = Server(MOST, self._explain, limits=limits, max_connections=connections)
        self.begun = self.ended = 0
        self.port = 0
        methods = {
            "Echo": self._echo,
            "Deaf": self._deaf,
            "Kilobyte": self._kilobyte,
            "Large": self._large,
        }
        self.server.add_registered_method_handlers(
            "t",
            {
                name: grpc.stream_stream_rpc_method_handler(self._counted(method))
                for name, method in methods.items()
            },
        )

    def _counted(self, method: Any) -> Any:
        async def serve(_: object, context: Context) -> None:
            self.begun += 1
            try:
                await method(context)
            finally:
                self.ended += 1

        return serve

    async def _echo(self, context: Context) -> None:
        while (data := await context.read()) is not None:
            await context.write(data)

    async def _deaf(self, _: Context) -> None:
        """Read nothing, as where a Worker reads no body."""
        await asyncio.Event().wait()

    async def _kilobyte(self, context: Context) -> None:
        await context.write(bytes(1000))

    async def _large(self, context: Context) -> None:
        await context.read()
        await context.write(LARGE)

    def _explain(self, method: str, error: Exception) -> Status:
        raise AssertionError(method) from error

    @asynccontextmanager
    async def linked(self) -> AsyncIterator[Link]:
        """A link of a caller that means well."""
        link = Link("127.0.0.1", self.port, MOST)
        try:
            yield link
        finally:
            await link.close()

    async def answers(self, link: Link) -> None:
        """Whether a call over this link is answered."""
        asked = await link.call("/t/Echo", (), b"question", whole=True)
        assert await asked.read() == b"question"
        assert await asked.read() is None


@asynccontextmanager
async def served(connections: int = 10, **limits: Any) -> AsyncIterator[Site]:
    """A site with other limits than usual, which answers other connections all the time."""
    site = Site(replace(LIMITS, **limits), connections)
    site.port = await site.server.start("127.0.0.1", 0)
    try:
        async with asyncio.timeout(40), site.linked() as link:
            yield site
            await site.answers(link)
    finally:
        await site.server.stop(0)
    assert site.begun == site.ended


def begin(count: int, method: str = "Deaf") -> bytes:
    """The heads of calls."""
    head = call(f"/t/{method}")
    return b"".join(frame(HEADERS, END_HEADERS, number, head) for number in streams(count))


def ask(count: int, method: str) -> bytes:
    """Calls, each of an empty message."""
    head = call(f"/t/{method}")
    return b"".join(
        frame(HEADERS, END_HEADERS, number, head) + frame(DATA, END_STREAM, number, message(b""))
        for number in streams(count)
    )


async def refused(peer: Peer) -> list[int]:
    """Streams that the server has reset since, with a word about calm."""
    await peer.send(frame(PING, 0, 0, b"finished"))
    found = []
    while (came := await peer.read()) is not None and came.payload != b"finished":
        if came.kind == RST_STREAM:
            assert came.payload == CALM
            found.append(came.stream)
    return found


async def calmed(peer: Peer) -> None:
    """Wait for the end of the connection, for want of calm."""
    assert (await peer.until(GOAWAY, 0)).payload[4:8] == CALM
    await peer.discard()


async def test_bodies_that_nobody_reads() -> None:
    """Calls whose bodies wait unread, as many as there may be, keep no other call of theirs waiting.

    The connection is the dispatcher's, for the clients of all Workers: the Worker of one that reads
    no bodies must not stop the others'.
    """
    async with served() as site, site.linked() as link:
        deaf = [await link.call("/t/Deaf", (), b"question") for _ in range(1500)]
        writers = [asyncio.create_task(each.write(bytes(200 * KIB))) for each in deaf]
        while site.begun < len(deaf):  # noqa: ASYNC110  # no event of ours: it is the server's
            await asyncio.sleep(0.01)
        async with asyncio.timeout(10):
            await site.answers(link)
        for each in deaf:
            each.cancel()
        await asyncio.gather(*writers, return_exceptions=True)


async def test_messages_that_never_end() -> None:
    """The beginnings of long messages are kept up to a limit, for all of a connection's calls."""
    async with served(unfinished=MIB) as site, client("127.0.0.1", site.port) as peer:
        begins = message(bytes(16_000), MOST)
        await peer.send(begin(100), *(frame(DATA, 0, number, begins) for number in streams(100)))
        gone = await refused(peer)
        assert len(gone) == 100 - MIB // len(begins)
        one = min(gone) - 2  # which goes on, in the place of another
        await peer.send(frame(RST_STREAM, 0, 1, word(8)), frame(DATA, 0, one, bytes(16_000)))
        assert await refused(peer) == []


async def test_answers_that_nobody_takes() -> None:
    """Answers wait for windows up to a limit, for all of a connection's calls."""
    async with served(unfinished=8 * MIB) as site, client("127.0.0.1", site.port) as peer:
        await peer.send(ask(20, "Large"))
        while site.begun < 20:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        assert len(await refused(peer)) == 20 - 8


async def test_a_window_that_never_opens() -> None:
    """A call whose answer is not taken ends after a while, and gives back its place."""
    async with served(stall=0.2) as site, client("127.0.0.1", site.port) as peer:
        await peer.send(ask(1, "Large"))
        assert (await peer.until(RST_STREAM, 1)).payload == CALM
        await peer.pong()
        assert site.ended == 1


@pytest.mark.parametrize(
    "head",
    [call("/t/Echo") + field("x", "a" * 100) * 80, call("/t/Echo") + b"\0\0\0" * 256],
    ids=["long", "many"],
)
async def test_a_long_head(head: bytes) -> None:
    """A head of 8 KiB or more, with 32 bytes for each line, ends the connection."""
    async with served() as site, client("127.0.0.1", site.port) as peer:
        await peer.send(frame(HEADERS, END_HEADERS, 1, head))
        await calmed(peer)
        assert site.begun == 0


async def test_windows_that_change_all_the_time() -> None:
    """Settings that change the window of 4,000 streams 10,000 times are not obeyed so often."""
    async with served() as site, client("127.0.0.1", site.port) as peer:
        flood = frame(SETTINGS, 0, 0, b"\0\4" + word(0)) + frame(SETTINGS, 0, 0, b"\0\4" + word(9))
        began = time.process_time()
        await peer.send(begin(4000), flood * 5000)
        await calmed(peer)
        assert time.process_time() - began < 3


async def test_windows_that_open_byte_by_byte() -> None:
    """500 bytes more, one by one, for 2,000 answers that wait cost what so many frames cost."""
    async with served() as site, client("127.0.0.1", site.port, WIDE) as peer:
        await peer.send(ask(2000, "Kilobyte"))
        got = 0
        while got < 65_535:
            came = await peer.read()
            assert came is not None
            got += len(came.payload) if came.kind == DATA else 0
        began = time.process_time()
        for _ in range(500):
            await peer.send(frame(WINDOW_UPDATE, 0, 0, word(1)))
            await peer.pong()
        assert time.process_time() - began < 2


async def test_a_deaf_peer() -> None:
    """A peer that asks and reads nothing is left, when enough waits for it."""
    async with served(unread=64 * KIB) as site, client("127.0.0.1", site.port) as peer:
        flood = frame(PING, 0, 0, bytes(8)) * 1000
        with pytest.raises(ConnectionError):
            await peer.send_always(flood)


async def test_many_connections() -> None:
    """A connection too many takes the place of the oldest without a call, or is not served."""
    async with served(3) as site, AsyncExitStack() as stack:
        peers = []
        for calls in (1, 0, 0, 1, 1):  # the second and the third have to go
            peer = await stack.enter_async_context(client("127.0.0.1", site.port))
            await peer.send(begin(calls))
            await peer.pong()
            peers.append(peer)
        await peers[1].discard()
        await peers[2].discard()
        late = await stack.enter_async_context(client("127.0.0.1", site.port))
        await late.discard()
        await peers[0].pong()
        peers[0].abort()


async def test_small_messages_that_nobody_reads() -> None:
    """Messages of two bytes, 64 KiB of them in each of 100 calls, are kept as the bytes they are."""
    async with served() as site, client("127.0.0.1", site.port, WIDE) as peer:
        several = message(b"ab") * 2340
        tracemalloc.start()
        try:
            for number in streams(100):
                await peer.send(frame(HEADERS, END_HEADERS, number, call("/t/Deaf")))
                for _ in range(4):
                    await peer.send(frame(DATA, 0, number, several))
            await peer.pong()
            kept, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert kept < 20 * MIB


async def test_small_messages_are_read() -> None:
    """8,000 messages that came at once are read one by one, and what is wrong behind them is said."""
    async with served() as site, client("127.0.0.1", site.port, WIDE) as peer:
        await peer.send(frame(WINDOW_UPDATE, 0, 0, word(MIB)), begin(1, "Echo"))
        several = message(b"ab") * 2000
        for _ in range(4):
            await peer.send(frame(DATA, 0, 1, several))
        await peer.send(frame(DATA, END_STREAM, 1, b"\1\0\0\0\0"))
        await peer.until(HEADERS, 1)
        got = b""
        while (came := await peer.read()) is not None and came.kind != HEADERS:
            got += came.payload if came.kind == DATA else b""
        assert got == several * 4
        assert came is not None
        assert b"compressed" in came.payload
