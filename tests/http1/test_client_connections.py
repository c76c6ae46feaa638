"""The connections of a client: kept, dropped, broken off, stalled."""

from __future__ import annotations

import asyncio
import gc
import weakref

import pytest

from sluice.http1.client import Client
from sluice.wire.errors import Reason, SluiceError
from sluice.wire.messages import Request
from tests.http1.conftest import (
    HELLO,
    OK,
    URL,
    Origin,
    Pieces,
    Wire,
    always,
    content,
    get,
    until,
)


async def test_connections_are_used_again(origin: Origin, caller: Client) -> None:
    """After a clean end, the last one first; two at once take two."""
    origin.script = always(HELLO)
    for _ in range(3):
        response, _ = await caller.send(get(), {})
        await content(response)
    assert len(origin.wires) == 1
    await asyncio.gather(*(caller.send(get(), {}) for _ in range(2)))
    assert len(origin.wires) == 2


SPENT: list[tuple[str, bytes]] = [
    ("it says so", OK + b"Connection: close\r\nContent-Length: 0\r\n\r\n"),
    ("HTTP/1.0", b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n"),
    ("bytes behind the response", HELLO + HELLO),
    ("a body behind 204", b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello"),
]


@pytest.mark.parametrize("answer", [row[1] for row in SPENT], ids=[row[0] for row in SPENT])
async def test_connections_that_are_not_used_again(
    origin: Origin, caller: Client, answer: bytes
) -> None:
    """One response cannot be the beginning of the next."""
    origin.script = always(answer)
    for _ in range(2):
        response, _ = await caller.send(get(), {})
        await content(response)
    assert len(origin.wires) == 2


async def test_bytes_that_nobody_asked_for(origin: Origin, caller: Client) -> None:
    """What comes while no request is out ends the connection, and answers nothing."""
    go = asyncio.Event()

    async def script(wire: Wire) -> None:
        await wire.head()
        wire.send(HELLO)
        await go.wait()
        wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison")
        await wire.ended()

    origin.script = script
    await caller.send(get(), {})
    go.set()
    await until(lambda: not caller._open)
    response, _ = await caller.send(get(), {})
    assert await content(response) == b"hello"


async def test_idle_connections_are_dropped(origin: Origin) -> None:
    """Before the server drops them, so that no request meets a closed one."""
    origin.script = always(HELLO)
    client = Client(origin.path, idle=0.05)
    await asyncio.gather(*(client.send(get(), {}) for _ in range(3)))
    assert len(client._free) == 3
    await until(lambda: not client._open)
    await client.send(get(), {})
    assert len(origin.wires) == 4
    await client.aclose()


async def test_a_connection_that_was_idle_too_long_is_not_used(
    origin: Origin, caller: Client
) -> None:
    """Not even when it has not been dropped yet."""
    origin.script = always(HELLO)
    await caller.send(get(), {})
    caller._free[0].idle_since -= 1000
    await caller.send(get(), {})
    assert len(origin.wires) == 2


async def test_few_idle_connections_are_kept(origin: Origin) -> None:
    """No more than `max_idle`."""
    origin.script = always(HELLO)
    client = Client(origin.path, max_idle=2)
    await asyncio.gather(*(client.send(get(), {}) for _ in range(5)))
    await until(lambda: len(client._open) == 2)
    await client.aclose()


async def test_closing_the_body_early_ends_the_connection(origin: Origin, caller: Client) -> None:
    """The server is told that nobody reads on."""
    ended = asyncio.Event()

    async def script(wire: Wire) -> None:
        await wire.head()
        wire.send(OK + b"Content-Length: 9\r\n\r\nhel")
        assert await wire.ended()
        ended.set()

    origin.script = script
    response, _ = await caller.send(get(), {})
    await response.body.aclose()
    await ended.wait()
    assert not caller._free


async def test_no_collector_is_needed(origin: Origin, caller: Client) -> None:
    """What is left of a response that nobody read on is gone with the last who knew it."""

    async def script(wire: Wire) -> None:
        await wire.head()
        wire.send(OK + b"Content-Length: 9\r\n\r\nhel")
        await wire.ended()

    origin.script = script
    gc.collect()
    gc.disable()
    try:
        response, _ = await caller.send(get(), {})
        connection = weakref.ref(next(iter(caller._open)))
        await response.body.aclose()
        del response
        await until(lambda: not caller._open and connection() is None)
    finally:
        gc.enable()


async def test_cancelling_send_ends_the_connection(origin: Origin, caller: Client) -> None:
    """The server is told, and the request's body is closed."""
    asked, ended = asyncio.Event(), asyncio.Event()

    async def script(wire: Wire) -> None:
        await wire.head()
        asked.set()
        assert await wire.reader.read() == b"1\r\na\r\n"
        ended.set()

    origin.script = script
    body = Pieces(b"a", gate=asyncio.Event())
    sending = asyncio.create_task(caller.send(Request("POST", URL, [], body), {}))
    await asked.wait()
    await until(lambda: body.given)
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    await ended.wait()
    await body.closed.wait()
    await until(lambda: not caller._pumps)


async def test_a_death_at_once_closes_the_body(origin: Origin, caller: Client) -> None:
    """A request's body is closed also where nobody took it."""

    async def script(wire: Wire) -> None:
        await wire.close()

    origin.script = script
    body = Pieces(b"a", gate=asyncio.Event())
    with pytest.raises(SluiceError) as raised:
        await caller.send(Request("POST", URL, [], body), {})
    assert raised.value.reason is Reason.ISOLATE_DIED
    assert body.closed.is_set()


async def test_cancelling_too_late_harms_nobody_else(origin: Origin, caller: Client) -> None:
    """A connection that carries another request by now is not broken off."""
    asked = asyncio.Event()

    async def script(wire: Wire) -> None:
        await wire.head()
        asked.set()
        await wire.head()
        wire.send(HELLO)
        await wire.ended()

    origin.script = script
    first = asyncio.create_task(caller.send(get(), {}))
    await asked.wait()
    (connection,) = caller._open
    second = asyncio.create_task(caller.send(get(), {}))
    connection.data_received(HELLO)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    response, _ = await second
    assert await content(response) == b"hello"
    assert len(origin.wires) == 1


async def test_a_server_that_does_not_read_stalls_the_body(origin: Origin, caller: Client) -> None:
    """No more of a request is produced than the buffers hold; later all of it arrives."""
    go = asyncio.Event()
    size = 8 << 20

    async def script(wire: Wire) -> None:
        wire.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await go.wait()
        wire.writer.transport.resume_reading()  # type: ignore[attr-defined]
        await wire.head()
        await wire.reader.readexactly(size)
        wire.send(HELLO)

    origin.script = script
    body = Pieces(*[bytes(1 << 16)] * 128)
    sending = asyncio.create_task(caller.send(Request("POST", URL, [], body, size), {}))
    await until(lambda: caller._open and next(iter(caller._open)).out.waiting)
    assert body.given < 2 << 20
    go.set()
    response, _ = await sending
    assert await content(response) == b"hello"
    assert body.given == size


async def test_a_reader_that_does_not_read_stalls_the_server(
    origin: Origin, caller: Client
) -> None:
    """No more of a response is taken in than its buffer; later all of it arrives."""
    size = 8 << 20
    written = 0

    async def script(wire: Wire) -> None:
        nonlocal written
        await wire.head()
        wire.send(OK + b"Content-Length: %d\r\n\r\n" % size)
        for _ in range(128):
            wire.send(bytes(1 << 16))
            await wire.writer.drain()
            written += 1 << 16

    origin.script = script
    response, _ = await caller.send(get(), {})
    (connection,) = caller._open
    await until(
        lambda: connection._holds and origin.wires[0].writer.transport.get_write_buffer_size()
    )
    assert written < 2 << 20
    assert len(await content(response)) == size
    assert connection in caller._free


async def test_aclose_ends_everything(origin: Origin) -> None:
    """Requests, bodies and idle connections end, and nothing can be sent any more."""
    origin.script = always(OK + b"Content-Length: 9\r\n\r\nhel")
    client = Client(origin.path)
    body = Pieces(b"a", gate=asyncio.Event())
    response, _ = await client.send(Request("POST", URL, [], body), {})
    await client.aclose()
    assert body.closed.is_set()
    assert not client._open
    with pytest.raises(SluiceError):
        await content(response)
    with pytest.raises(SluiceError, match="closed"):
        await client.send(get(), {})


async def test_aclose_ends_a_send(origin: Origin) -> None:
    """Whoever waits for a response is told."""
    asked = asyncio.Event()

    async def script(wire: Wire) -> None:
        await wire.head()
        asked.set()
        await wire.ended()

    origin.script = script
    client = Client(origin.path)
    sending = asyncio.create_task(client.send(get(), {}))
    await asked.wait()
    await client.aclose()
    with pytest.raises(SluiceError) as raised:
        await sending
    assert raised.value.reason is Reason.ISOLATE_DIED
