"""A server serves what is a call, says what is none, and stops as it is told."""

from __future__ import annotations

import asyncio
import gc
import ssl
import weakref
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest

from sluice.http2 import frames
from sluice.http2.failure import Code
from sluice.http2.fields import Decoder, encode
from sluice.http2.frames import MAX_NUMBER, PREFACE, frame
from sluice.http2.limits import Limits
from sluice.rpc.envelope import envelope
from sluice.rpc.server import Server
from sluice.rpc.status import Status, of_trailers
from tests.http2.wire import SETTINGS, Wire
from tests.rpc.peers import (
    HOST,
    NAME,
    SERVICE,
    Certificates,
    Shapes,
    calling,
    our_server,
    path,
    serving,
)

CODE = grpc.StatusCode
CALL = {
    ":method": "POST",
    ":scheme": "http",
    ":path": path("unary"),
    "te": "trailers",
    "content-type": "application/grpc",
}


def head(**changes: str | None) -> bytes:
    """The head of a call, with some fields otherwise."""
    fields = CALL | {name.replace("_", "-"): value for name, value in changes.items()}
    fields = {":" + name if ":" + name in CALL else name: value for name, value in fields.items()}
    return encode([(name.encode(), value.encode()) for name, value in fields.items() if value])


async def connected(port: int) -> Wire:
    """A client that says nothing by itself."""
    wire = Wire(*await asyncio.open_connection(HOST, port))
    wire.send(PREFACE, SETTINGS)
    await wire.synced()
    return wire


@asynccontextmanager
async def wired(**more: Any) -> AsyncIterator[tuple[Server, Wire, Shapes]]:
    """A server, and a client that says nothing by itself. Nothing is left of either."""
    server, shapes, before = our_server(**more), Shapes(), asyncio.all_tasks()
    shapes.add_to(server)
    wire = await connected(await server.start(HOST, 0))
    try:
        yield server, wire, shapes
    finally:
        wire.writer.transport.abort()
        await server.stop(5)
        assert not server._connections
        assert asyncio.all_tasks() <= before


async def status(wire: Wire) -> Status:
    """How the next call to end ends."""
    got = await wire.next(frames.HEADERS)
    while not got.flags & frames.END_STREAM:
        got = await wire.next(frames.HEADERS)
    return of_trailers(Decoder(1 << 16).decode(got.payload))


@pytest.mark.parametrize(
    ("changes", "code", "details"),
    [
        ({"method": "GET"}, CODE.INTERNAL, "POST"),
        ({"method": None}, CODE.INTERNAL, "POST"),
        ({"content_type": "text/html"}, CODE.INTERNAL, "content-type"),
        ({"content_type": None}, CODE.INTERNAL, "content-type"),
        ({"content_type": "application/grpc+proto"}, CODE.OK, ""),
        ({"grpc_encoding": "gzip"}, CODE.UNIMPLEMENTED, "grpc-encoding"),
        ({"grpc_encoding": "identity"}, CODE.OK, ""),
        ({"grpc_timeout": "soon"}, CODE.INVALID_ARGUMENT, "grpc-timeout"),
        ({"grpc_timeout": "0S"}, CODE.DEADLINE_EXCEEDED, "deadline"),
        ({"grpc_timeout": "99999999H"}, CODE.OK, ""),  # beyond what a clock counts
        ({"path": None}, CODE.UNIMPLEMENTED, "no method"),
        ({"path": "/a/b"}, CODE.UNIMPLEMENTED, "no method /a/b"),
        ({"path": f"/{SERVICE}"}, CODE.UNIMPLEMENTED, "no method"),
        ({"path": path("unary") + "/"}, CODE.UNIMPLEMENTED, "no method"),
        ({"path": "/" + "x" * 1000}, CODE.UNIMPLEMENTED, "no method /xxx"),
    ],
)
async def test_head(changes: dict[str, str | None], code: grpc.StatusCode, details: str) -> None:
    """What is no call of gRPC, or of nothing here, is told what is wrong; the connection stays."""
    async with wired() as (_, wire, _):
        wire.head(1, block=head(**changes))
        if code is not CODE.DEADLINE_EXCEEDED:
            wire.data(1, envelope(b"x"), end=True)
        got = await status(wire)
        assert got.code is code
        assert details in got.details
        assert len(got.details) < 300
        await wire.synced()


@pytest.mark.parametrize(
    ("data", "end", "code"),
    [
        (b"", True, CODE.INVALID_ARGUMENT),  # no message
        (b"\0\0\0\0\5ab", True, CODE.INVALID_ARGUMENT),  # half of one
        (b"\1\0\0\0\1a", False, CODE.UNIMPLEMENTED),  # compressed
        (b"\0\xff\xff\xff\xff", False, CODE.RESOURCE_EXHAUSTED),
    ],
)
@pytest.mark.parametrize("method", ["unary", "joined"])
async def test_message(data: bytes, end: bool, code: grpc.StatusCode, method: str) -> None:
    """What is no message is refused, and where the caller has not ended, it need not go on."""
    async with wired() as (server, wire, _):
        wire.head(1, block=head(path=path(method)))
        wire.data(1, data, end=end)
        got = await status(wire)
        assert got.code is (CODE.OK if method == "joined" and not data else code)
        if not end:
            assert (await wire.next(frames.RST_STREAM)).code is Code.NO_ERROR
        await wire.synced()
        (connection,) = server._connections
        assert connection._taken == 0


