from __future__ import annotations

import asyncio
import base64
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from sluice.mesh.roles import Role
from sluice.pb import dispatcher_pb2, dispatcher_pb2_grpc
from tests.contract.failure import failure_of
from tests.contract.target import NAMESPACE, Target, deployed, es_module

INVALID = grpc.StatusCode.INVALID_ARGUMENT


@pytest.fixture
async def stub(dispatcher: Target) -> dispatcher_pb2_grpc.DispatcherServiceStub:
    """The service's stub, with a dispatch Worker that dispatches by a header or answers itself."""
    bundle = es_module("""export default { async fetch(r, env) {
        const name = r.headers.get('x-worker');
        if (!name) return new Response(`${r.method} ${r.url} ${await r.text()}`);
        return env.dispatcher.get(name, {}, { outbound: { params_object: { customer_name: name } } }).fetch(r) } }""")
    bundle.dispatch_namespaces.add(
        binding="dispatcher",
        dispatch_namespace=NAMESPACE,
        outbound_service="contract-outbound",
        outbound_parameters=["params_object"],
    )
    await dispatcher.deploy("dispatch", bundle, "")
    return dispatcher_pb2_grpc.DispatcherServiceStub(dispatcher.channel)


async def test_health(dispatcher: Target) -> None:
    """Both services of the dispatcher say by grpc.health.v1 that they are serving."""
    health = health_pb2_grpc.HealthStub(dispatcher.channel)
    for service in ("sluice.v1.DispatcherService", "sluice.v1.RegistryService"):
        answer = await health.Check(health_pb2.HealthCheckRequest(service=service))
        assert answer.status == health_pb2.HealthCheckResponse.SERVING


@pytest.mark.usefixtures("stub")
async def test_grpcurl_sequence(dispatcher: Target) -> None:
    """A person with grpcurl alone can dispatch a request, and read the answer."""

    def session() -> list[dict[str, Any]]:
        with dispatcher.grpcurl() as grpcurl:
            assert "sluice.v1.DispatcherService" in grpcurl.services()
            assert set(grpcurl.describe("sluice.v1.DispatcherService")) == {
                "Dispatch",
                "DispatchStream",
            }
            return grpcurl.call(
                "sluice.v1.DispatcherService/Dispatch",
                {
                    "head": {"method": "POST", "url": "https://acme.example.com/a"},
                    "body": base64.b64encode(b"hi").decode(),
                },
            )

    first, *rest = await asyncio.to_thread(session)
    assert first["head"]["status"] == 200
    body = b"".join(base64.b64decode(part.get("body", "")) for part in (first, *rest))
    assert body == b"POST https://acme.example.com/a hi"


@pytest.mark.parametrize(
    ("parts", "code", "reason", "says"),
    [
        ([], INVALID, "INVALID_REQUEST", "before its first message"),
        ([{}], INVALID, "INVALID_REQUEST", "head: not set"),
        ([{"body": b"early"}], INVALID, "INVALID_REQUEST", "head: not set"),
        ([{"head": {"method": "GET", "url": "nowhere"}}], INVALID, "INVALID_REQUEST", "head.url"),
        (
            [{"head": {"method": "POST", "url": "http://a.test/"}, "body": b"x"}],
            # The dispatch Worker reads the body; nothing ended it.
            grpc.StatusCode.ABORTED,
            "BODY_CUT_SHORT",
            "before the end",
        ),
        (
            [
                {
                    "head": {
                        "method": "GET",
                        "url": "http://a.test/",
                        "headers": [{"name": "x-worker", "value": b"nobody"}],
                    }
                },
                {"trailers": {}},
            ],
            grpc.StatusCode.UNKNOWN,  # the dispatch Worker does not catch it
            "WORKER_EXCEPTION",
            "Worker not found.",
        ),
    ],
)
async def test_bad_input(
    stub: Any, parts: list[dict[str, Any]], code: grpc.StatusCode, reason: str, says: str
) -> None:
    """Bad input gets the documented code and reason, and the service goes on serving."""
    call = stub.DispatchStream(
        iter([dispatcher_pb2.DispatchStreamRequest(**part) for part in parts])
    )
    got_code, got_reason, message = await failure_of(call)
    assert (got_code, got_reason) == (code, reason), message
    assert says in message
    good = dispatcher_pb2.DispatchRequest(head={"method": "GET", "url": "http://a.test/"})
    assert (await stub.Dispatch(good).read()).head.status == 200


async def test_no_dispatch_worker(dispatcher: Target) -> None:
    """Without a dispatch Worker the answer says which one is missing."""
    stub = dispatcher_pb2_grpc.DispatcherServiceStub(dispatcher.channel)
    if deployed(Role.DISPATCHER):
        pytest.skip("a deployed dispatcher may have one")
    request = dispatcher_pb2.DispatchRequest(head={"method": "GET", "url": "http://a.test/"})
    code, reason, message = await failure_of(stub.Dispatch(request))
    assert (code, reason) == (grpc.StatusCode.FAILED_PRECONDITION, "WORKER_LOAD_FAILED")
    assert "no dispatch Worker 'dispatch'" in message
