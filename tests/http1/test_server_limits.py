"""Whom a server serves, for how long, and how it stops."""

from __future__ import annotations

import asyncio
import os

import pytest

from sluice.http1 import server_connection
from sluice.http1.server import Exchange, Limits, Peer
from sluice.wire.body import Whole
from sluice.wire.messages import Response
from tests.http1.conftest import GET, POST, Pieces, Site, until


async def test_admit(quiet_site: Site) -> None:
    """A peer that is not admitted gets nothing but the end."""
    peers: list[Peer] = []

    def admit(peer: Peer) -> bool:
        peers.append(peer)
        return False

    await quiet_site.start(admit=admit)
    wire = await quiet_site.wire(GET)
    assert await wire.ended()
    assert [peer.pid for peer in peers] == [os.getpid()]
    assert not quiet_site.exchanges


async def test_too_many_connections(quiet_site: Site) -> None:
    """One more than the limit is closed where all have a request; they go on."""
    await quiet_site.start(Limits(max_connections=1))
    wire = await quiet_site.wire(POST + b"Content-Length: 1\r\n\r\n")
    await until(lambda: quiet_site.server.in_flight)
    assert await (await quiet_site.wire(GET)).ended()
    wire.send(b"x")
    assert (await wire.response())[0] == 200


async def test_connections_without_a_request_make_room(quiet_site: Site) -> None:
    """Peers that end no head, or ask for nothing more, cannot hold all connections."""
    await quiet_site.start(Limits(max_connections=3))
    idle = await quiet_site.wire(GET)
    await idle.response()
    slow = [await quiet_site.wire(b"GET / HT") for _ in range(2)]
    for wire in (idle, *slow):
        another = await quiet_site.wire(GET)
        assert (await another.response())[0] == 200
        assert await wire.ended()


async def test_a_slow_head(quiet_site: Site) -> None:
    """A head that does not end in time is answered 408, also behind another request."""
    await quiet_site.start(Limits(head_timeout=0.05))
    for sent in (b"GET / HT", GET + b"GET / HT"):
        wire = await quiet_site.wire(sent)
        if sent.startswith(GET):
            assert (await wire.response())[0] == 200
        assert (await wire.response())[0] == 408
        assert await wire.ended()


async def test_an_idle_connection(quiet_site: Site) -> None:
    """It ends, before its first request and after one."""
    await quiet_site.start(Limits(idle_timeout=0.05))
    assert await (await quiet_site.wire()).ended()
    wire = await quiet_site.wire(GET)
    await wire.response()
    assert await wire.ended()


async def test_a_peer_that_stalls(quiet_site: Site) -> None:
    """A body that does not go on in time, and one that nobody reads, end the connection."""
    await quiet_site.start(Limits(stall_timeout=0.1))
    wire = await quiet_site.wire(POST + b"Content-Length: 9\r\n\r\nhal")
    assert await wire.ended()

    body = Pieces(*[bytes(1 << 16)] * 128)

    async def handler(_: Exchange) -> Response:
        return Response(200, body=body)

    quiet_site.handler = handler
    wire = await quiet_site.wire()
    wire.writer.transport.pause_reading()  # type: ignore[attr-defined]
    wire.send(GET)
    await body.closed.wait()
    assert body.given < 2 << 20


async def test_lingering_is_bounded(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that neither reads nor leaves after a refusal is left."""
    monkeypatch.setattr(server_connection, "LINGER", 0.01)
    wire = await site.wire(b"bad\r\n\r\n")
    wire.writer.transport.pause_reading()  # type: ignore[attr-defined]
    await until(lambda: site.server._serving.connections)
    await until(lambda: not site.server._serving.connections)


async def test_a_handler_may_take_its_time(quiet_site: Site) -> None:
    """A timeout counts only while the peer is waited for."""
    await quiet_site.start(Limits(stall_timeout=0.02, idle_timeout=0.02, head_timeout=0.02))

    async def handler(_: Exchange) -> Response:
        await asyncio.sleep(0.2)
        return Response(204)

    quiet_site.handler = handler
    wire = await quiet_site.wire(GET)
    assert (await wire.response(body=False))[0] == 204


async def test_close_ends_idle_connections(site: Site) -> None:
    """They end at once, and nobody can connect any more."""
    wire = await site.wire(GET)
    await wire.response()
    await site.server.close(60)
    assert await wire.ended()
    with pytest.raises(OSError, match=r".+"):
        await asyncio.open_unix_connection(site.path)


async def test_a_connection_that_close_did_not_see(site: Site) -> None:
    """One that the kernel had accepted before is not served any more."""
    site.server._serving.closing = True
    assert await (await site.wire(GET)).ended()
    assert not site.exchanges


async def test_close_waits_for_requests_in_flight(site: Site) -> None:
    """They finish within the grace, and say that the connection ends with them."""
    go = asyncio.Event()

    async def handler(_: Exchange) -> Response:
        await go.wait()
        return Response(200, body=Whole(b"done"))

    site.handler = handler
    wire = await site.wire(GET)
    await until(lambda: site.server.in_flight == 1)
    closing = asyncio.create_task(site.server.close(60))
    await asyncio.sleep(0)
    go.set()
    _, headers = await wire.head()
    assert (b"connection", b"close") in headers
    assert await wire.reader.read() == b"done"
    await closing
    assert site.server.in_flight == 0


async def test_close_ends_connections_behind_streams(site: Site) -> None:
    """Also where the response's head had promised more."""
    go = asyncio.Event()

    async def handler(_: Exchange) -> Response:
        return Response(200, body=Pieces(b"a", gate=go))

    site.handler = handler
    wire = await site.wire(GET)
    await wire.head()
    closing = asyncio.create_task(site.server.close(600))
    await asyncio.sleep(0)
    go.set()
    assert await wire.reader.read() == b"1\r\na\r\n0\r\n\r\n"
    await closing


async def test_close_cancels_what_outlasts_the_grace(site: Site) -> None:
    """The handler is cancelled, and the connection broken off."""
    cancelled = asyncio.Event()

    async def handler(_: Exchange) -> Response:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        raise AssertionError

    site.handler = handler
    wire = await site.wire(GET)
    await until(lambda: site.exchanges)
    await site.server.close(0.01)
    assert cancelled.is_set()
    assert await wire.ended()