async def test_a_method_that_cancels_itself() -> None:
    """A method that ends by a cancellation that nobody asked for still ends its call."""
    async with wired() as (server, wire, _):

        async def cancel(_: object, __: object) -> bytes:
            raise asyncio.CancelledError

        handler = grpc.unary_unary_rpc_method_handler(cancel)
        server.add_registered_method_handlers(SERVICE, {"cancel": handler})
        wire.head(1, block=head(path=path("cancel")))
        wire.data(1, envelope(b""), end=True)
        got = await wire.next(frames.RST_STREAM)
        assert (got.stream, got.code) == (1, Code.INTERNAL_ERROR)


async def test_no_bytes() -> None:
    """A method that answers what nobody can write ends its call, and says what it was."""
    async with wired() as (server, wire, _):

        async def wrong(_: object, __: object) -> object:
            return 5

        handler = grpc.unary_unary_rpc_method_handler(wrong)
        server.add_registered_method_handlers(SERVICE, {"wrong": handler})
        wire.head(1, block=head(path=path("wrong")))
        wire.data(1, envelope(b""), end=True)
        got = await status(wire)
        assert got.code is CODE.UNKNOWN
        assert "int" in got.details


async def test_a_reader_leaves() -> None:
    """A method whose answers nobody reads waits, and is cancelled when its reader leaves."""
    async with wired() as (_, wire, shapes):
        wire.head(1, block=head(path=path("endless")))
        wire.data(1, envelope(bytes(1000)), end=True)
        sent = 0
        while sent < 65_535:
            sent += len((await wire.next(frames.DATA)).payload)
        assert not [one for one in await wire.synced() if one.kind == frames.DATA]
        assert not shapes.cancelled.is_set()
        wire.reset(1)
        await shapes.cancelled.wait()


async def test_a_place_is_given_back() -> None:
    """Calls that are reset count until their methods have ended."""
    async with wired(limits=Limits(streams=1)) as (_, wire, shapes):
        for number in range(1, 41, 2):
            wire.head(number, block=head(path=path("wait")))
            wire.reset(number)
            await wire.synced()
        wire.head(41, block=head())
        wire.data(41, envelope(b"x"), end=True)
        assert (await status(wire)).code is CODE.OK
        assert not shapes.began.is_set()


async def test_admit(certificates: Certificates) -> None:
    """Whoever is admitted is known by the names in its certificate; others are told why not."""
    seen = []

    def admit(method: str, names: tuple[str, ...]) -> Status | None:
        seen.append((method, names))
        return Status(CODE.PERMISSION_DENIED, "not you") if method.endswith("fail") else None

    server, shapes = our_server(certificates, admit=admit), Shapes()
    shapes.add_to(server)
    port = await server.start(HOST, 0)
    async with calling("ours", port, certificates) as client:
        assert (await client.call("unary", b"x")).code is CODE.OK
        got = await client.call("fail", b"x")
        assert (got.code, got.details) == (CODE.PERMISSION_DENIED, "not you")
    names = ("caller.test", "other.test")
    assert seen == [(f"{SERVICE}/unary", names), (f"{SERVICE}/fail", names)]
    await server.stop(1)


async def test_no_certificate(certificates: Certificates) -> None:
    """Who shows no certificate is not served, and leaves nothing behind."""
    async with serving("ours", certificates) as (port, _):
        context = ssl.create_default_context()
        certificates.ca.configure_trust(context)
        with pytest.raises((ssl.SSLError, ConnectionError)):  # noqa: PT012  # one may be there late
            reader, writer = await asyncio.open_connection(
                HOST, port, ssl=context, server_hostname=NAME
            )
            try:
                if not await reader.read():
                    raise ConnectionError
            finally:
                writer.transport.abort()


async def test_a_taken_port() -> None:
    """A port that another has is an error, and stop() has nothing to do then."""
    first, second = our_server(), our_server()
    port = await first.start(HOST, 0)
    with pytest.raises(OSError, match="address already in use"):
        await second.start(HOST, port)
    await second.stop(1)
    await first.stop(1)
    await first.stop(1)


def waiting(wire: Wire, number: int) -> None:
    """Begin a call that lasts."""
    wire.head(number, block=head(path=path("wait")))
    wire.data(number, envelope(b"done"), end=True)


async def test_stop() -> None:
    """Calls in flight, and those on their way, are answered; then it is over, within the grace."""
    async with wired() as (server, wire, shapes):
        waiting(wire, 1)
        await shapes.began.wait()
        stopping = asyncio.create_task(server.stop(50))
        first = await wire.next(frames.GOAWAY)
        assert frames.read_word(first.payload) == MAX_NUMBER
        ping = await wire.next(frames.PING)
        shapes.go_on.set()
        assert (await status(wire)).code is CODE.OK
        wire.head(3, block=head())  # before the GOAWAY came here
        wire.data(3, envelope(b"late"), end=True)
        assert (await wire.next(frames.DATA)).payload == envelope(b"late")
        assert not stopping.done()
        wire.send(frame(frames.PING, frames.ACK, 0, ping.payload))
        await wire.ended()
        await stopping


