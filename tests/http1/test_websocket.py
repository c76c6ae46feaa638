from __future__ import annotations

import asyncio
import gc
import tracemalloc
import weakref
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, ConnectionClosedError

from sluice.http1.server import Limits
from sluice.wire.websocket import Binary, Close, Text
from tests.http1.conftest import Site, until
from tests.http1.websockets import CLOSES, open_client, opens
from tests.websockets import End


async def test_messages_cross(site: Site) -> None:
    """Text and binary arrive whole and in order, both ways, fragmented or not."""
    end = End()
    site.handler = opens(end)
    async with await open_client(site) as client:
        await client.send("ä" * 200)
        await client.send(b"\0\xff" * 40_000)
        await client.send(["frag", "ments"])
        await client.send("")
        received = [await end.inbox.get() for _ in range(4)]
        assert received == [
            Text("ä" * 200),
            Binary(b"\0\xff" * 40_000),
            Text("fragments"),
            Text(""),
        ]
        end.outbox.put_nowait(Text("x"))
        end.outbox.put_nowait(Binary(b"y" * 70_000))
        assert await client.recv() == "x"
        assert await client.recv() == b"y" * 70_000
        end.outbox.put_nowait(Close(1000))
        end.outbox.put_nowait(None)
    await end.closed.wait()


@pytest.mark.parametrize("close", CLOSES, ids=repr)
async def test_the_client_closes(site: Site, close: Close) -> None:
    """Its code and reason go on, and the far end's answer, not ours, comes back."""
    end = End()
    site.handler = opens(end)
    client = await open_client(site)
    client.protocol.send_close(close.code, close.reason)
    client.send_data()
    assert await end.inbox.get() == close
    end.outbox.put_nowait(Close(4001, "answer"))
    await client.wait_closed()
    assert client.protocol.close_rcvd is not None
    assert (client.protocol.close_rcvd.code, client.protocol.close_rcvd.reason) == (4001, "answer")
    await end.closed.wait()


@pytest.mark.parametrize("close", CLOSES, ids=repr)
async def test_the_far_end_closes(site: Site, close: Close) -> None:
    """The client is told its code and reason, and its answer goes back."""
    end = End()
    site.handler = opens(end)
    client = await open_client(site)
    end.outbox.put_nowait(close)
    await client.wait_closed()
    received = client.protocol.close_rcvd
    assert received is not None
    assert (received.code, received.reason) == (close.code or 1005, close.reason)
    assert await end.inbox.get() == close
    await end.closed.wait()


async def test_messages_before_a_close_are_not_lost(site: Site) -> None:
    """A client that sends much and closes at once, while nobody reads yet, is heard to the end."""
    end = End()
    end.room.clear()
    site.handler = opens(end)
    client = await open_client(site)
    for number in range(100):
        await client.send(str(number))
    end.outbox.put_nowait(Close(1000))
    await client.close(3001, "bye")
    end.room.set()
    received = [await end.inbox.get() for _ in range(101)]
    assert received[:100] == [Text(str(number)) for number in range(100)]
    assert isinstance(received[100], Close)


async def test_a_client_that_vanishes(site: Site) -> None:
    """The far end is closed without a `Close`."""
    end = End()
    site.handler = opens(end)
    client = await open_client(site)
    await client.send("x")
    assert await end.inbox.get() == Text("x")
    client.transport.abort()
    await end.closed.wait()
    assert end.inbox.empty()


async def test_a_far_end_that_vanishes(site: Site) -> None:
    """The client is reset, never closed cleanly."""
    end = End()
    site.handler = opens(end)
    client = await open_client(site)
    end.outbox.put_nowait(None)
    with pytest.raises(ConnectionClosedError):
        await client.recv()
    assert client.close_code == 1006


async def test_a_message_over_the_limit(site: Site) -> None:
    """It is refused with 1009; the far end is told nothing but that the client is gone."""
    end = End()
    site.handler = opens(end)
    client = await open_client(site)
    await client.send(b"x" * 2**20)  # the most
    assert await end.inbox.get() == Binary(b"x" * 2**20)
    await client.send(b"x" * (2**20 + 1))
    with pytest.raises(ConnectionClosed):
        await client.recv()
    assert client.close_code == 1009
    await end.closed.wait()
    assert end.inbox.empty()


async def test_the_limit_is_configurable(quiet_site: Site) -> None:
    """A message in small fragments is over it, too, and in bytes, not in characters."""
    end = End()
    await quiet_site.start(Limits(max_message=10))
    quiet_site.handler = opens(end)
    client = await open_client(quiet_site)
    await client.send(["ä", "ä", "ä", "ä", "ä"])
    assert await end.inbox.get() == Text("äääää")
    await client.send(["ä", "ä", "ä", "ä", "ä", "a"])
    await client.wait_closed()
    assert client.close_code == 1009


