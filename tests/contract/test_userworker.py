from __future__ import annotations

import asyncio
import base64
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from sluice.pb import userworker_pb2, userworker_pb2_grpc
from tests.contract.failure import failure_of, read_failure
from tests.contract.target import NAMESPACE, Target

INVALID = grpc.StatusCode.INVALID_ARGUMENT
ECHO = """export default { async fetch(r, env, ctx) {
  return new Response(`${r.method} ${r.url} ${JSON.stringify(ctx.props)} ${await r.text()}`,
    { status: 201, headers: [['set-cookie', 'a=1'], ['set-cookie', 'b=2']] }) } }"""
WORKER = {"dispatchNamespace": NAMESPACE, "name": "echo"}
HEAD = {"method": "POST", "url": "https://echo.example.com/a?b=c"}


@pytest.fixture
def stub(userworker: Target) -> userworker_pb2_grpc.UserWorkerServiceStub:
    """The service's stub."""
    return userworker_pb2_grpc.UserWorkerServiceStub(userworker.channel)


async def test_health(userworker: Target) -> None:
    """The service says by grpc.health.v1 that it is serving, by name and as a whole."""
    health = health_pb2_grpc.HealthStub(userworker.channel)
    for service in ("", "sluice.v1.UserWorkerService"):
        answer = await health.Check(health_pb2.HealthCheckRequest(service=service))
        assert answer.status == health_pb2.HealthCheckResponse.SERVING


async def test_grpcurl_sequence(userworker: Target) -> None:
    """List, describe, call with JSON: a person with grpcurl alone can invoke a user Worker."""
    await userworker.deploy("echo", ECHO)

    def session() -> list[dict[str, Any]]:
        with userworker.grpcurl() as grpcurl:
            assert "sluice.v1.UserWorkerService" in grpcurl.services()
            methods = grpcurl.describe("sluice.v1.UserWorkerService")
            assert methods["Invoke"] == ("InvokeRequest", "InvokeResponse")
            return grpcurl.call(
                "sluice.v1.UserWorkerService/Invoke",
                {
                    "invocation": {
                        "worker": WORKER,
                        "props": {"plan": "gold"},
                        "outbound": {"params": {"params_object": {"customer_name": "acme"}}},
                    },
                    "head": HEAD,
                    "body": base64.b64encode(b"hi").decode(),
                },
            )

    first, *rest = await asyncio.to_thread(session)
    assert first["head"]["status"] == 201
    cookies = [h["value"] for h in first["head"]["headers"] if h["name"] == "set-cookie"]
    assert [base64.b64decode(cookie) for cookie in cookies] == [b"a=1", b"b=2"]
    body = b"".join(base64.b64decode(part.get("body", "")) for part in (first, *rest))
    assert body == b'POST https://echo.example.com/a?b=c {"plan":"gold"} hi'


async def test_streamed_shape(userworker: Target, stub: Any) -> None:
    """The streamed shape does the same, its body in parts that its trailers end."""
    await userworker.deploy("echo", ECHO)
    parts: list[dict[str, Any]] = [
        {
            "invocation": {"worker": {"dispatch_namespace": NAMESPACE, "name": "echo"}},
            "head": HEAD,
            "body": b"one ",
        },
        {"body": b"two"},
        {"trailers": {}},
    ]
    call = stub.InvokeStream(iter([userworker_pb2.InvokeStreamRequest(**part) for part in parts]))
    answers = [answer async for answer in call]
    assert answers[0].head.status == 201
    body = b"".join(answer.body for answer in answers)
    assert body == b"POST https://echo.example.com/a?b=c {} one two"


def _invoke(**changes: Any) -> userworker_pb2.InvokeRequest:
    request = userworker_pb2.InvokeRequest(
        invocation={"worker": {"dispatch_namespace": NAMESPACE, "name": "echo"}}, head=HEAD
    )
    for name, value in changes.items():
        request.ClearField(name)
        if value is not None:
            getattr(request, name).MergeFrom(value)
    return request


def _with_params(value: Any) -> userworker_pb2.Invocation:
    invocation = userworker_pb2.Invocation(worker={"dispatch_namespace": NAMESPACE, "name": "echo"})
    invocation.outbound.params.update({"params_object": value})
    return invocation


def _deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("changes", "code", "reason", "says"),
    [
        ({"invocation": None}, INVALID, "INVALID_REQUEST", "invocation: not set"),
        ({"head": None}, INVALID, "INVALID_REQUEST", "head: not set"),
        (
            {"invocation": userworker_pb2.Invocation()},
            INVALID,
            "INVALID_REQUEST",
            "invocation.worker.name: not set",
        ),
        (
            {
                "invocation": userworker_pb2.Invocation(
                    worker={"dispatch_namespace": NAMESPACE, "name": "nobody"}
                )
            },
            grpc.StatusCode.NOT_FOUND,
            "WORKER_NOT_FOUND",
            "nobody",
        ),
        (
            {"invocation": _with_params("x" * 17_000)},  # over 16 KiB
            INVALID,
            "INVALID_PARAMS",
            "'params_object'",
        ),
        (
            {"invocation": _with_params(_deep(40))},  # over 32 levels, though few bytes
            INVALID,
            "INVALID_PARAMS",
            "levels deep",
        ),
        (
            {"head": userworker_pb2.InvokeRequest(head={"method": "GET", "url": "/a"}).head},
            INVALID,
            "INVALID_REQUEST",
            "head.url",
        ),
    ],
)
async def test_bad_input(
    userworker: Target,
    stub: Any,
    changes: dict[str, Any],
    code: grpc.StatusCode,
    reason: str,
    says: str,
) -> None:
    """Bad input gets the documented code and reason, and the service goes on serving."""
    await userworker.deploy("echo", ECHO)
    got_code, got_reason, message = await failure_of(stub.Invoke(_invoke(**changes)))
    assert (got_code, got_reason) == (code, reason)
    assert says in message
    assert (await stub.Invoke(_invoke()).read()).head.status == 201


async def test_exception_is_typed(userworker: Target, stub: Any) -> None:
    """What a Worker throws is WORKER_EXCEPTION, UNKNOWN, with its name and message."""
    await userworker.deploy("thrower", "export default { fetch() { throw new RangeError('far') } }")
    thrower = userworker_pb2.Invocation(worker={"dispatch_namespace": NAMESPACE, "name": "thrower"})
    code, reason, message = await failure_of(stub.Invoke(_invoke(invocation=thrower)))
    assert (code, reason, message) == (
        grpc.StatusCode.UNKNOWN,
        "WORKER_EXCEPTION",
        "RangeError: far",
    )


async def test_tail(userworker: Target, stub: Any) -> None:
    """What a Worker prints can be read, by its name."""
    await userworker.deploy(
        "printer", "export default { fetch() { console.log('printed'); return new Response() } }"
    )
    worker = {"dispatch_namespace": NAMESPACE, "name": "printer"}
    follow = stub.TailWorker(userworker_pb2.TailWorkerRequest(worker=worker))
    reading = asyncio.create_task(follow.read())
    await stub.Invoke(_invoke(invocation=userworker_pb2.Invocation(worker=worker))).read()
    line = await asyncio.wait_for(reading, 10)
    assert line.line == "printed"
    follow.cancel()


def test_failure_is_read_from_the_wire() -> None:
    """The failure's reader is not fooled by an error without details."""
    with pytest.raises(AssertionError):
        read_failure(
            grpc.aio.AioRpcError(
                grpc.StatusCode.UNAVAILABLE, grpc.aio.Metadata(), grpc.aio.Metadata()
            )
        )
