"""A link connects when it is needed, once for all callers, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
import pytest

from sluice.http2 import frames
from sluice.http2.fields import NO_TABLE, Decoder, encode
from sluice.http2.frames import PREFACE, frame
from sluice.rpc.call import Call
from sluice.rpc.envelope import envelope
from sluice.rpc.link import Link
from sluice.rpc.status import HEAD_BLOCK, OK
from tests.http2.wire import SETTINGS, Wire
from tests.rpc.peers import HOST, MOST, NAME, Certificates, calling, our_server, path, serving

CODE = grpc.StatusCode


class Listener:
    """A server that says nothing by itself."""

    def __init__(self) -> None:
        self.wires: asyncio.Queue[Wire] = asyncio.Queue()
        self.all: list[Wire] = []
        self.port = 0

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take a connection."""
        self.all.append(Wire(reader, writer))
        self.wires.put_nowait(self.all[-1])

    async def agreed(self) -> Wire:
        """The next connection, with settings exchanged."""
        wire = await self.wires.get()
        wire.send(SETTINGS)
        assert await wire.reader.readexactly(len(PREFACE)) == PREFACE
        return wire


@asynccontextmanager
async def linked(tls: Certificates | None = None) -> AsyncIterator[tuple[Link, Listener]]:
    """A link to a server that says nothing by itself. Both leave no task behind."""
    before = asyncio.all_tasks()
    listener = Listener()
    server = await asyncio.start_server(listener.accept, HOST)
    listener.port = server.sockets[0].getsockname()[1]
    link = Link(HOST, listener.port, MOST, tls.for_link() if tls else None, NAME if tls else None)
    try:
        yield link, listener
    finally:
        await link.close()
        server.close()
        for wire in listener.all:
            wire.writer.transport.abort()
        assert not link._connections
        assert asyncio.all_tasks() <= before


def failed(call: asyncio.Task[Call]) -> tuple[grpc.StatusCode, str]:
    """How a call could not begin."""
    error = call.exception()
    assert isinstance(error, grpc.aio.AioRpcError)
    return error.code(), error.details() or ""


def answer(wire: Wire, number: int, message: bytes) -> None:
    """Answer a call."""
    wire.head(number, block=HEAD_BLOCK)
    wire.data(number, envelope(message))
    wire.head(number, end=True, block=OK.block(alone=False))


async def test_one_attempt_for_many() -> None:
    """Who calls while the link connects waits for the same connection; nobody does before."""
    async with linked() as (link, listener):
        assert listener.wires.empty()
        calls = [asyncio.create_task(link.call("/a", (), b"x", whole=True)) for _ in range(20)]
        wire = await listener.agreed()
        assert len({call.id for call in await asyncio.gather(*calls)}) == 20
        assert listener.wires.empty()
        await wire.next(frames.DATA)


async def test_an_ipv6_peer() -> None:
    """An address of IPv6 is written in brackets where a port follows (RFC 3986 section 3.2.2)."""
    listener = Listener()
    server = await asyncio.start_server(listener.accept, "::1")
    port = server.sockets[0].getsockname()[1]
    link = Link("::1", port, MOST)
    call = asyncio.create_task(link.call("/a", (), b"x", whole=True))
    wire = await listener.agreed()
    head = (await wire.next(frames.HEADERS)).payload.removeprefix(NO_TABLE)
    assert dict(Decoder(1 << 16).decode(head))[b":authority"] == f"[::1]:{port}".encode()
    await call
    await link.close()
    server.close()
    wire.writer.transport.abort()


async def test_a_caller_leaves() -> None:
    """Who is cancelled while the link connects leaves the attempt to the others."""
    async with linked() as (link, listener):
        first, second = (asyncio.create_task(link.call("/a", (), b"x")) for _ in range(2))
        wire = await listener.wires.get()
        first.cancel()
        await asyncio.wait([first])
        assert first.cancelled()
        wire.send(SETTINGS)
        assert (await second).id == 1
        assert listener.wires.empty()


async def test_all_callers_leave() -> None:
    """The attempt that nobody waits for any more is the next caller's."""
    async with linked() as (link, listener):
        first = asyncio.create_task(link.call("/a", (), b"x"))
        wire = await listener.wires.get()
        first.cancel()
        await asyncio.wait([first])
        second = asyncio.create_task(link.call("/a", (), b"x"))
        wire.send(SETTINGS)
        assert (await second).id == 1
        assert listener.wires.empty()


