"""Workers that call the platform that calls them: requests within requests, at few places."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.e2e.mesh import Mesh, dispatch_bundle, free_port

DISPATCH = """export default { async fetch(request, env) {
  const name = new URL(request.url).host.split('.')[0];
  try { return await env.dispatcher.get(name).fetch(request) }
  catch (e) { return new Response(e.message, { status: 503 }) } } }"""

NESTS = """export default { async fetch(request, env) {
  const answers = await Promise.all([1, 2].map(() => fetch('http://nests.test/')));
  return new Response(await answers[0].text(), { status: answers[0].status }) } }"""


@pytest.mark.timeout(120)
async def test_nested_requests_are_shed(run_folder: Path) -> None:
    """Requests that hold all places while they wait for more are refused in time, and the places are free again."""
    folder = run_folder / "nests"
    folder.mkdir()
    port = free_port()
    settings = {
        "SLUICE_MAX_INVOCATIONS": "6",
        "SLUICE_MAX_INVOCATIONS_PER_WORKER": "4",
        "SLUICE_MAX_WAITING": "8",
        "SLUICE_MAX_WAIT": "1s",
        "SLUICE_HTTP_LISTEN": f"127.0.0.1:{port}",
        "SLUICE_CONNECT_TO": f"nests.test:80:127.0.0.1:{port}",
    }
    async with Mesh(folder, **settings) as mesh:
        mesh.http = f"http://127.0.0.1:{port}"
        await mesh.namespace("production")
        await mesh.deploy("outbound", "export default { fetch(r) { return fetch(r) } }")
        await mesh.deploy("dispatch", dispatch_bundle(DISPATCH))
        await mesh.deploy("nests", NESTS, "production")
        await mesh.deploy(
            "other", "export default { fetch() { return new Response('ok') } }", "production"
        )
        async with asyncio.timeout(60):
            answers = await asyncio.gather(*(mesh.get("nests.test") for _ in range(5)))
        assert {status for status, _ in answers} <= {500, 503, 508}
        async with asyncio.timeout(10):
            assert await mesh.get("other.test") == (200, "ok")
