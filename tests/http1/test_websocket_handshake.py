from __future__ import annotations

from typing import Any

import pytest
from websockets.asyncio.client import connect

from sluice.http1.client import Client
from sluice.http1.server import Exchange
from sluice.wire.errors import Reason, SluiceError
from sluice.wire.messages import Request, Response
from sluice.wire.websocket import Close
from tests.http1.conftest import Site
from tests.http1.websockets import opens
from tests.websockets import End


async def test_subprotocol_and_extensions(site: Site) -> None:
    """The subprotocol is the far end's to choose; an extension is nobody's."""
    end = End()
    site.handler = opens(end, ("sec-websocket-protocol", b"chat.v2"))
    host, port = await site.server.listen_tcp("127.0.0.1", 0)
    async with connect(f"ws://{host}:{port}/", subprotocols=["chat.v1", "chat.v2"]) as client:  # type: ignore[list-item]
        assert client.subprotocol == "chat.v2"
        assert client.protocol.extensions == []
        (exchange,) = site.exchanges
        names = [name for name, _ in exchange.request.headers if name.startswith("sec-websocket")]
        assert names == ["sec-websocket-protocol"]
        end.outbox.put_nowait(Close(1000))


async def test_a_request_that_is_refused(site: Site) -> None:
    """An ordinary answer is an ordinary answer, and the connection carries the next request."""

    async def handler(exchange: Exchange) -> Response:
        return Response(403 if exchange.request.websocket else 200)

    site.handler = handler
    key = b"sec-websocket-version: 13\r\nsec-websocket-key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n"
    upgrade = b"connection: upgrade\r\nupgrade: websocket\r\n" + key
    wire = await site.wire(
        b"GET / HTTP/1.1\r\nhost: a\r\n" + upgrade + b"\r\nGET / HTTP/1.1\r\nhost: a\r\n\r\n"
    )
    assert (await wire.response())[0] == 403
    assert (await wire.response())[0] == 200


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        (b"sec-websocket-version: 8\r\nsec-websocket-key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n", 426),
        (b"sec-websocket-key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n", 426),
        (b"sec-websocket-version: 13\r\n", 400),
        (b"sec-websocket-version: 13\r\nsec-websocket-key: c2hvcnQ=\r\n", 400),
        (b"sec-websocket-version: 13\r\nsec-websocket-key: ?\r\n", 400),
    ],
)
async def test_a_bad_handshake(site: Site, lines: bytes, status: int) -> None:
    """It is refused before the handler."""
    head = b"GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
    wire = await site.wire(head + lines + b"\r\n")
    assert (await wire.response())[0] == status
    assert site.exchanges == []


async def test_a_websocket_nobody_asked_for(site: Site) -> None:
    """A handler that opens one in answer to an ordinary request is at fault."""
    end = End()

    async def handler(_: Exchange) -> Response:
        return Response(101, websocket=end)

    site.handler = handler
    wire = await site.wire(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
    assert await wire.response() == (502, b"INVALID_RESPONSE")
    assert end.closed.is_set()


@pytest.mark.parametrize(
    "head",
    [
        b"sec-websocket-accept: wrong\r\nupgrade: websocket\r\nconnection: upgrade\r\n",
        b"upgrade: websocket\r\nconnection: upgrade\r\n",  # no proof at all
        b"",  # 101 to nothing
    ],
)
async def test_client_gets_a_wrong_101(origin: Any, caller: Client, head: bytes) -> None:
    """An answer that does not prove the handshake is no WebSocket."""

    async def script(wire: Any) -> None:
        await wire.head()
        wire.send(b"HTTP/1.1 101 Switching Protocols\r\n" + head + b"\r\n")
        await wire.ended()

    origin.script = script
    request = Request("GET", "http://a.test/", websocket=True)
    with pytest.raises(SluiceError) as raised:
        await caller.send(request, {})
    assert raised.value.reason is Reason.INVALID_RESPONSE


async def test_client_is_refused(site: Site, client: Client) -> None:
    """An ordinary answer comes back as one, with its body, and the connection is kept."""
    for _ in range(2):
        request = Request("GET", "http://a.test/", websocket=True)
        response, _ = await client.send(request, {})
        assert (response.status, response.websocket) == (200, None)
        assert response.body.take() == (b"", True)
        await response.aclose()
    assert len(site.server._serving.connections) == 1
