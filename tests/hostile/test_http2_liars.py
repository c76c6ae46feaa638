"""A server that lies: a link to it ends its calls, keeps none of them, and is used again."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import grpc
import pytest

from sluice.rpc.call import Call
from sluice.rpc.link import Link
from tests.hostile.frames import (
    ACK,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    PREFACE,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    Peer,
    fields,
    frame,
    message,
    word,
)

Lie = Callable[[Peer], Awaitable[None]]
"""What the server does with a connection."""

AGREE = frame(SETTINGS, 0, 0)
LEAVE = frame(GOAWAY, 0, 0, word(0) + word(0))
HEAD = fields((":status", "200"), ("content-type", "application/grpc"))
OK = fields(("grpc-status", "0"))
MOST = 1 << 16


@asynccontextmanager
async def linked(*lies: Lie) -> AsyncIterator[Link]:
    """A link to a server that tells each connection the next of these lies, then the last."""
    left, tasks = list(lies), list[asyncio.Task[None]]()

    async def tell(reader: asyncio.StreamReader, peer: Peer) -> None:
        try:
            assert await reader.readexactly(len(PREFACE)) == PREFACE
            await (left.pop(0) if len(left) > 1 else left[0])(peer)
            await peer.discard()
        finally:
            peer.abort()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.append(asyncio.create_task(tell(reader, Peer(reader, writer))))

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    link = Link("127.0.0.1", server.sockets[0].getsockname()[1], MOST)
    try:
        async with asyncio.timeout(20):
            yield link
    finally:
        await link.close()
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def ask(link: Link) -> bytes | None:
    """The answer to a call; `AioRpcError` without."""
    call = await link.call("/a/b", (), b"question", whole=True)
    answer = await call.read()
    assert await call.read() is None
    return answer


async def code(link: Link) -> grpc.StatusCode:
    """How a call ends."""
    try:
        await ask(link)
    except grpc.aio.AioRpcError as error:
        return error.code()
    return grpc.StatusCode.OK


async def honest(peer: Peer) -> None:
    """Answer each call."""
    await peer.send(AGREE)
    while (came := await peer.read()) is not None:
        if came.kind == DATA and came.flags & END_STREAM:
            await peer.send(
                frame(HEADERS, END_HEADERS, came.stream, HEAD),
                frame(DATA, 0, came.stream, message(b"answer")),
                frame(HEADERS, END_HEADERS | END_STREAM, came.stream, OK),
            )


def says(*data: bytes) -> Lie:
    """A server that says this at once."""

    async def lie(peer: Peer) -> None:
        await peer.send(*data)

    return lie


def answers(*data: bytes) -> Lie:
    """A server that says this to its first call, whose number is 1."""

    async def lie(peer: Peer) -> None:
        await peer.send(AGREE)
        await peer.until(DATA, 1, END_STREAM)
        await peer.send(*data)

    return lie


@pytest.mark.parametrize(
    "lie",
    [
        says(AGREE, LEAVE),  # a server that is being stopped says just that
        says(AGREE, b"\xff" * 9),
        says(AGREE, frame(DATA, 0, 0)),
        says(LEAVE),
        says(b"HTTP/1.1 400 Bad Request\r\n\r\n"),
    ],
    ids=["leaves", "garbage", "a broken rule", "leaves first", "HTTP/1.1"],
)
async def test_a_connection_that_is_over_at_once(lie: Lie) -> None:
    """The call ends, and a later one is made over another connection."""
    async with linked(lie, honest) as link:
        assert await code(link) is grpc.StatusCode.UNAVAILABLE
        for _ in range(200):  # a link waits a little before it connects again
            if await code(link) is grpc.StatusCode.OK:
                return
            await asyncio.sleep(0.02)
        raise AssertionError("no connection is made any more")


@pytest.mark.parametrize(
    ("lie", "expected"),
    [
        ((frame(HEADERS, END_HEADERS, 1, HEAD),) * 2, grpc.StatusCode.INTERNAL),
        ((frame(HEADERS, END_HEADERS, 1, fields((":status", "404"))),), grpc.StatusCode.UNIMPLEMENTED),
        ((frame(HEADERS, END_HEADERS, 1, fields((":status", "x"))),), grpc.StatusCode.UNKNOWN),
        ((frame(HEADERS, END_HEADERS, 1, OK),), grpc.StatusCode.UNKNOWN),
        ((frame(HEADERS, END_HEADERS, 1, HEAD), frame(DATA, END_STREAM, 1)), grpc.StatusCode.INTERNAL),
        ((frame(HEADERS, END_HEADERS, 1, HEAD), frame(DATA, 0, 1, message(b"", MOST + 1))), grpc.StatusCode.RESOURCE_EXHAUSTED),
        ((frame(HEADERS, END_HEADERS, 1, HEAD), frame(DATA, 0, 1, b"\1\0\0\0\0")), grpc.StatusCode.UNIMPLEMENTED),
        ((frame(HEADERS, END_HEADERS, 1, HEAD), frame(DATA, 0, 1, b"\0\0"), frame(HEADERS, END_HEADERS | END_STREAM, 1, OK)), grpc.StatusCode.INTERNAL),
        ((frame(HEADERS, END_HEADERS | END_STREAM, 1, fields(("grpc-status", "99999999999999999999"))),), grpc.StatusCode.UNKNOWN),
        ((frame(HEADERS, END_HEADERS | END_STREAM, 1, fields(("grpc-status", "-1"), ("grpc-message", "%f%zz%FF%"))),), grpc.StatusCode.UNKNOWN),
        ((frame(HEADERS, END_HEADERS | END_STREAM, 1, fields(("grpc-status", "5"), ("grpc-status-details-bin", "*"))),), grpc.StatusCode.NOT_FOUND),
        ((frame(HEADERS, END_HEADERS | END_STREAM, 1, fields(("grpc-status", "0"), ("grpc-status", "7"))),), grpc.StatusCode.PERMISSION_DENIED),
        ((frame(HEADERS, END_HEADERS | END_STREAM, 1),), grpc.StatusCode.UNKNOWN),
        ((frame(RST_STREAM, 0, 1, word(0)),), grpc.StatusCode.INTERNAL),
        ((frame(RST_STREAM, 0, 1, word(2**32 - 1)),), grpc.StatusCode.INTERNAL),
        ((LEAVE,), grpc.StatusCode.UNAVAILABLE),
        ((frame(WINDOW_UPDATE, 0, 3, word(1)),), grpc.StatusCode.INTERNAL),
        ((frame(PUSH_PROMISE, END_HEADERS, 1, word(2)),), grpc.StatusCode.INTERNAL),
        ((frame(HEADERS, END_HEADERS, 2, HEAD),), grpc.StatusCode.INTERNAL),
    ],
    ids=["two heads", "404", "no status", "no head", "no trailers", "large", "compressed", "half a message", "a large status", "no status number", "no details", "two statuses", "nothing", "reset", "an odd reset", "leaves", "no such stream", "push", "a stream of its own"],
)  # fmt: skip
async def test_an_answer_that_is_none(lie: tuple[bytes, ...], expected: grpc.StatusCode) -> None:
    """The call ends with a status that says so, and nothing of it is kept."""
    async with linked(answers(*lie)) as link:
        assert await code(link) is expected
        gc.collect()
        assert [one for one in gc.get_objects() if isinstance(one, Call)] == []


async def test_no_word_of_what_is_lost(caplog: pytest.LogCaptureFixture) -> None:
    """A connection that is lost while nobody waits for it leaves no exception behind."""
    async with linked(says(b"\xff" * 64)) as link:
        for _ in range(5):
            assert await code(link) is grpc.StatusCode.UNAVAILABLE
        gc.collect()
    assert caplog.records == []


async def test_leaving_again_and_again() -> None:
    """100,000 GOAWAY for 2,000 calls in flight cost what so many frames cost."""
    flood = b"".join(
        frame(GOAWAY, 0, 0, word(2**31 - 1 - count) + word(0)) for count in range(100_000)
    )

    async def lie(peer: Peer) -> None:
        await peer.send(AGREE)
        await peer.until(HEADERS, 2 * 2_000 - 1)
        await peer.send(flood, frame(SETTINGS, ACK, 0), LEAVE)

    async with linked(lie) as link:
        loop = asyncio.get_running_loop()
        calls = [await link.call("/a/b", (), b"question", whole=True) for _ in range(2_000)]
        began = loop.time()
        ends = [await call.end() for call in calls]
        assert {end.code for end in ends} == {grpc.StatusCode.UNAVAILABLE}
        assert loop.time() - began < 3


async def test_messages_before_a_wrong_one() -> None:
    """What came before something that is no message is read once, and then the error."""
    several = message(b"a") * 3 + b"\1\0\0\0\0"
    lie = answers(frame(HEADERS, END_HEADERS, 1, HEAD), frame(DATA, 0, 1, several))
    async with linked(lie) as link:
        call = await link.call("/a/b", (), b"question", whole=True)
        assert [await call.read() for _ in range(3)] == [b"a"] * 3
        with pytest.raises(grpc.aio.AioRpcError, match="compressed"):
            await call.read()


@pytest.mark.parametrize(
    "wrong", [b"\1" + message(b"x")[1:], b"\0\xff\xff\xff\xff"], ids=["flag", "size"]
)
async def test_what_is_no_message_behind_many(wrong: bytes) -> None:
    """It is no clean end, though the status says that all is well: the messages before it are read."""
    many = b"".join(message(b"%d" % number) for number in range(300))

    async def lie(peer: Peer) -> None:
        await peer.send(AGREE)
        await peer.until(DATA, 1)
        await peer.send(
            frame(HEADERS, END_HEADERS, 1, HEAD),
            frame(DATA, 0, 1, many + wrong),
            frame(HEADERS, END_HEADERS | END_STREAM, 1, OK),
        )

    async with linked(lie) as link:
        call = await link.call("/a/b", (), b"question", whole=True)
        assert [await call.read() for _ in range(300)] == [b"%d" % number for number in range(300)]
        with pytest.raises(grpc.aio.AioRpcError):
            await call.read()