async def test_down_and_up() -> None:
    """A peer that is down fails calls at once, within a pause by the same attempt; then it is back."""
    server = our_server()
    port = await server.start(HOST, 0)
    await server.stop(0)
    async with calling("ours", port) as client:
        link = client.link  # type: ignore[attr-defined]
        details = set()
        for _ in range(5):
            call = asyncio.create_task(link.call(path("unary"), (), b"x", whole=True))
            await asyncio.wait([call])
            code, text = failed(call)
            assert code is CODE.UNAVAILABLE
            details.add(text)
        assert len(details) == 1
        assert f"cannot reach {HOST}:{port}" in details.pop()
        first = link._pause_ends
        link._pause_ends = 0.0  # as if the pause were over
        await asyncio.wait([asyncio.create_task(link.call(path("unary"), (), b"x"))])
        assert link._pause_ends > first  # another attempt, and a longer pause
        assert link._pause > 0.16
        link._pause_ends = 0.0
        again = our_server()
        await again.start(HOST, port)
        try:
            got = await client.call("nothing", b"x")
            assert got.code is CODE.UNIMPLEMENTED
        finally:
            await again.stop(0)


async def test_reconnects() -> None:
    """A connection that is lost ends its calls; the next call makes a new one."""
    async with linked() as (link, listener):
        call = asyncio.create_task(link.call("/a", (), b"x", whole=True))
        wire = await listener.agreed()
        lost = await call
        wire.writer.transport.abort()
        assert (await lost.end()).code is CODE.UNAVAILABLE
        again = asyncio.create_task(link.call("/a", (), b"x", whole=True))
        wire = await listener.agreed()
        back = await again
        answer(wire, 1, b"back")
        assert await back.read() == b"back"


async def left_and_called_again(
    link: Link, listener: Listener
) -> tuple[tuple[Wire, Call], tuple[Wire, Call]]:
    """A connection that the peer leaves while a call is in flight, and the one of the next call."""

    async def called() -> tuple[Wire, Call]:
        call = asyncio.create_task(link.call("/a", (), b"x", whole=True))
        return await listener.agreed(), await call

    old, first = await called()
    old.send(frame(frames.GOAWAY, 0, 0, frames.word(1) + bytes(4)))
    await old.synced()
    return (old, first), await called()


async def test_a_peer_that_goes_away() -> None:
    """Calls go to a new connection, and those in flight are answered by the old one."""
    async with linked() as (link, listener):
        (old, first), (new, second) = await left_and_called_again(link, listener)
        answer(old, 1, b"old")
        answer(new, 1, b"new")
        assert (await first.read(), await second.read()) == (b"old", b"new")
        await old.ended()


async def test_close_ends_calls_of_all_connections() -> None:
    """Closing cancels what is in flight, on a connection that the peer has left too."""
    async with linked() as (link, listener):
        (old, first), (_, second) = await left_and_called_again(link, listener)
        await link.close()
        assert (await first.end()).code is (await second.end()).code is CODE.CANCELLED
        await old.ended()


async def test_close_while_connecting() -> None:
    """Whoever waits for a connection learns that there will be none, and is not cancelled itself."""
    async with linked() as (link, listener):
        call = asyncio.create_task(link.call("/a", (), b"x"))
        wire = await listener.wires.get()
        await link.close()
        await asyncio.wait([call])
        assert failed(call)[0] is CODE.CANCELLED
        await wire.ended()


async def test_close_before_the_attempt() -> None:
    """Likewise where the attempt has not even begun; and there is no other after the end."""
    async with linked() as (link, listener):
        call = asyncio.create_task(link.call("/a", (), b"x"))
        await asyncio.sleep(0)
        await link.close()
        await asyncio.wait([call])
        assert failed(call)[0] is CODE.CANCELLED
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await link.call("/a", (), b"x")
        assert raised.value.code() is CODE.CANCELLED
        await link.close()
        assert listener.wires.empty()


@pytest.mark.parametrize("how", ["closes", "says what is no HTTP/2", "leaves at once"])
async def test_no_peer(how: str) -> None:
    """A peer that accepts, and is none, is UNAVAILABLE, at once."""
    async with linked() as (link, listener):
        call = asyncio.create_task(link.call("/a", (), b"x"))
        wire = await listener.wires.get()
        if how == "says what is no HTTP/2":
            wire.send(b"SSH-2.0-OpenSSH_9.6\r\n")
        elif how == "leaves at once":
            wire.send(SETTINGS, frame(frames.GOAWAY, 0, 0, bytes(8)))
        wire.writer.close()
        await asyncio.wait([call])
        code, details = failed(call)
        assert code is CODE.UNAVAILABLE
        assert "cannot reach" in details


async def test_full() -> None:
    """A peer that takes no more streams is UNAVAILABLE for one more, and takes the next."""
    async with linked() as (link, listener):
        first = asyncio.create_task(link.call("/a", (), b"x", whole=True))
        wire = await listener.agreed()
        call = await first
        wire.send(frames.settings({3: 1}))
        await wire.synced()
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await link.call("/a", (), b"x", whole=True)
        assert raised.value.code() is CODE.UNAVAILABLE
        answer(wire, 1, b"done")
        assert await call.read() == b"done"
        assert await call.read() is None
        assert (await link.call("/a", (), b"x", whole=True)).id == 3