async def test_stop_takes_nobody_new() -> None:
    """Nobody connects to a server that stops, be it on the way already."""
    async with wired() as (server, wire, shapes):
        waiting(wire, 1)
        await shapes.began.wait()
        assert server._listener is not None
        port = server._listener.sockets[0].getsockname()[1]
        stopping = asyncio.create_task(server.stop(50))
        await wire.next(frames.GOAWAY)
        with pytest.raises(OSError):  # noqa: PT011  # refused or reset: the kernel's words
            await connected(port)
        late, transport = server._end(), wire.writer.transport
        late.connection_made(transport)  # as TLS that was shaking hands when the listener closed
        assert late.closed
        wire.writer.transport.abort()
        await shapes.cancelled.wait()
        late.connection_lost(None)
        await stopping


@pytest.mark.parametrize("how", ["grace", "none", "cancel"])
async def test_the_grace_ends(how: str) -> None:
    """Calls that outlive the grace, which may be cancelled, are cancelled; the caller is told."""
    async with wired() as (server, wire, shapes):
        waiting(wire, 1)
        await shapes.began.wait()
        stopping = asyncio.create_task(server.stop({"grace": 0.05, "none": 0}.get(how, 50)))
        if how == "cancel":
            await wire.next(frames.GOAWAY)
            stopping.cancel()
        await wire.ended()
        await asyncio.wait([stopping])
        assert stopping.cancelled() is (how == "cancel")
        assert shapes.cancelled.is_set()
        assert not server._tasks


async def test_stop_waits_for_methods_whose_callers_left() -> None:
    """A method that puts things away after its caller left is waited for, and not disturbed."""
    put_away, go_on = asyncio.Event(), asyncio.Event()
    began = asyncio.Event()

    async def careful(_: object, __: object) -> bytes:
        try:
            began.set()
            await asyncio.Event().wait()
        finally:
            await go_on.wait()
            put_away.set()
        return b""

    async with wired() as (server, wire, _):
        handler = grpc.unary_unary_rpc_method_handler(careful)
        server.add_registered_method_handlers(SERVICE, {"careful": handler})
        wire.head(1, block=head(path=path("careful")))
        wire.data(1, envelope(b""), end=True)
        await began.wait()
        wire.writer.transport.abort()
        (connection,) = server._connections
        await connection.over
        stopping = asyncio.create_task(server.stop(50))
        await asyncio.sleep(0)
        assert not stopping.done()
        go_on.set()
        await stopping
        assert put_away.is_set()


async def test_the_last_answer_arrives() -> None:
    """What was answered is sent before stop() returns, though the caller reads it late."""
    async with wired() as (server, wire, _):
        wire.send(frames.settings({4: 1 << 30}))
        wire.widen(0, 1 << 30)
        wire.head(1, block=head(path=path("joined")))
        for _ in range(60):
            wire.data(1, envelope(bytes(1000)))
        wire.data(1, envelope(b""), end=True)
        await wire.next(frames.HEADERS)
        stopping = asyncio.create_task(server.stop(50))
        got, size = b"", 5 + 60_000
        while len(got) < size:
            got += (await wire.next(frames.DATA)).payload
        ping = await wire.next(frames.PING)
        wire.send(frame(frames.PING, frames.ACK, 0, ping.payload))
        await wire.ended()
        await stopping


@pytest.mark.parametrize("client", ["ours", "grpcio"])
async def test_stop_waits_for_no_end_of_tls(client: str, certificates: Certificates) -> None:
    """A client that does not end TLS, as grpcio's, does not keep a server that has answered all."""
    server, shapes = our_server(certificates), Shapes()
    shapes.add_to(server)
    port = await server.start(HOST, 0)
    async with calling(client, port, certificates) as caller:
        assert (await caller.call("unary", b"x")).code is CODE.OK
    async with asyncio.timeout(3):  # Limits().goodbye is five
        await server.stop(50)
    assert not server._connections


@pytest.mark.parametrize("how", ["unary", "fail", "abort", "wait", "nothing"])
async def test_no_cycles(how: str) -> None:
    """What served a call is gone without the collector, however it ended."""
    async with wired() as (server, wire, shapes):
        (connection,) = server._connections
        gc.collect()
        gc.disable()
        try:
            wire.head(1, block=head(path=path(how)))
            await wire.synced()
            message = b"5 why" if how == "abort" else b"x"
            gone: Any = None
            if 1 in connection.streams:
                gone = weakref.ref(connection.streams[1]._inbox.messages)  # type: ignore[attr-defined]
                wire.data(1, envelope(message), end=True)
            if how == "wait":
                await shapes.began.wait()
                wire.reset(1)
                await shapes.cancelled.wait()
            elif how != "nothing":
                await status(wire)
            await wire.synced()
            assert how == "nothing" or gone is not None
            assert gone is None or gone() is None
        finally:
            gc.enable()
