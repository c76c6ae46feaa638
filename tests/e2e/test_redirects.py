"""Redirects: each hop is a subrequest of its own, which the Outbound Worker decides on."""

from __future__ import annotations

import pytest_asyncio
from aiohttp import web

from tests.e2e.chain import Chain
from tests.e2e.origin import Origin


async def countdown(request: web.Request) -> web.StreamResponse:
    """Lead from `/n` to `/n-1`, and answer at `/0`."""
    left = int(request.path[1:])
    if left:
        raise web.HTTPFound(f"/{left - 1}")
    return web.Response(text=f"{request.method} arrived")


@pytest_asyncio.fixture(loop_scope="session")
async def redirected(chain: Chain, origin: Origin) -> Chain:
    """A chain that asks an origin of redirects."""
    await chain.user("asks")
    origin.answer = countdown
    return chain


async def test_each_hop_is_a_subrequest(redirected: Chain, origin: Origin) -> None:
    """The Outbound Worker sees every hop, and a POST becomes a GET."""
    asked = await redirected.ask(f"{origin.url}/2", method="POST", body="form")
    assert asked == (200, "GET arrived")
    assert [(r.method, r.path) for r in origin.received] == [
        ("POST", "/2"),
        ("GET", "/1"),
        ("GET", "/0"),
    ]
    assert {r.headers["x-customer"] for r in origin.received} == {"acme"}
    for number, status in ((2, 302), (1, 302), (0, 200)):
        line = await redirected.line(event="subrequest", url=f"{origin.url}/{number}")
        assert line["status"] == status


async def test_manual(redirected: Chain, origin: Origin) -> None:
    """With `redirect: "manual"` the Worker has the redirect itself."""
    status, _ = await redirected.ask(f"{origin.url}/2", redirect="manual")
    assert status == 302
    assert len(origin.received) == 1


async def test_twenty_at_most(redirected: Chain, origin: Origin) -> None:
    """20 redirects are followed; the 21st is an error."""
    assert await redirected.ask(f"{origin.url}/20") == (200, "GET arrived")
    status, text = await redirected.ask(f"{origin.url}/21")
    assert status == 500
    assert text.startswith("TypeError: ")
    assert len(origin.received) == 42