async def test_cancelled_while_it_sends() -> None:
    """Who is cancelled while the first message waits for the window ends the call."""
    async with linked() as (link, listener):
        task = asyncio.create_task(link.call("/a", (), bytes(100_000), whole=True))
        wire = await listener.agreed()
        sent = 0
        while sent < 65_535:
            sent += len((await wire.next(frames.DATA)).payload)
        task.cancel()
        assert (await wire.next(frames.RST_STREAM)).stream == 1


async def test_another_name(certificates: Certificates) -> None:
    """A peer whose certificate names another is not spoken to."""
    async with serving("ours", certificates) as (port, _):
        link = Link(HOST, port, MOST, certificates.for_link(), "another.test")
        call = asyncio.create_task(link.call("/a", (), b"x"))
        await asyncio.wait([call])
        assert failed(call)[0] is CODE.UNAVAILABLE
        assert "another.test" in failed(call)[1]
        await link.close()


async def test_no_alpn(certificates: Certificates) -> None:
    """A peer of TLS that does not choose HTTP/2 is none (RFC 9113 section 3.3)."""
    context = certificates.for_server()
    context.set_alpn_protocols([])
    server = await asyncio.start_server(lambda _, writer: writer.close(), HOST, ssl=context)
    port = server.sockets[0].getsockname()[1]
    link = Link(HOST, port, MOST, certificates.for_link(), NAME)
    call = asyncio.create_task(link.call("/a", (), b"x"))
    await asyncio.wait([call])
    assert failed(call)[0] is CODE.UNAVAILABLE
    await link.close()
    server.close()


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (frame(frames.HEADERS, 5, 1, encode([(b":status", b"503")])), CODE.UNAVAILABLE),
        (frame(frames.HEADERS, 4, 1, encode([(b":status", b"503")])), CODE.UNAVAILABLE),
        (frame(frames.HEADERS, 4, 1, HEAD_BLOCK) * 2, CODE.INTERNAL),  # two heads
        (frame(frames.HEADERS, 4, 1, HEAD_BLOCK) + frame(frames.DATA, 1, 1), CODE.INTERNAL),
        (frame(frames.HEADERS, 4, 1, HEAD_BLOCK) + frame(frames.DATA, 0, 1, b"\0\0") + frame(frames.HEADERS, 5, 1, OK.block(alone=False)), CODE.INTERNAL),
        (frame(frames.HEADERS, 4, 1, HEAD_BLOCK) + frame(frames.DATA, 0, 1, b"\1\0\0\0\0"), CODE.UNIMPLEMENTED),
        (frame(frames.RST_STREAM, 0, 1, frames.word(7)), CODE.UNAVAILABLE),
        (frame(frames.RST_STREAM, 0, 1, frames.word(99)), CODE.INTERNAL),
    ],
    ids=["HTTP alone", "HTTP", "heads", "no status", "cut", "compressed", "refused", "reset"],
)  # fmt: skip
@pytest.mark.parametrize("whole", [True, False])
async def test_no_answer(said: bytes, code: grpc.StatusCode, whole: bool) -> None:
    """What is no answer of gRPC ends the call, and nothing of it is left on the connection."""
    async with linked() as (link, listener):
        task = asyncio.create_task(link.call("/a", (), b"x", whole=whole))
        wire = await listener.agreed()
        call = await task
        wire.send(said)
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await call.read()
        assert raised.value.code() is code
        assert not call.connection.streams


@pytest.mark.parametrize("how", ["answered", "cancelled", "failed", "lost"])
async def test_no_cycles(how: str, tls: Certificates | None) -> None:
    """A call, and the connection that is closed, are gone without the collector."""
    async with serving("ours", tls) as (port, shapes), calling("ours", port, tls) as client:
        link = client.link  # type: ignore[attr-defined]
        await client.call("unary", b"x")
        gc.collect()
        gc.disable()
        try:
            method = {"failed": "fail", "answered": "unary"}.get(how, "wait")
            call = await link.call(path(method), (), b"x", whole=True)
            connection, gone = weakref.ref(call.connection), weakref.ref(call._inbox.messages)
            if how == "answered":
                assert await call.read() == b"x"
                assert await call.read() is None
            elif how == "failed":
                assert (await call.end()).code is CODE.UNKNOWN
            else:
                await shapes.began.wait()
                if how == "cancelled":
                    call.cancel()
                else:
                    call.connection.abort()
                await call.end()
            over = call.connection.over
            del call
            assert gone() is None
            await link.close()
            await over
            del over
            await asyncio.sleep(0)
            assert connection() is None
        finally:
            gc.enable()
