"""A client in Go, which grpcurl is too, finds, calls and understands each service."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from sluice.wire.errors import GrpcCode
from tests.e2e.buf_curl import BufCurl
from tests.e2e.mesh import Mesh, dispatch_bundle, running

CALLERS = {"dispatcher": "client", "userworker": "dispatcher", "outbound": "userworker"}
OUTBOUND = """export default { async fetch(request, env) {
  return new Response(`${env.customer_name} sent ${(await request.text()).length}`) } }"""
WORKER = """export default { async fetch(request) {
  if (request.url.endsWith('large')) return new Response(new Uint8Array(3_000_000));
  return fetch('https://api.test/', { method: 'POST', body: await request.text() }) } }"""
CUSTOMER: dict[str, Any] = {
    "worker": {"dispatchNamespace": "production", "name": "acme"},
    "outbound": {"service": "outbound", "params": {"customer_name": "acme"}},
}
HEAD = {"method": "POST", "url": "http://acme.test/"}
HELLO = base64.b64encode(b"hello").decode()

Go = tuple[Mesh, BufCurl]


@pytest_asyncio.fixture(params=["plaintext", "mtls"], loop_scope="session")
async def go(
    request: pytest.FixtureRequest, short_folder: Path, certificates: Path
) -> AsyncIterator[Go]:
    """A mesh with a customer, and the client."""
    folder = certificates if request.param == "mtls" else None
    async with running(short_folder, folder) as mesh:
        await mesh.deploy("outbound", OUTBOUND)
        await mesh.deploy("acme", WORKER, "production")
        await mesh.deploy("dispatch", dispatch_bundle())
        yield mesh, BufCurl(short_folder, folder)


def body_of(answers: list[dict[str, Any]]) -> bytes:
    """The body of a response, from all of its parts."""
    return b"".join(base64.b64decode(answer.get("body", "")) for answer in answers)


async def test_each_service(go: Go) -> None:
    """Methods are listed; all shapes of call are answered, whole and in parts; errors say why."""
    mesh, client = go
    for name, address in mesh.grpc.items():
        assert "grpc.health.v1.Health/Check" in await client.methods(address, CALLERS[name])

    async def ask(name: str, method: str, *requests: dict[str, Any]) -> list[dict[str, Any]]:
        code, answers, error = await client.call(mesh.grpc[name], CALLERS[name], method, *requests)
        assert (code, error) == (0, "")
        return answers

    dispatched = {"head": HEAD, "body": HELLO}
    answers = await ask("dispatcher", "sluice.v1.DispatcherService/Dispatch", dispatched)
    assert (answers[0]["head"]["status"], body_of(answers)) == (200, b"acme sent 5")

    parts: list[dict[str, Any]] = [
        {"invocation": CUSTOMER, "head": HEAD},
        {"body": HELLO},
        {"body": HELLO},
    ]
    method = "sluice.v1.UserWorkerService/InvokeStream"
    assert body_of(await ask("userworker", method, *parts, {"trailers": {}})) == b"acme sent 10"

    large = {"invocation": CUSTOMER, "head": {**HEAD, "url": "http://acme.test/large"}}
    answers = await ask("userworker", "sluice.v1.UserWorkerService/Invoke", large)
    assert body_of(answers) == bytes(3_000_000)

    fetched = {"subrequest": CUSTOMER, "head": HEAD, "body": HELLO}
    answers = await ask("outbound", "sluice.v1.OutboundService/OutboundFetch", fetched)
    assert body_of(answers) == b"acme sent 5"

    method, wrong = "sluice.v1.OutboundService/OutboundFetch", {**fetched, "head": {"url": "nope"}}
    code, answers, error = await client.call(mesh.grpc["outbound"], "userworker", method, wrong)
    assert (code, answers) == (GrpcCode.INVALID_ARGUMENT.value, [])
    assert "head.method: '' is no method" in error
