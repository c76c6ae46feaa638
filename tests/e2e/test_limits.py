"""Limits of an invocation: the dispatch Worker is told which was broken, and the next is well."""

from __future__ import annotations

import asyncio
import json

from aiohttp import web

from tests.e2e.chain import Chain
from tests.e2e.origin import Origin

CONNECTIONS = 6
"""Subrequests that an invocation may have open at once."""


def limits(**limits: int) -> str:
    """What the twin `chosen` is told."""
    return json.dumps({"args": {}, "options": {"limits": limits}})


async def recovers(chain: Chain, **headers: str) -> None:
    """Wait until the Worker answers, in a fresh process where the last was killed."""
    async with asyncio.timeout(20):
        while await chain.get(**headers) != (200, "well"):
            pass


async def test_cpu(chain: Chain) -> None:
    """A loop ends at the CPU time that get() allows."""
    await chain.dispatch("chosen")
    await chain.user("limitless")
    chosen = limits(cpuMs=100)
    status, text = await chain.get(x_chosen=chosen, x_uses="cpu")
    assert (status, text) == (500, "Error: Worker exceeded CPU time limit.")
    await recovers(chain, x_chosen=chosen)


async def test_memory(strict: Chain) -> None:
    """A Worker that takes ever more memory ends."""
    await strict.user("limitless")
    await recovers(strict)  # the first start in a service takes part of the wall time
    status, text = await strict.get(x_uses="memory")
    assert (status, text) == (500, "Error: Worker exceeded memory limit.")
    await recovers(strict)


async def test_wall_time(strict: Chain, origin: Origin) -> None:
    """A Worker that does not answer is given up at every hop; the client is told the reason."""
    await strict.user("asks")
    while await strict.ask(origin.url) != (200, "origin"):  # until all three are warm
        pass
    closed = origin.hang()
    status, text = await strict.ask(f"{origin.url}/slow")
    assert status == 504
    assert text.startswith("EXCEEDED_WALL_TIME (trace ")
    async with asyncio.timeout(10):
        await closed.wait()
    line = await strict.line(event="fetch", url=f"{origin.url}/slow")
    assert line["reason"] is not None


async def test_subrequests(chain: Chain, origin: Origin) -> None:
    """The subrequest over the number that get() allows throws, and does not leave."""
    await chain.dispatch("chosen")
    await chain.user("asks_each")
    urls = json.dumps([origin.url] * 4)
    _, text = await chain.get(x_chosen=limits(subRequests=3), x_ask=urls)
    refused = "Error: Too many subrequests by single Worker invocation."
    assert json.loads(text) == ["200 origin"] * 3 + [refused]
    assert len(origin.received) == 3


async def test_redirects_are_subrequests(chain: Chain, origin: Origin) -> None:
    """Redirect hops count as subrequests."""

    async def away(_: web.Request) -> web.StreamResponse:
        raise web.HTTPFound("/")

    origin.answer = away
    await chain.dispatch("chosen")
    await chain.user("asks")
    ask = json.dumps({"url": origin.url})
    status, text = await chain.get(x_chosen=limits(subRequests=3), x_ask=ask)
    assert (status, text) == (500, "Error: Too many subrequests by single Worker invocation.")
    assert len(origin.received) == 3


async def test_connections(chain: Chain, origin: Origin) -> None:
    """Six subrequests are open at once, and further ones wait for their turn."""
    inside, most = 0, 0
    full = asyncio.Event()

    async def hold(_: web.Request) -> web.StreamResponse:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        if inside == CONNECTIONS:
            full.set()
        await full.wait()
        inside -= 1
        return web.Response(text="held")

    origin.answer = hold
    await chain.user("asks_at_once")
    status, text = await chain.get(x_ask=json.dumps([origin.url] * 10))
    assert (status, json.loads(text)) == (200, ["held"] * 10)
    assert most == CONNECTIONS
