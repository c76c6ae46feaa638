"""Cancelled requests leave nothing behind, and a deadline ends every hop."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from pathlib import Path

import aiohttp
import grpc
import grpc.aio
import pytest
from aiohttp import web

from sluice.mesh.channel import dial
from sluice.pb import dispatcher_pb2, dispatcher_pb2_grpc, http_pb2
from tests.e2e.accounting import descriptors, processes, settles
from tests.e2e.conftest import OUTBOUND
from tests.e2e.mesh import Mesh, running
from tests.e2e.origin import Origin

REQUESTS = 1_000
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


async def _cancelled(mesh: Mesh, number: int) -> None:
    """One request that its client gives up at a random moment."""
    chance = random.Random(number)
    body = b"y" * 50_000 if number % 2 else None
    after = chance.uniform(0, 0.15)
    try:
        async with asyncio.timeout(after):
            async with mesh.session.request(
                "POST" if body else "GET", mesh.http, headers={"host": "slow.test"}, data=body
            ) as response:
                async for _ in response.content.iter_any():
                    pass
    except (TimeoutError, aiohttp.ClientError):
        pass


@pytest.mark.timeout(180)
async def test_cancelled_requests_leave_nothing(short_folder: Path, origin: Origin) -> None:
    """After 1,000 of them, no process has more descriptors or children, and no origin waits."""
    async with running(short_folder, SLUICE_ALLOW_ADDRESS="127.0.0.1/32") as mesh:
        await mesh.deploy("outbound", OUTBOUND)
        await _cancel_many(mesh, origin)


async def _cancel_many(mesh: Mesh, origin: Origin) -> None:
    slow = SlowOrigin()
    origin.answer = slow
    await mesh.deploy(
        "slow",
        f"export default {{ fetch(r) {{ return fetch(new Request('{origin.url}/', r)) }} }}",
        "production",
    )
    assert (await mesh.get("slow.test"))[0] == 200
    await asyncio.gather(*(_cancelled(mesh, -n) for n in range(2 * AT_ONCE)))  # open the channels
    assert await settles(lambda: slow.inside == 0, SETTLE)
    before, held = processes(mesh), descriptors(mesh)

    numbers = iter(range(REQUESTS))

    async def client() -> None:
        for number in numbers:
            await _cancelled(mesh, number)

    await asyncio.gather(*(client() for _ in range(AT_ONCE)))
    assert slow.outcomes["served"] < REQUESTS
    assert await settles(lambda: slow.inside == 0, SETTLE), slow.outcomes

    def within() -> bool:
        now = descriptors(mesh)
        return all(now.get(name, 0) <= count for name, count in held.items())

    assert await settles(within, SETTLE), (held, descriptors(mesh))
    assert processes(mesh) == before
    assert (await mesh.get("slow.test"))[0] == 200
    errors = [
        line
        for service in mesh.services.values()
        for line in service.lines
        if line.get("level") == "error" or "Traceback" in line.get("raw", "")
    ]
    assert errors == []


HANG = "export default {{ fetch(r) {{ return fetch(new Request('{}/', r)) }} }}"


async def _hanging(origin: Origin) -> asyncio.Event:
    """Let the origin never answer. The event says that its connection was closed."""
    closed = asyncio.Event()

    async def hang(request: web.Request) -> web.StreamResponse:
        try:
            await asyncio.Event().wait()
        finally:
            closed.set()
        return web.Response()

    origin.answer = hang
    return closed


async def test_deadline_at_the_ingress(short_folder: Path, origin: Origin) -> None:
    """A request that takes too long ends at every hop; the client is told the documented reason."""
    closed = await _hanging(origin)
    variables = {"SLUICE_ALLOW_ADDRESS": "127.0.0.1/32", "SLUICE_WALL_TIME": "1s"}
    async with running(short_folder, **variables) as mesh:
        await mesh.deploy("outbound", OUTBOUND)
        await mesh.deploy("slow", HANG.format(origin.url), "production")
        status, text = await mesh.get("slow.test")
        assert status == 504
        assert text.startswith("EXCEEDED_WALL_TIME (trace ")
        async with asyncio.timeout(10):
            await closed.wait()
        line = await mesh.services["outbound"].line(event="fetch")
        assert line["reason"] is not None


async def test_deadline_of_a_call(mesh: Mesh, origin: Origin) -> None:
    """The deadline of a Dispatch call ends every hop, too."""
    closed = await _hanging(origin)
    await mesh.deploy("slow", HANG.format(origin.url), "production")
    async with dial(mesh.grpc["dispatcher"]) as channel:
        stub = dispatcher_pb2_grpc.DispatcherServiceStub(channel)
        head = http_pb2.HttpRequestHead(method="GET", url="http://slow.test/")
        call = stub.Dispatch(dispatcher_pb2.DispatchRequest(head=head), timeout=1)
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            async for _ in call:
                pass
        assert raised.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    async with asyncio.timeout(10):
        await closed.wait()
