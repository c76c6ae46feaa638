"""It is gRPC: grpcio's client calls our server, and our link calls grpcio's server."""

from __future__ import annotations

import ast
import asyncio
import itertools

import grpc
import pytest

from sluice.http2 import frames
from sluice.http2.failure import StreamEndedError
from sluice.http2.fields import Decoder, encode
from sluice.http2.frames import PREFACE
from tests.http2.wire import SETTINGS, Wire
from tests.rpc.peers import (
    HOST,
    MOST,
    Certificates,
    Grpcio,
    Ours,
    Peer,
    Shapes,
    calling,
    path,
    serving,
)

Peers = tuple[Peer, Shapes]
OK = grpc.StatusCode.OK
LARGE = bytes(range(256)) * (MOST // 256)


@pytest.mark.parametrize(
    ("method", "sent", "expected"),
    [
        ("unary", [b"abc"], [b"abc"]),
        ("unary", [b""], [b""]),  # an empty message is a message
        ("unary", [LARGE], [LARGE]),  # as large as may be
        ("parts", [b"abc"], [b"a", b"b", b"c", b""]),
        ("parts", [b""], [b""]),
        ("parts", [b"x" * 5000], [b"x"] * 5000 + [b""]),  # many in one read
        ("joined", [b"a", b"", b"bc"], [b"abc"]),
        ("joined", [b"x" * 60_000] * 50, [b"x" * 3_000_000]),  # beyond every window
        ("each", [b"a"], [b"a"]),
        ("each", [b""] * 3, [b""] * 3),
        ("each", [b"x" * size for size in (0, 1, 16_379, 16_384, 65_530, 65_536, 300_000)], None),
        ("each", [LARGE] * 3, None),
    ],
    ids=itertools.count(),
)
async def test_shapes(
    peers: Peers, method: str, sent: list[bytes], expected: list[bytes] | None
) -> None:
    """Calls of every shape carry messages of every size, and end well."""
    got = await peers[0].call(method, *sent)
    assert (got.code, got.details) == (OK, "")
    assert got.messages == (sent if expected is None else expected)


async def test_error(peers: Peers) -> None:
    """A status comes with its details, whatever they are, and its metadata."""
    for code in set(grpc.StatusCode) - {OK}:
        for details in ("", "why", "100%\r\n\0é\U0001f600 ~", "%41", "x" * 3000):
            got = await peers[0].call("abort", f"{code.value[0]} {details}".encode())
            assert (got.code, got.details, got.messages) == (code, details, [])
            trailing = dict(got.trailing)
            assert trailing["x-a"] == "b"
            assert trailing["x-a-bin"] == b"\0\xff"
            assert trailing["grpc-status-details-bin"] == b"abc"


async def test_what_is_taken_instead() -> None:
    """A client that compresses is told what it may send instead (gRPC's doc/compression.md)."""
    async with serving("ours") as (port, _):
        wire = Wire(*await asyncio.open_connection(HOST, port))
        head = [(b":method", b"POST"), (b"content-type", b"application/grpc")]
        wire.send(PREFACE, SETTINGS)
        wire.head(1, block=encode([*head, (b"grpc-encoding", b"gzip")]))
        said = dict(Decoder(1 << 16).decode((await wire.next(frames.HEADERS)).payload))
        assert said[b"grpc-status"] == b"12"  # UNIMPLEMENTED
        assert said[b"grpc-accept-encoding"] == b"identity"
        wire.writer.transport.abort()


async def test_error_after_messages(peers: Peers) -> None:
    """What was answered before an error is not lost."""
    got = await peers[0].call("later", b"abc")
    assert got.messages == [b"abc", b"abc"]
    assert (got.code, got.details) == (grpc.StatusCode.ABORTED, "later")


async def test_no_method(peers: Peers) -> None:
    """A method that is not there says so."""
    client = peers[0]
    if isinstance(client, Grpcio):  # whose streams that are answered at once fail while they write
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await client.channel.unary_unary(path("nothing"))(b"")
        assert raised.value.code() is grpc.StatusCode.UNIMPLEMENTED
    else:
        got = await client.call("nothing", b"")
        assert got.code is grpc.StatusCode.UNIMPLEMENTED


async def test_a_bug(peers: Peers) -> None:
    """What a method raises ends its call, and no other."""
    got = await peers[0].call("fail", b"")
    assert got.code is grpc.StatusCode.UNKNOWN
    assert "a bug" in got.details
    assert (await peers[0].call("unary", b"abc")).messages == [b"abc"]


async def test_metadata(peers: Peers) -> None:
    """Metadata comes as it was said: the same name twice, bytes, and what base64 pads."""
    said = (
        ("x-a", "1"),
        ("x-b-bin", b""),
        ("x-a", "2"),
        ("x-b-bin", b"\0"),
        ("x-c-bin", bytes(range(256))),
        ("x-d", "a value, with; all ~ !"),
        ("x-long", "y" * 5000),
    )
    got = await peers[0].call("metadata", b"", metadata=said)
    heard = ast.literal_eval(got.messages[0].decode())
    for name in {name for name, _ in said}:  # grpcio keeps the order of those of one name
        assert [item for item in heard if item[0] == name] == [
            item for item in said if item[0] == name
        ]


async def test_deadline(peers: Peers) -> None:
    """The caller's deadline ends the call, and the method."""
    client, shapes = peers
    got = await client.call("wait", b"", timeout=0.2)
    assert got.code is grpc.StatusCode.DEADLINE_EXCEEDED
    await shapes.cancelled.wait()


async def test_deadline_that_is_met(peers: Peers) -> None:
    """A deadline says nothing of a call that is in time."""
    assert (await peers[0].call("unary", b"a", timeout=50)).messages == [b"a"]


async def test_too_large(peers: Peers) -> None:
    """A message that is too large is refused, whoever would read it."""
    got = await peers[0].call("unary", bytes(MOST + 1))
    assert got.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "larger than max" in got.details
    assert (await peers[0].call("unary", b"abc")).messages == [b"abc"]


async def test_too_large_an_answer(peers: Peers) -> None:
    """Likewise an answer."""
    got = await peers[0].call("joined", *[bytes(MOST // 4)] * 5)
    assert got.code is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_many(peers: Peers) -> None:
    """1,000 calls at once are each answered their own."""

    async def call(number: int) -> bool:
        message = str(number).encode() * (number % 50)
        return (await peers[0].call("unary", message)).messages == [message]

    assert all(await asyncio.gather(*(call(number) for number in range(1000))))


@pytest.fixture(params=["ours", "grpcio"])
def server(request: pytest.FixtureRequest) -> str:
    """A kind of server."""
    return str(request.param)


@pytest.mark.parametrize("method", ["wait", "endless"])
async def test_cancelled_link(server: str, tls: Certificates | None, method: str) -> None:
    """A call that our caller gives up ends at the server, whether or not it is being answered."""
    async with serving(server, tls) as (port, shapes), calling("ours", port, tls) as client:
        assert isinstance(client, Ours)
        call = await client.link.call(path(method), (), b"abc", whole=True)
        await shapes.began.wait()
        call.cancel()
        assert (await call.end()).code is grpc.StatusCode.CANCELLED
        await shapes.cancelled.wait()


@pytest.mark.parametrize("method", ["wait", "endless"])
async def test_cancelled_channel(tls: Certificates | None, method: str) -> None:
    """A call that grpcio's caller gives up ends in our method."""
    async with serving("ours", tls) as (port, shapes), calling("grpcio", port, tls) as client:
        assert isinstance(client, Grpcio)
        call = client.channel.unary_stream(path(method))(b"abc")
        await shapes.began.wait()
        call.cancel()
        await shapes.cancelled.wait()


async def test_early_answer_to_a_link(server: str, tls: Certificates | None) -> None:
    """An answer while our caller still writes is an answer; whoever writes learns that it is over."""
    async with serving(server, tls) as (port, _), calling("ours", port, tls) as client:
        assert isinstance(client, Ours)
        call = await client.link.call(path("early"), (), b"abc")

        async def write() -> None:
            while True:
                await call.write(bytes(10_000))

        writing = asyncio.create_task(write())
        assert await call.read() == b"abc"
        assert await call.read() is None
        with pytest.raises(StreamEndedError):
            await writing


async def test_early_answer_to_a_channel(tls: Certificates | None) -> None:
    """An answer while grpcio's caller still writes is an answer."""
    async with serving("ours", tls) as (port, _), calling("grpcio", port, tls) as client:
        assert isinstance(client, Grpcio)
        call = client.channel.stream_unary(path("early"))()
        await call.write(b"abc")
        assert await call == b"abc"
        assert await call.code() is OK
        again = client.channel.stream_unary(path("early"))(iter([bytes(100_000)] * 50))
        assert await again == bytes(100_000)


@pytest.mark.parametrize(
    ("shape", "method", "sent", "expected"),
    [
        ("unary_unary", "unary", b"abc", b"abc"),
        ("unary_stream", "parts", b"ab", [b"a", b"b", b""]),
        ("stream_unary", "joined", [b"a", b"b"], b"ab"),
        ("stream_unary", "joined", [], b""),  # a side that ends without a message
        ("stream_stream", "each", [b"a", b"b"], [b"a", b"b"]),
        ("stream_stream", "each", [], []),
    ],
)
async def test_callables(
    tls: Certificates | None, shape: str, method: str, sent: object, expected: object
) -> None:
    """The callables that grpcio has for each shape are served."""
    async with serving("ours", tls) as (port, _), calling("grpcio", port, tls) as client:
        assert isinstance(client, Grpcio)
        call = getattr(client.channel, shape)(path(method))(
            iter(sent) if isinstance(sent, list) else sent
        )
        if isinstance(expected, list):
            assert [message async for message in call] == expected
        else:
            assert await call == expected
        assert await call.code() is OK


async def test_a_unary_call_without_a_message() -> None:
    """A call that ends before its message is refused with a reason."""
    async with serving("ours") as (port, _), calling("grpcio", port) as client:
        got = await client.call("unary")
        assert got.code is grpc.StatusCode.INVALID_ARGUMENT


async def test_compressed() -> None:
    """Compression is not taken, and says so; nor is it asked for."""
    async with serving("ours") as (port, _), calling("grpcio", port) as client:
        assert isinstance(client, Grpcio)
        call = client.channel.unary_unary(path("unary"))
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await call(bytes(1000), compression=grpc.Compression.Gzip)
        assert raised.value.code() is grpc.StatusCode.UNIMPLEMENTED
        assert await call(b"abc") == b"abc"
