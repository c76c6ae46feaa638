"""Bodies that have no end, or do not go on: cut at the limit, and nothing is kept of them."""

from __future__ import annotations

import asyncio

import pytest

from sluice.http1.server import Exchange
from sluice.isolate.capacity import Capacity
from sluice.isolate.invocation import Invocation
from sluice.wire.body import Whole
from sluice.wire.errors import Reason, SluiceError
from sluice.wire.messages import Request, Response
from tests.bodies import Endless, Stalled, read_all
from tests.e2e.mesh import Mesh
from tests.isolate.workers import MakeWorkers, reason_of

OK = "export default { fetch() { return new Response('ok') } }"


async def test_request_body_flood(make_workers: MakeWorkers) -> None:
    """A request's body without end is refused at the limit, and so is one that says its length."""
    workers = make_workers(Capacity(request_body=1 << 20))
    source = "export default { async fetch(r) { return new Response((await r.text()).length) } }"
    flood = Endless()
    with pytest.raises(SluiceError) as raised:
        await workers.fetch(source, request=Request("POST", "http://acme.test/", body=flood))
    assert raised.value.reason is Reason.BODY_TOO_LARGE
    assert flood.taken < 3 << 20
    said = Request("POST", "http://acme.test/", body=Endless(), content_length=(1 << 20) + 1)
    with pytest.raises(SluiceError, match="larger than 1048576 bytes"):
        await workers.fetch(source, request=said)
    whole = Request("POST", "http://acme.test/", body=Whole(b"x" * (1 << 20)))
    assert await workers.fetch(source, request=whole) == (200, str(1 << 20))


async def test_subrequest_body_flood(make_workers: MakeWorkers) -> None:
    """A Worker that sends without end is told that it was too much, and the rest goes nowhere."""
    workers = make_workers(Capacity(request_body=1 << 20))
    got = 0

    async def read(_: Invocation[str], exchange: Exchange) -> Response:
        nonlocal got
        got += len(exchange.request.body.take()[0])
        async for chunk in exchange.request.body:
            got += len(chunk)
        return Response(204)

    workers.answer = read
    source = """export default { async fetch() {
        const body = new ReadableStream({ pull(c) { c.enqueue(new Uint8Array(65536)) } });
        try { await fetch('https://origin.test/', { method: 'POST', body }); return new Response('sent') }
        catch (e) { return new Response(e.message) } } }"""
    assert await workers.fetch(source) == (200, "The request's body is larger than 1048576 bytes.")
    assert 0 < got <= 1 << 20


async def test_response_body_floods(make_workers: MakeWorkers) -> None:
    """Where there is a limit on responses, an endless one is cut short, of a Worker or an origin."""
    workers = make_workers(Capacity(response_body=1 << 20))
    source = """export default { fetch(r) { return r.url.endsWith('own')
        ? new Response(new ReadableStream({ pull(c) { c.enqueue(new Uint8Array(65536)) } }))
        : fetch('https://origin.test/') } }"""
    endless = Endless()

    async def answer(_: Invocation[str], __: Exchange) -> Response:
        return Response(200, body=endless)

    workers.answer = answer
    for url, reason in [("own", Reason.BODY_TOO_LARGE), ("origin", Reason.BODY_CUT_SHORT)]:
        response = await workers.start(source, Request("GET", f"http://acme.test/{url}"))
        with pytest.raises(SluiceError) as raised:
            await read_all(response.body, 1 << 30)
        assert raised.value.reason is reason
        await response.aclose()
    assert endless.taken < 4 << 20
    await endless.closed.wait()


async def test_stalled_request_body(make_workers: MakeWorkers) -> None:
    """A client that stops amid its body has until the wall time; then its place is free."""
    workers = make_workers(wall_time=0.5)
    source = "export default { async fetch(r) { return new Response(await r.text()) } }"
    stalled = [Request("POST", "http://acme.test/", body=Stalled()) for _ in range(5)]
    ends = await asyncio.gather(*(reason_of(workers.fetch(source, request=one)) for one in stalled))
    assert set(ends) == {Reason.EXCEEDED_WALL_TIME}
    assert workers.runner._places.taken == 0
    assert await workers.fetch(OK, name="other") == (200, "ok")


async def test_large_upload_is_refused(mesh: Mesh) -> None:
    """A request that says more than 100 MiB is refused before any of it is read."""
    host, port = mesh.http.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"POST / HTTP/1.1\r\nHost: any.test\r\nContent-Length: 104857601\r\n\r\n")
    async with asyncio.timeout(10):
        assert b" 413 " in await reader.readline()
    writer.close()