@pytest.mark.parametrize("kind", [Text, Binary])
async def test_small_fragments_take_little(site: Site, kind: type[Text | Binary]) -> None:
    """A message in 6,000 fragments of two bytes, or of none, is kept as the bytes that it has."""
    end = End()
    site.handler = opens(end)
    client = await open_client(site)
    await (await client.ping())
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        client.transport.write(b"\x01\x80\0\0\0\0" if kind is Text else b"\x02\x80\0\0\0\0")
        client.transport.write(b"\x00\x82\0\0\0\0ab" * 6_000 + b"\x00\x80\0\0\0\0" * 6_000)
        await (await client.ping())
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held - before < 60_000
    client.transport.write(b"\x80\x80\0\0\0\0")
    whole = "ab" * 6_000
    assert await end.inbox.get() == (Text(whole) if kind is Text else Binary(whole.encode()))
    client.transport.abort()


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (b"\x81\x01a", 1002),  # unmasked
        (b"\x83\x80\0\0\0\0", 1002),  # a reserved opcode
        (b"\xc1\x80\0\0\0\0", 1002),  # a reserved bit: compressed
        (b"\x80\x80\0\0\0\0", 1002),  # a continuation of nothing
        (b"\x88\x82\0\0\0\0\x03\xed", 1002),  # close code 1005, which is never sent
        (b"\x81\x81\0\0\0\0\xff", 1007),  # not UTF-8
    ],
)
async def test_what_is_no_websocket(site: Site, frame: bytes, code: int) -> None:
    """It is refused with the code of its fault, and the far end is closed."""
    end = End()
    site.handler = opens(end)
    client = await open_client(site)
    client.transport.write(frame)
    await client.wait_closed()
    assert client.protocol.close_rcvd is not None
    assert client.protocol.close_rcvd.code == code
    await end.closed.wait()


async def test_pings_are_answered_here(site: Site) -> None:
    """A ping gets its pong, and goes no further."""
    end = End()
    site.handler = opens(end)
    async with await open_client(site) as client:
        await (await client.ping(b"payload"))
        end.outbox.put_nowait(Close(1000))
    assert await end.inbox.get() == Close(1000)


async def test_a_quiet_peer_is_pinged(quiet_site: Site) -> None:
    """One that answers stays; one that does not is dropped."""
    end = End()
    await quiet_site.start(Limits(stall_timeout=0.2))
    quiet_site.handler = opens(end)
    client = await open_client(quiet_site, ping_interval=None)
    pings = 0
    receive = client.protocol.recv_frame

    def counted(frame: Any) -> None:
        nonlocal pings
        pings += 1
        receive(frame)

    client.protocol.recv_frame = counted  # type: ignore[method-assign]
    await until(lambda: pings == 4)
    assert not end.closed.is_set()
    client.transport.pause_reading()
    await end.closed.wait()
    client.transport.abort()
    await client.wait_closed()


@pytest.mark.parametrize("vanishes", [False, True])
async def test_no_collector_is_needed(site: Site, *, vanishes: bool) -> None:
    """What is left of a WebSocket is gone with its connection, however it ended."""
    end = End()
    site.handler = opens(end)
    gc.collect()
    gc.disable()
    try:
        client = await open_client(site)
        await client.send("x")
        await end.inbox.get()
        connection = site.connection()
        assert connection._socket is not None
        left = {weakref.ref[object](connection), weakref.ref[object](connection._socket)}
        del connection
        if vanishes:
            client.transport.abort()
        else:
            end.outbox.put_nowait(Close(1000))
            await client.wait_closed()
        await end.closed.wait()
        await until(lambda: {one() for one in left} == {None})
    finally:
        gc.enable()


async def test_back_pressure(site: Site) -> None:
    """A far end that takes nothing stalls the client, with a bounded amount held here."""
    end = End()
    end.room.clear()
    site.handler = opens(end)
    client = await open_client(site)
    sent = 0

    async def flood() -> None:
        nonlocal sent
        while True:
            await client.send(b"x" * 65536)
            sent += 1

    flooding = asyncio.create_task(flood())
    before = -1
    while sent != before:
        before = sent
        await asyncio.wait([flooding], timeout=0.3)
    assert 0 < sent < 200  # socket buffers, theirs and ours
    socket = site.connection()._socket
    assert socket is not None
    assert socket._waiting_bytes < 512 * 1024
    end.room.set()
    for _ in range(sent):
        await end.inbox.get()
    await until(lambda: sent > before)
    flooding.cancel()
    client.transport.abort()
    await end.closed.wait()


async def test_draining(quiet_site: Site) -> None:
    """A server that stops tells its WebSockets so, and waits for their answer."""
    end = End()
    await quiet_site.start()
    quiet_site.handler = opens(end)
    client = await open_client(quiet_site)
    stopping = asyncio.create_task(quiet_site.server.close(10))
    assert await end.inbox.get() == Close(1001)
    end.outbox.put_nowait(Close(1001))
    await client.wait_closed()
    assert client.close_code == 1001
    await stopping
