"""A hostile client at the public listener of a real mesh: raw bytes, forged headers, slow heads."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import pytest_asyncio

from tests.e2e.mesh import Mesh, dispatch_bundle
from tests.e2e.origin import Origin
from tests.http1.conftest import Wire

ECHO = """export default { async fetch(request, env, ctx) {
  return Response.json({ url: request.url, method: request.method, body: await request.text(), cf: request.cf ?? null,
    control: [...request.headers].filter(([name]) => /sluice|forward|trace/.test(name)), props: ctx.props }) } }"""


@pytest_asyncio.fixture(loop_scope="session")
async def target(mesh: Mesh) -> Mesh:
    """The mesh, with a user Worker that says what it got."""
    await mesh.deploy("echo", ECHO, "production")
    await mesh.deploy(
        "victim", "export default { fetch() { return new Response('victim') } }", "production"
    )
    return mesh


@asynccontextmanager
async def wire(mesh: Mesh) -> AsyncIterator[Wire]:
    """A raw connection to the listener."""
    host, port = mesh.http.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        async with asyncio.timeout(10):
            yield Wire(reader, writer)
    finally:
        writer.close()


POST = b"POST / HTTP/1.1\r\nHost: echo.test\r\n"
BEHIND = b"GET /smuggled HTTP/1.1\r\nHost: victim.test\r\n\r\n"

SMUGGLED = [
    ("length, then chunks", POST + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    ("chunks, then length", POST + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n", 400),
    ("two lengths", POST + b"Content-Length: 0\r\nContent-Length: 47\r\n\r\n", 400),
    ("a list of lengths", POST + b"Content-Length: 0, 47\r\n\r\n", 400),
    ("a hidden coding", POST + b"Transfer-Encoding : chunked\r\n\r\n", 400),
    ("a tabbed coding", POST + b"Transfer-Encoding\t: chunked\r\n\r\n", 400),
    ("a folded coding", POST + b"Transfer-Encoding:\r\n chunked\r\n\r\n", 400),
    ("a coding in a list", POST + b"Transfer-Encoding: chunked, identity\r\n\r\n", 400),
    ("another coding", POST + b"Transfer-Encoding: xchunked\r\n\r\n", 400),
    ("a coding behind a NUL", POST + b"Transfer-Encoding: \0chunked\r\n\r\n", 400),
    ("bare line feeds", b"GET / HTTP/1.1\nHost: echo.test\n\n", 400),
    ("a bare CR", POST + b"X: a\rContent-Length: 47\r\n\r\n", 400),
    ("two hosts", b"GET / HTTP/1.1\r\nHost: echo.test\r\nHost: victim.test\r\n\r\n", 400),
    ("a chunk extension with a line feed", POST + b"Transfer-Encoding: chunked\r\n\r\n1;a\nb\r\nx\r\n0\r\n\r\n", 400),
    ("a length in the trailers", POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 47\r\n\r\n", 400),
    ("a tunnel", b"CONNECT victim.test:80 HTTP/1.1\r\nHost: victim.test:80\r\n\r\n", 405),
    ("HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    ("two tokens", b"GET / HTTP/1.1\r\nHost: echo.test\r\nx-sluice-token: a\r\nX-Sluice-Token: b\r\n\r\n", 400),
    ("a host with a path", b"GET / HTTP/1.1\r\nHost: echo.test/victim.test\r\n\r\n", 400),
    ("a host with userinfo", b"GET / HTTP/1.1\r\nHost: victim.test@echo.test\r\n\r\n", 400),
    ("an absolute form with userinfo", b"GET http://victim.test@echo.test/ HTTP/1.1\r\nHost: echo.test\r\n\r\n", 400),
    ("another scheme", b"GET unix:egress.sock HTTP/1.1\r\nHost: echo.test\r\n\r\n", 400),
    ("300 headers", b"GET / HTTP/1.1\r\nHost: echo.test\r\n" + b"a: b\r\n" * 300 + b"\r\n", 431),
    ("20,000 headers", b"GET / HTTP/1.1\r\nHost: echo.test\r\n" + b"a: b\r\n" * 20_000 + b"\r\n", 431),
    ("a head without end", b"GET / HTTP/1.1\r\nHost: echo.test\r\nX: " + b"a" * 1_000_000, 431),
    ("a target without end", b"GET /" + b"a" * 1_000_000, 414),
]  # fmt: skip


@pytest.mark.parametrize(
    ("sent", "status"), [row[1:] for row in SMUGGLED], ids=[row[0] for row in SMUGGLED]
)
async def test_smuggling(target: Mesh, sent: bytes, status: int) -> None:
    """It gets one answer, and what is behind it reaches nobody."""
    async with wire(target) as client:
        client.send(sent + BEHIND)
        try:
            got, body = await client.response()
            assert got == status
            assert b"victim" not in body
            assert await client.ended()
        except (ConnectionError, asyncio.IncompleteReadError):
            assert len(sent) > 100_000  # The rest was still on its way when the answer came.


async def test_upgrade_smuggles_nothing(target: Mesh) -> None:
    """What follows a request for another protocol is its body, and then the next request."""
    async with wire(target) as client:
        client.send(
            POST
            + b"Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: %d\r\n\r\n" % len(BEHIND)
            + BEHIND
        )
        status, body = await client.response()
    assert (status, b"victim" in body) == (501, False)


async def test_absolute_form(target: Mesh) -> None:
    """A target in absolute form is the host that is asked for, and the only one."""
    async with wire(target) as client:
        client.send(b"GET http://echo.test/x HTTP/1.1\r\nHost: victim.test\r\n\r\n")
        status, body = await client.response()
    assert status == 200
    assert json.loads(body)["url"] == "http://echo.test/x"


FORGED = {
    "x-sluice-get": json.dumps({"binding": "dispatcher", "name": "victim", "props": {}, "outbound": {}, "limits": {}}),
    "x-sluice-env": '{"customer_name": "victim"}',
    "x-sluice-error": '{"kind": "load", "name": "Error", "message": "forged"}',
    "x-sluice-call": '{"method": "constructor", "props": {"plan": "gold"}}',
    "x-sluice-token": "a" * 48,
    "x-sluice-cf": '{"colo": "forged"}',
    "x-sluice-anything": "[" * 10_000,
    "X-SLUICE-CALL": "not JSON",
    "traceparent": "00-" + "a" * 32 + "-" + "b" * 16 + "-01",
    "tracestate": "a=b",
}  # fmt: skip


@pytest.mark.parametrize("name", FORGED)
async def test_forged_header(target: Mesh, name: str) -> None:
    """A client's control header is nobody's: it decides nothing, and no Worker sees it."""
    status, text = await target.get("echo.test", headers={name: FORGED[name]})
    assert status == 200, text
    got = json.loads(text)
    assert (got["control"], got["cf"], got["props"]) == ([], None, {})


@pytest.mark.parametrize(
    ("hops", "status"),
    [("16", 500), ("999", 500), ("-1", 200), ("1e9", 200), ("9" * 5000, 200), ("\u0661", 200), ("", 200)],
)  # fmt: skip
async def test_hops(target: Mesh, origin: Origin, hops: str, status: int) -> None:
    """A client can only shorten its own way: hops that it claims count, what is no number is none."""
    source = f"export default {{ async fetch() {{ return fetch('{origin.url}/') }} }}"
    await target.deploy("hopper", source, "production")
    got, _ = await target.get("hopper.test", headers={"x-sluice-hops": hops})
    assert got == status
    if status == 200:
        assert [request.headers["x-sluice-hops"] for request in origin.received] == ["1"]


async def test_worker_cannot_reset_hops(target: Mesh, origin: Origin) -> None:
    """A Worker that sets the hop counter, or names it to be dropped, does not change it."""
    source = f"""export default {{ async fetch() {{
        return fetch('{origin.url}/', {{ headers: {{ 'x-sluice-hops': '0', connection: 'x-sluice-hops, x-customer' }} }}) }} }}"""
    await target.deploy("hopper", source, "production")
    assert (await target.get("hopper.test", headers={"x-sluice-hops": "7"}))[0] == 200
    (request,) = origin.received
    assert request.headers["x-sluice-hops"] == "8"
    assert request.headers["x-customer"] == "hopper"


async def test_slow_heads(target: Mesh) -> None:
    """500 clients that never end their heads keep nobody else from being served."""
    host, port = target.http.removeprefix("http://").split(":")
    slow = [await asyncio.open_connection(host, int(port)) for _ in range(500)]
    for _, writer in slow:
        writer.write(b"POST / HTTP/1.1\r\nHost: echo.test\r\nX: ")
    async with asyncio.timeout(5):
        assert (await target.get("echo.test"))[0] == 200
    for _, writer in slow:
        writer.close()


async def test_slow_body(target: Mesh) -> None:
    """A client that stops amid its body keeps its own Worker waiting, and no other request."""
    async with wire(target) as client:
        client.send(POST + b"Content-Length: 1000\r\n\r\nabc")
        async with asyncio.timeout(5):
            assert (await target.get("echo.test"))[0] == 200


async def test_error_tells_the_client_nothing(target: Mesh) -> None:
    """What a Worker throws at a client is a reason and a trace, and not a word of its own."""
    await target.deploy(
        "dispatch",
        dispatch_bundle("export default { fetch() { throw new Error('secret of the platform') } }"),
    )
    status, text = await target.get("echo.test")
    assert status == 500
    assert text.startswith("WORKER_EXCEPTION (trace ")
    assert "secret" not in text
