from __future__ import annotations

import asyncio
import base64
import json
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from sluice.pb import outbound_pb2, outbound_pb2_grpc
from tests.contract.failure import failure_of
from tests.contract.target import NAMESPACE, Target

INVALID = grpc.StatusCode.INVALID_ARGUMENT
ANSWERS = """export default { async fetch(r, env) {
  return Response.json([r.method, r.url, env.params_object, env.customer_name, await r.text()]) } }"""
WHO = {"dispatchNamespace": NAMESPACE, "name": "acme"}


@pytest.fixture
def stub(outbound: Target) -> outbound_pb2_grpc.OutboundServiceStub:
    """The service's stub."""
    return outbound_pb2_grpc.OutboundServiceStub(outbound.channel)


async def test_health(outbound: Target) -> None:
    """The service says by grpc.health.v1 that it is serving."""
    health = health_pb2_grpc.HealthStub(outbound.channel)
    answer = await health.Check(health_pb2.HealthCheckRequest(service="sluice.v1.OutboundService"))
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


async def test_grpcurl_sequence(outbound: Target) -> None:
    """A person with grpcurl alone can send an OutboundFetch with its params as plain JSON."""
    await outbound.deploy("contract-outbound", ANSWERS, "")

    def session() -> list[dict[str, Any]]:
        with outbound.grpcurl() as grpcurl:
            assert "sluice.v1.OutboundService" in grpcurl.services()
            methods = grpcurl.describe("sluice.v1.OutboundService")
            assert set(methods) == {"OutboundFetch", "OutboundFetchStream"}
            return grpcurl.call(
                "sluice.v1.OutboundService/OutboundFetch",
                {
                    "subrequest": {
                        "worker": WHO,
                        "outbound": {
                            "service": "contract-outbound",
                            "params": {"params_object": {"customer_name": "acme", "seats": 3}},
                        },
                    },
                    "head": {"method": "POST", "url": "https://api.example.com/v1"},
                    "body": base64.b64encode(b"hi").decode(),
                },
            )

    first, *rest = await asyncio.to_thread(session)
    assert first["head"]["status"] == 200
    body = b"".join(base64.b64decode(part.get("body", "")) for part in (first, *rest))
    assert json.loads(body) == [
        "POST",
        "https://api.example.com/v1",
        {"customer_name": "acme", "seats": 3},  # an integer again, though a Struct has doubles only
        "acme",
        "hi",
    ]


EVIL = {"denied_hosts": ["*.evil.test", "evil.test"]}


def _fetch(url: str, **subrequest: Any) -> outbound_pb2.OutboundFetchRequest:
    who: dict[str, Any] = {"worker": {"dispatch_namespace": NAMESPACE, "name": "acme"}}
    return outbound_pb2.OutboundFetchRequest(
        subrequest={**who, **subrequest}, head={"method": "GET", "url": url}
    )


def _too_many_params() -> outbound_pb2.OutboundFetchRequest:
    request = _fetch("https://any.test/")
    request.subrequest.outbound.params.update({"params_object": "x" * 17_000})
    return request


@pytest.mark.parametrize(
    ("request_", "code", "reason", "says"),
    [
        (outbound_pb2.OutboundFetchRequest(), INVALID, "INVALID_REQUEST", "subrequest: not set"),
        (
            outbound_pb2.OutboundFetchRequest(subrequest={}),
            INVALID,
            "INVALID_REQUEST",
            "head: not set",
        ),
        (_fetch("https://a.test/", worker={}), INVALID, "INVALID_REQUEST", "worker.name"),
        (_fetch("ftp://a.test/"), INVALID, "INVALID_REQUEST", "head.url"),
        (_fetch("https://user:pw@a.test/"), INVALID, "INVALID_REQUEST", "userinfo"),
        (_too_many_params(), INVALID, "INVALID_PARAMS", "'params_object'"),
        (
            _fetch("https://a.test/", outbound={"service": "nobody"}),
            grpc.StatusCode.FAILED_PRECONDITION,
            "WORKER_LOAD_FAILED",
            "no Outbound Worker 'nobody'",
        ),
        (
            _fetch("http://169.254.169.254/"),  # the cloud's metadata service
            grpc.StatusCode.PERMISSION_DENIED,
            "DESTINATION_PROHIBITED",
            "169.254.169.254",
        ),
        (
            _fetch("https://evil.test/", outbound={"namespace_egress": EVIL}),
            grpc.StatusCode.PERMISSION_DENIED,
            "DESTINATION_PROHIBITED",
            "evil.test is prohibited as a destination by the platform's policy",
        ),
        (
            # The Outbound Worker would have answered.
            _fetch(
                "https://evil.test/",
                outbound={"service": "contract-outbound", "binding_egress": {"allowed_hosts": {}}},
            ),
            grpc.StatusCode.PERMISSION_DENIED,
            "DESTINATION_PROHIBITED",
            "evil.test",
        ),
        (
            _fetch("https://a.test/", outbound={"binding_egress": {"denied_hosts": ["a.test:1"]}}),
            INVALID,
            "INVALID_REQUEST",
            "subrequest.outbound.binding_egress.denied_hosts[0]: 'a.test:1'",
        ),
        (
            _fetch("http://nobody.invalid/"),  # RFC 2606: never resolves
            grpc.StatusCode.UNAVAILABLE,
            "DNS_ERROR",
            "nobody.invalid",
        ),
        (
            _fetch("http://a.test/", hops=16),
            grpc.StatusCode.FAILED_PRECONDITION,
            "LOOP_DETECTED",
            "16 times",
        ),
    ],
)
async def test_bad_input(
    outbound: Target, stub: Any, request_: Any, code: grpc.StatusCode, reason: str, says: str
) -> None:
    """Bad input gets the documented code and reason, and the service goes on serving."""
    await outbound.deploy("contract-outbound", ANSWERS, "")
    got_code, got_reason, message = await failure_of(stub.OutboundFetch(request_))
    assert (got_code, got_reason) == (code, reason), message
    assert says in message
    answered = stub.OutboundFetch(
        _fetch("https://a.test/", outbound={"service": "contract-outbound"})
    )
    assert (await answered.read()).head.status == 200


@pytest.mark.parametrize(
    ("namespace", "binding"),
    [
        (EVIL, {"allowed_hosts": {"patterns": ["*.test"]}}),  # it passes both
        ({**EVIL, "denied_hosts": ["*"], "mode": "MODE_REPORT"}, EVIL),  # one only reports
        ({}, {}),  # set, and empty: it refuses nothing
    ],
)
async def test_policies_that_let_through(
    outbound: Target, stub: Any, namespace: dict[str, Any], binding: dict[str, Any]
) -> None:
    """A subrequest that passes its policies goes on to the Outbound Worker."""
    await outbound.deploy("contract-outbound", ANSWERS, "")
    chosen = {
        "service": "contract-outbound",
        "namespace_egress": namespace,
        "binding_egress": binding,
    }
    answer = await stub.OutboundFetch(_fetch("https://a.test/", outbound=chosen)).read()
    assert answer.head.status == 200


async def test_wrong_order_of_parts(stub: Any) -> None:
    """A body before its head is refused in the streamed shape."""
    call = stub.OutboundFetchStream(iter([outbound_pb2.OutboundFetchStreamRequest(body=b"early")]))
    code, reason, _ = await failure_of(call)
    assert (code, reason) == (INVALID, "INVALID_REQUEST")
