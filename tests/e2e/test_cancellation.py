"""Cancelled requests leave nothing behind, and a deadline ends every hop."""

from __future__ import annotations

import asyncio
import random
from collections import Counter

import aiohttp
import grpc
import grpc.aio
import pytest
from aiohttp import web

from sluice.mesh.channel import dial
from sluice.pb import dispatcher_pb2, dispatcher_pb2_grpc, http_pb2
from tests.e2e.accounting import descriptors, processes, settles
from tests.e2e.chain import HOST, Chain
from tests.e2e.languages import JAVASCRIPT
from tests.e2e.mesh import Mesh
from tests.e2e.origin import Origin

AT_ONCE = 40
SETTLE = 20.0
"""Seconds for connections that idle to be closed, and cancellations to arrive."""


class SlowOrigin:
    """Counts the requests that it is in. Each takes a while: before the head, and within the body."""

    def __init__(self) -> None:
        self.inside = 0
        self.outcomes: Counter[str] = Counter()

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        """Answer slowly."""
        self.inside += 1
        try:
            async for _ in request.content.iter_any():
                pass
            await asyncio.sleep(0.02)
            response = web.StreamResponse()
            await response.prepare(request)
            for _ in range(20):
                await response.write(b"x" * 1000)
                await asyncio.sleep(0.005)
        except asyncio.CancelledError:
            self.outcomes["cancelled"] += 1
            raise
        except ConnectionError:
            self.outcomes["broken off"] += 1
            raise
        else:
            self.outcomes["served"] += 1
            return response
        finally:
            self.inside -= 1


async def _cancelled(mesh: Mesh, url: str, number: int) -> None:
    """One request that its client gives up at a random moment."""
    chance = random.Random(number)
    body = b"y" * 50_000 if number % 2 else None
    headers = {"host": HOST, "x-url": url}
    try:
        async with asyncio.timeout(chance.uniform(0, 0.15)):
            async with mesh.session.request(
                "POST" if body else "GET", mesh.http, headers=headers, data=body
            ) as response:
                async for _ in response.content.iter_any():
                    pass
    except (TimeoutError, aiohttp.ClientError):
        pass


@pytest.mark.timeout(180)
async def test_cancelled_requests_leave_nothing(chain: Chain, origin: Origin) -> None:
    """After many of them, no process has more descriptors or children, and no origin waits."""
    count = 1_000 if chain.languages == JAVASCRIPT else 100
    mesh, url = chain.mesh, f"{origin.url}/"
    slow = SlowOrigin()
    origin.answer = slow
    await chain.user("sends_on")
    assert (await chain.get(x_url=url))[0] == 200
    # Opens the channels.
    await asyncio.gather(*(_cancelled(mesh, url, -n) for n in range(2 * AT_ONCE)))
    assert await settles(lambda: slow.inside == 0, SETTLE)
    before, held = processes(mesh), descriptors(mesh)

    numbers = iter(range(count))

    async def client() -> None:
        for number in numbers:
            await _cancelled(mesh, url, number)

    await asyncio.gather(*(client() for _ in range(AT_ONCE)))
    assert slow.outcomes["served"] < count
    assert await settles(lambda: slow.inside == 0, SETTLE), slow.outcomes

    def within() -> bool:
        now = descriptors(mesh)
        return all(now.get(name, 0) <= count for name, count in held.items())

    assert await settles(within, SETTLE), (held, descriptors(mesh))
    assert processes(mesh).items() <= before.items()  # isolates of other tests may have ended
    assert (await chain.get(x_url=url))[0] == 200
    errors = [
        line
        for service in mesh.services.values()
        for line in service.lines
        if line.get("level") == "error" or "Traceback" in line.get("raw", "")
    ]
    assert errors == []


async def test_deadline_of_a_call(chain: Chain, origin: Origin) -> None:
    """The deadline of a Dispatch call ends every hop."""
    await chain.user("sends_on")
    assert await chain.get(x_url=origin.url) == (200, "origin")
    closed = origin.hang()
    async with dial(chain.mesh.grpc["dispatcher"]) as channel:
        stub = dispatcher_pb2_grpc.DispatcherServiceStub(channel)
        head = http_pb2.HttpRequestHead(method="GET", url=f"http://{HOST}/")
        head.headers.add(name="x-url", value=origin.url.encode())
        call = stub.Dispatch(dispatcher_pb2.DispatchRequest(head=head), timeout=0.5)
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            async for _ in call:
                pass
        assert raised.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    async with asyncio.timeout(10):
        await closed.wait()
