from __future__ import annotations

import asyncio

from aiohttp import web

from sluice.pb import registry_pb2, worker_pb2
from tests.e2e.chain import Chain
from tests.e2e.origin import Origin


async def test_deploy_under_load(chain: Chain, origin: Origin) -> None:
    """Versions follow one another under load: no request fails, none sees an older version again."""
    await chain.user("version", VERSION="0")
    done = asyncio.Event()
    answers: list[tuple[int, str]] = []

    async def client() -> None:
        while not done.is_set():
            answers.append(await chain.get(x_url=origin.url))

    clients = [asyncio.create_task(client()) for _ in range(6)]
    for number in range(1, 5):
        await chain.user("version", VERSION=str(number))
        assert await chain.get(x_url=origin.url) == (200, str(number))
    done.set()
    await asyncio.gather(*clients)
    assert {status for status, _ in answers} == {200}
    assert len(answers) > 5


async def test_request_in_flight_finishes_on_its_version(chain: Chain, origin: Origin) -> None:
    """A request that began before a deploy, or a delete, finishes on the version it began with."""
    go = asyncio.Event()

    async def hold(_: object) -> web.StreamResponse:
        await go.wait()
        return web.Response(text="origin")

    origin.answer = hold
    await chain.user("version", VERSION="1")
    old = asyncio.create_task(chain.get(x_url=origin.url))
    await origin.until(1)
    await chain.user("version", VERSION="2")
    new = asyncio.create_task(chain.get(x_url=origin.url))
    await origin.until(2)
    await chain.mesh.registry.DeleteWorker(
        registry_pb2.DeleteWorkerRequest(
            worker=worker_pb2.Worker(dispatch_namespace="production", name="acme")
        )
    )
    assert await chain.get() == (404, "")
    go.set()
    assert await old == (200, "1")
    assert await new == (200, "2")


async def test_broken_version_and_its_repair(chain: Chain) -> None:
    """A version that cannot be loaded says so at each request, until the next one is deployed."""
    await chain.user("broken")
    for _ in range(2):
        status, text = await chain.get()
        assert status == 500
        assert "SyntaxError" in text
    await chain.user("props")
    assert await chain.get() == (200, "{}")
