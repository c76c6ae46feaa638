"""A call that ends while it is still written to keeps what the far side said of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from sluice.mesh import tracing
from sluice.mesh.caller import Caller
from sluice.mesh.channel import link
from sluice.mesh.env import Address
from sluice.mesh.pair import OUTBOUND_FETCH
from sluice.mesh.served import Served
from sluice.mesh.server import GrpcServer
from sluice.mesh.tracing import Kind, Span
from sluice.mesh.websocket import CalledSocket
from sluice.pb import outbound_pb2
from sluice.rpc.link import Link
from sluice.wire.body import CHUNK, Whole
from sluice.wire.errors import Reason, SluiceError
from sluice.wire.messages import Request, Response
from sluice.wire.websocket import Binary, Close, Message
from tests.bodies import read_all

Serve = Callable[[Request], Awaitable[Response]]
Start = Callable[[Serve], Awaitable[Callable[[Request], Awaitable[Response]]]]

ROUNDS = 200


class Endless:
    """A body that is written as long as anybody takes it."""

    def __init__(self) -> None:
        self.closed = asyncio.Event()

    def take(self) -> tuple[bytes, bool]:
        return b"", False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            yield b"x" * CHUNK

    async def aclose(self) -> None:
        self.closed.set()


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Starts a far side that serves by the function given, and returns how to call it."""
    server = GrpcServer(Address("127.0.0.1", 0), allow_plaintext=False)
    links: list[Link] = []

    async def begin(serve: Serve) -> Callable[[Request], Awaitable[Response]]:
        async def served(_: Any, request: Request, __: Span) -> Response:
            return await serve(request)

        server.add(OUTBOUND_FETCH.service, Served(OUTBOUND_FETCH, served).add_to)
        made = link(await server.start())
        links.append(made)
        caller = Caller(OUTBOUND_FETCH, made, "outbound")
        opening = outbound_pb2.Subrequest(worker={"name": "acme"})

        async def call(request: Request) -> Response:
            return await caller.call(request, tracing.start("t", Kind.CLIENT, None), opening)

        return call

    yield begin
    for made in links:
        await made.close()
    await server.stop(0)


def upload() -> Request:
    """A request whose body never ends."""
    return Request("POST", "http://a.test/", body=Endless())


async def test_a_refusal_keeps_its_reason(start: Start) -> None:
    """An upload that is refused while it is written fails with the refusal, each time."""

    async def refuse(request: Request) -> Response:
        async for _ in request.body:
            raise SluiceError(Reason.DESTINATION_PROHIBITED, "not there")
        raise AssertionError

    call = await start(refuse)

    async def attempt() -> tuple[Reason, str]:
        with pytest.raises(SluiceError) as raised:
            await call(upload())
        return raised.value.reason, raised.value.message

    seen = [await asyncio.gather(*(attempt() for _ in range(4))) for _ in range(ROUNDS // 4)]
    assert {one for batch in seen for one in batch} == {
        (Reason.DESTINATION_PROHIBITED, "not there")
    }


async def test_an_early_answer_arrives_whole(start: Start) -> None:
    """An answer given before the end of the upload is read to its end, however slowly."""
    answer = bytes(range(256)) * (3 * CHUNK // 256)

    async def refuse(request: Request) -> Response:
        async for _ in request.body:
            break
        return Response(413, body=Whole(answer))

    call = await start(refuse)

    async def attempt() -> bool:
        response = await call(upload())
        for _ in range(20):  # others run, and the upload goes on
            await asyncio.sleep(0)
        return response.status == 413 and await read_all(response.body, 1 << 20) == answer

    seen = [await asyncio.gather(*(attempt() for _ in range(4))) for _ in range(ROUNDS // 4)]
    assert all(one for batch in seen for one in batch)


async def test_the_last_words_of_a_websocket_arrive(start: Start) -> None:
    """What the far end said before it went is read, though we were still sending."""

    class Leaving:
        """Says a few words, and is gone."""

        def __init__(self) -> None:
            self.words: list[Message | None] = [Binary(b"x" * CHUNK)] * 3 + [None]

        async def receive(self) -> Message | None:
            return self.words.pop(0)

        async def send(self, message: Message) -> None:
            """Take it."""

        async def aclose(self) -> None:
            """Nothing."""

    async def leave(_: Request) -> Response:
        return Response(101, websocket=Leaving())

    call = await start(leave)

    async def attempt() -> int:
        response = await call(Request("GET", "http://a.test/", websocket=True))
        socket = response.websocket
        assert isinstance(socket, CalledSocket)

        async def flood() -> None:
            while True:
                await socket.send(Binary(b"y" * 1000))
                await asyncio.sleep(0)

        flooding = asyncio.create_task(flood())
        words = 0
        while (message := await socket.receive()) is not None:
            assert not isinstance(message, Close)
            words += 1
        flooding.cancel()
        await asyncio.wait([flooding])
        await socket.aclose()
        return words

    assert [await attempt() for _ in range(50)] == [3] * 50


async def test_a_caller_who_leaves_is_no_error(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    """An answer that nobody wants the rest of ends, and nothing is logged of it."""
    bodies: list[Endless] = []

    async def stream(_: Request) -> Response:
        bodies.append(Endless())
        return Response(200, body=bodies[-1])

    call = await start(stream)

    async def attempt() -> None:
        response = await call(Request("GET", "http://a.test/"))
        async for _ in response.body:
            break
        await response.aclose()

    for _ in range(ROUNDS // 4):
        await asyncio.gather(*(attempt() for _ in range(4)))
    async with asyncio.timeout(10):
        await asyncio.gather(*(body.closed.wait() for body in bodies))
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []
