"""Client against server, over a real unix socket."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sluice.http1.client import Client
from sluice.http1.server import Exchange
from sluice.wire import headers as header_list
from sluice.wire.body import Body, Whole
from sluice.wire.errors import Reason, SluiceError
from sluice.wire.headers import Header
from sluice.wire.messages import Request, Response, has_body
from tests.http1.conftest import CUT, Pieces, Site, content, until

TOKEN = st.text("!#$%&'*+.^_`|~0123456789abcdefghijklmnopqrstuvwxyz-", min_size=1, max_size=20)
VALUE = (
    st.lists(st.sampled_from([9, *range(32, 127), *range(128, 256)]), max_size=20)
    .map(bytes)
    .map(lambda value: value.strip(b" \t"))
)
NAMES = TOKEN.filter(lambda name: header_list.carried([(name, b"")]) != [] and name != "expect")
HEADERS = st.lists(st.tuples(st.one_of(NAMES, st.just("set-cookie")), VALUE), max_size=8)
PIECES = st.lists(st.binary(min_size=1, max_size=40), max_size=6)


def body_of(pieces: list[bytes], shape: str) -> tuple[Body, int | None]:
    """The pieces as a body, and the length to say."""
    if shape == "whole":
        return Whole(b"".join(pieces)), None
    return Pieces(*pieces), sum(map(len, pieces)) if shape == "length" else None


SHAPE = st.sampled_from(["whole", "length", "chunked"])


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    method=st.sampled_from(
        ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "PROPFIND"]
    ),
    status=st.sampled_from([200, 201, 204, 205, 206, 304, 404, 418, 500, 503, 599]),
    headers=st.tuples(HEADERS, HEADERS),
    bodies=st.tuples(PIECES, PIECES),
    shapes=st.tuples(SHAPE, SHAPE),
    token=st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=20),
)
async def test_anything_arrives_as_it_was_sent(
    site: Site,
    client: Client,
    method: str,
    status: int,
    headers: tuple[list[Header], list[Header]],
    bodies: tuple[list[bytes], list[bytes]],
    shapes: tuple[str, str],
    token: str,
) -> None:
    """Method, URL, headers, token and both bodies, in any framing; on one kept connection."""
    seen: list[tuple[str, str, list[Header], bytes, dict[str, str]]] = []

    async def handler(exchange: Exchange) -> Response:
        request = exchange.request
        body = b"".join([request.body.take()[0], *[piece async for piece in request.body]])
        seen.append((request.method, request.url, request.headers, body, exchange.control))
        answer, length = body_of(bodies[1], shapes[1])
        return Response(status, headers[1], answer, length)

    site.handler = handler
    sent, length = body_of(bodies[0], shapes[0])
    url = "http://a.example:81/p?q=%20"
    response, control = await client.send(
        Request(method, url, headers[0], sent, length), {"x-sluice-token": token}
    )
    received = await content(response)
    assert seen == [(method, url, headers[0], b"".join(bodies[0]), {"x-sluice-token": token})]
    assert (response.status, response.headers, control) == (status, headers[1], {})
    assert received == (b"".join(bodies[1]) if has_body(method, status) else b"")
    await until(lambda: client._free)
    assert len(client._open) == 1


async def test_both_ways_at_once(site: Site, client: Client) -> None:
    """A body may be answered while it is still being written."""

    async def handler(exchange: Exchange) -> Response:
        return Response(200, body=exchange.request.body)

    site.handler = handler
    turns: asyncio.Queue[bytes] = asyncio.Queue()

    class Asked(Pieces):
        async def __aiter__(self):  # type: ignore[no-untyped-def]  # noqa: ANN204
            while piece := await turns.get():
                yield piece

    response, _ = await client.send(Request("POST", "http://a/", [], Asked()), {})
    pieces = aiter(response.body)
    for n in range(5):
        turns.put_nowait(b"%d" % n)
        assert await anext(pieces) == b"%d" % n
    turns.put_nowait(b"")
    assert [piece async for piece in pieces] == []
    await until(lambda: client._free)


async def test_a_large_body_both_ways(site: Site, client: Client) -> None:
    """32 MiB there and back."""

    async def handler(exchange: Exchange) -> Response:
        return Response(200, body=exchange.request.body)

    site.handler = handler
    piece = bytes(range(256)) * 1024
    body = Pieces(*[piece] * 128)
    response, _ = await client.send(Request("POST", "http://a/", [], body), {})
    received = [data async for data in response.body]
    assert b"".join(received) == piece * 128


@pytest.mark.parametrize("length", [None, 5])
async def test_a_cut_travels_from_server_to_client(
    site: Site, client: Client, length: int | None
) -> None:
    """A response that breaks off there breaks off here."""

    async def handler(_: Exchange) -> Response:
        return Response(200, body=Pieces(b"hel", CUT), content_length=length)

    site.handler = handler
    response, _ = await client.send(Request("GET", "http://a/"), {})
    with pytest.raises(SluiceError) as raised:
        await content(response)
    assert raised.value.reason is Reason.BODY_CUT_SHORT


async def test_a_cut_travels_from_client_to_server(site: Site, client: Client) -> None:
    """A request that breaks off here breaks off there."""
    reads: list[asyncio.Future[bytes]] = []

    async def handler(exchange: Exchange) -> Response:
        reads.append(asyncio.ensure_future(content(Response(200, body=exchange.request.body))))
        await asyncio.Event().wait()
        raise AssertionError

    site.handler = handler
    with pytest.raises(SluiceError):
        await client.send(Request("POST", "http://a/", [], Pieces(b"hel", CUT)), {})
    await until(lambda: reads and reads[0].done())
    error = reads[0].exception()
    assert isinstance(error, SluiceError)
    assert error.reason is Reason.BODY_CUT_SHORT
    await until(lambda: not site.server.in_flight)


async def test_cancelling_travels(site: Site, client: Client) -> None:
    """A request that is given up here is given up there."""
    cancelled = asyncio.Event()

    async def handler(_: Exchange) -> Response:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        raise AssertionError

    site.handler = handler
    sending = asyncio.create_task(client.send(Request("GET", "http://a/"), {}))
    await until(lambda: site.exchanges)
    sending.cancel()
    await cancelled.wait()
    with pytest.raises(asyncio.CancelledError):
        await sending


async def test_expect_round_trip(site: Site, client: Client) -> None:
    """An interim `100 Continue` is not the response."""
    request = Request("POST", "http://a/", [("expect", b"100-continue")], Pieces(b"hi"))
    response, _ = await client.send(request, {})
    assert (response.status, await content(response)) == (200, b"hi")


async def test_many_at_once(site: Site, client: Client) -> None:
    """Each gets its own answer."""

    async def ask(n: int) -> bytes:
        data = b"%d" % n * 1000
        response, _ = await client.send(Request("POST", "http://a/", [], Whole(data)), {})
        assert await content(response) == data
        return data

    await asyncio.gather(*(ask(n) for n in range(200)))
    assert len(client._free) <= 64
