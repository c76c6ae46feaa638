from __future__ import annotations

import asyncio

from aiohttp import web

from sluice.pb import registry_pb2, worker_pb2
from tests.e2e.mesh import Mesh
from tests.e2e.origin import Origin


def version(number: int, origin: Origin) -> str:
    """A Worker that answers with its number, after a subrequest."""
    return f"""export default {{ async fetch() {{
        await (await fetch('{origin.url}/')).text(); return new Response('{number}') }} }}"""


async def test_deploy_under_load(mesh: Mesh, origin: Origin) -> None:
    """Versions follow one another under load: no request fails, none sees an older version again."""
    await mesh.deploy("acme", version(0, origin), "production")
    done = asyncio.Event()
    answers: list[tuple[int, str]] = []

    async def client() -> None:
        while not done.is_set():
            answers.append(await mesh.get("acme.example.com"))

    clients = [asyncio.create_task(client()) for _ in range(8)]
    for number in range(1, 6):
        await mesh.deploy("acme", version(number, origin), "production")
        assert await mesh.get("acme.example.com") == (200, str(number))
    done.set()
    await asyncio.gather(*clients)
    assert {status for status, _ in answers} == {200}
    assert len(answers) > 5


async def test_request_in_flight_finishes_on_its_version(mesh: Mesh, origin: Origin) -> None:
    """A request that began before a deploy, or a delete, finishes on the version it began with."""
    go = asyncio.Event()

    async def hold(_: object) -> web.StreamResponse:
        await go.wait()
        return web.Response(text="origin")

    origin.answer = hold
    await mesh.deploy("acme", version(1, origin), "production")
    old = asyncio.create_task(mesh.get("acme.example.com"))
    await origin.until(1)
    await mesh.deploy("acme", version(2, origin), "production")
    new = asyncio.create_task(mesh.get("acme.example.com"))
    await origin.until(2)
    await mesh.registry.DeleteWorker(
        registry_pb2.DeleteWorkerRequest(
            worker=worker_pb2.Worker(dispatch_namespace="production", name="acme")
        )
    )
    assert await mesh.get("acme.example.com") == (404, "")
    go.set()
    assert await old == (200, "1")
    assert await new == (200, "2")


async def test_broken_version_and_its_repair(mesh: Mesh) -> None:
    """A version that cannot be loaded says so at each request, until the next one is deployed."""
    await mesh.deploy("acme", "export default {", "production")
    for _ in range(2):
        status, text = await mesh.get("acme.example.com")
        assert status == 500
        assert "SyntaxError" in text
    await mesh.deploy(
        "acme", "export default { fetch() { return new Response('mended') } }", "production"
    )
    assert await mesh.get("acme.example.com") == (200, "mended")
