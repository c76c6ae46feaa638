"""Malformed gRPC at each service of a real mesh: it is refused with a documented code, and they serve on."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
import pytest_asyncio
from grpc import StatusCode as Code
from grpc_health.v1 import health_pb2, health_pb2_grpc

from sluice.mesh.channel import dial
from sluice.pb import (
    http_pb2,
    outbound_pb2,
    registry_pb2,
    userworker_pb2,
    worker_pb2,
)
from tests.contract.failure import read_failure
from tests.e2e.mesh import SERVICES, Mesh, dispatch_bundle

ECHO = "export default { async fetch(r, env, ctx) { return Response.json([[...r.headers.keys()], await r.text()]) }, method() { return 'rpc' } }"
HEAD = http_pb2.HttpRequestHead(method="POST", url="http://echo.test/")
WORKER = worker_pb2.Worker(dispatch_namespace="production", name="echo")
METHODS = {
    "dispatcher": "/sluice.v1.DispatcherService/Dispatch",
    "userworker": "/sluice.v1.UserWorkerService/Invoke",
    "outbound": "/sluice.v1.OutboundService/OutboundFetch",
}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def attacked(shared_mesh: Mesh) -> AsyncIterator[Mesh]:
    """The mesh, which must be healthy after all attacks, and show no bug in any log."""
    mesh = shared_mesh
    await mesh.deploy("dispatch", dispatch_bundle())
    await mesh.deploy("echo", ECHO, "production")
    for service in mesh.services.values():
        service.lines.clear()
    yield mesh
    await asyncio.gather(*(mesh.healthy(name) for name in SERVICES))
    for service in mesh.services.values():
        failures = [str(line["exception"]) for line in service.lines if "exception" in line]
        # grpc.aio logs what it cannot parse itself.
        assert [text for text in failures if "DecodeError" not in text] == []


@pytest_asyncio.fixture(loop_scope="session")
async def target(attacked: Mesh) -> AsyncIterator[Mesh]:
    """The mesh, which must serve on after each attack."""
    yield attacked
    assert (await attacked.get("echo.test"))[0] == 200
    for service in attacked.services.values():
        assert service.process.returncode is None


async def call(
    mesh: Mesh, service: str, method: str, *messages: bytes, metadata: Any = ()
) -> tuple[Code, str]:
    """Code and reason of a call that sends these bytes as its messages."""
    async with dial(mesh.grpc[service]) as channel, asyncio.timeout(20):
        while True:
            code, reason = await _call(channel, method, messages, metadata)
            # grpc.aio loses the status of a call that ends while it still writes to it.
            if (code, reason) != (Code.INTERNAL, "Internal error from Core"):
                return code, reason


async def _call(
    channel: grpc.aio.Channel, method: str, messages: tuple[bytes, ...], metadata: Any
) -> tuple[Code, str]:
    if method.endswith("Stream"):
        done: Any = channel.stream_stream(method)(iter(messages), metadata=metadata)
    else:
        done = channel.unary_stream(method)(messages[0], metadata=metadata)
    try:
        async for _ in done:
            pass
    except grpc.aio.AioRpcError as error:
        keys = {key for key, _ in error.trailing_metadata() or ()}
        detailed = "grpc-status-details-bin" in keys
        return error.code(), read_failure(error)[1] if detailed else str(error.details())
    return Code.OK, ""


NO_GRPC = {
    "random bytes": random.Random(4).randbytes(4096),  # a seed: the same bytes each time
    "HTTP/1.1": b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "a TLS hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),
    "half a preface": b"PRI * HTTP/2.0\r\n",
    "a frame of 16 MB": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff\xff\xff\x00\x00\x00\x00\x00\x01",
    "a frame that is none": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x04\x04\x01\x00\x00\x00\x00abcd",
    "random frames": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00" + random.Random(5).randbytes(4096),
    "1,000 pings": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00" + b"\x00\x00\x08\x06\x00\x00\x00\x00\x00abcdefgh" * 1000,
    "resets of streams that are not": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00" + b"\x00\x00\x04\x03\x00\x00\x00\x00\x01\x00\x00\x00\x08" * 1000,
}  # fmt: skip


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("name", NO_GRPC)
async def test_no_grpc(target: Mesh, service: str, name: str) -> None:
    """What is no gRPC is at most that connection's own end."""
    address = target.grpc[service]
    reader, writer = await asyncio.open_connection(address.host, address.port)
    writer.write(NO_GRPC[name])
    writer.write_eof()
    async with asyncio.timeout(10):
        try:
            while await reader.read(65536):
                pass
        except ConnectionError:
            pass
    writer.close()


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize(
    ("message", "code"),
    [
        (b"\xff" * 100, Code.UNKNOWN),  # grpc.aio's own answer to what is no protobuf
        (random.Random(6).randbytes(1000), Code.UNKNOWN),
        (b"\x0a\xff\xff\xff\xff\x0f", Code.UNKNOWN),  # a length past the end
        (b"\x0b" * 1000, Code.UNKNOWN),  # groups in groups
        (b"", Code.INVALID_ARGUMENT),
        (b"\xfa\x07\x01a" * 100, Code.INVALID_ARGUMENT),  # fields that nobody knows
        (health_pb2.HealthCheckRequest(service="x").SerializeToString(), None),
        (registry_pb2.CreateNamespaceRequest(name="production").SerializeToString(), None),
        (bytes(20 << 20), Code.RESOURCE_EXHAUSTED),
    ],
    ids=["bytes", "random", "length", "groups", "empty", "unknown", "health", "namespace", "20 MB"],
)
async def test_no_message(target: Mesh, service: str, message: bytes, code: Code | None) -> None:
    """Bytes that are no message of the method, or another's, are refused with a code."""
    got, _ = await call(target, service, METHODS[service], message)
    assert got in ({code} if code else {Code.INVALID_ARGUMENT, Code.UNKNOWN})


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize(
    "method",
    [
        "/sluice.v1.Nobody/Call",
        "/",
        "/sluice.v1.UserWorkerService/invoke",
        "/a/../sluice.v1",
        "/" + "a" * 5000,
    ],
)
async def test_no_method(target: Mesh, service: str, method: str) -> None:
    """A method that is not there is UNIMPLEMENTED."""
    code, _ = await call(target, service, method, b"")
    assert code is Code.UNIMPLEMENTED


def invoke(**changes: Any) -> userworker_pb2.InvokeRequest:
    """A good Invoke, with some fields set otherwise."""
    request = userworker_pb2.InvokeRequest(
        invocation=userworker_pb2.Invocation(worker=WORKER), head=HEAD
    )
    for path, value in changes.items():
        holder: Any = request
        *way, last = path.split("__")
        for name in way:
            holder = getattr(holder, name)
        setattr(holder, last, value)
    return request


def headers(*pairs: tuple[str, bytes]) -> userworker_pb2.InvokeRequest:
    """A good Invoke with these headers."""
    request = invoke()
    for name, value in pairs:
        request.head.headers.add(name=name, value=value)
    return request


INVALID = (Code.INVALID_ARGUMENT, "INVALID_REQUEST")
FIELDS: list[tuple[str, userworker_pb2.InvokeRequest, tuple[Code, str]]] = [
    ("CRLF in the method", invoke(head__method="GET / HTTP/1.1\r\nx-sluice-token: a\r\n\r\n"), INVALID),
    ("a tunnel", invoke(head__method="CONNECT"), INVALID),
    ("no method", invoke(head__method=""), INVALID),
    ("CRLF in the URL", invoke(head__url="http://echo.test/ HTTP/1.1\r\nx-sluice-token: a\r\n\r\n"), INVALID),
    ("a relative URL", invoke(head__url="/"), INVALID),
    ("another scheme", invoke(head__url="unix:egress.sock"), INVALID),
    ("no host", invoke(head__url="http:///"), INVALID),
    ("userinfo", invoke(head__url="http://a:b@echo.test/"), INVALID),
    ("a long URL", invoke(head__url="http://echo.test/" + "a" * 20_000), INVALID),
    ("a WebSocket in one message", invoke(head__websocket=True), INVALID),
    ("a length that is not", invoke(head__content_length=5), (Code.ABORTED, "BODY_CUT_SHORT")),
    ("a name with CRLF", headers(("x\r\nx-sluice-token", b"a")), INVALID),
    ("a name with a space", headers(("x y", b"a")), INVALID),
    ("an uppercase name", headers(("X-Sluice-Token", b"a")), INVALID),
    ("an empty name", headers(("", b"a")), INVALID),
    ("a long name", headers(("x" * 500, b"a")), INVALID),
    ("a value with CRLF", headers(("x-a", b"a\r\nx-sluice-token: b")), INVALID),
    ("a value with NUL", headers(("x-a", b"a\0b")), INVALID),
    ("control headers", headers(*((name, b"{}") for name in ("x-sluice-token", "x-sluice-call", "x-sluice-get", "x-sluice-error", "x-sluice-env"))), (Code.OK, "")),
    ("framing", headers(("host", b"victim"), ("content-length", b"9"), ("transfer-encoding", b"chunked"), ("connection", b"x-a")), INVALID),
    ("a digest that is a path", invoke(invocation__worker__digest="../../../etc/passwd"), INVALID),
    ("a name that is a path", invoke(invocation__worker__name="../echo"), (Code.NOT_FOUND, "WORKER_NOT_FOUND")),
    ("a name of 100 kB", invoke(invocation__worker__name="a" * 100_000), (Code.NOT_FOUND, "WORKER_NOT_FOUND")),
    ("a method with CRLF", invoke(invocation__rpc_method="a\r\nx-sluice-token: b", body=b'[["array"]]'), (Code.UNKNOWN, "WORKER_EXCEPTION")),
    ("a method beyond ASCII", invoke(invocation__rpc_method="\u2028\U0001f600", body=b'[["array"]]'), (Code.UNKNOWN, "WORKER_EXCEPTION")),
    ("a method of 200 kB", invoke(invocation__rpc_method="a" * 200_000, body=b'[["array"]]'), (Code.UNKNOWN, "WORKER_EXCEPTION")),
    ("no CPU time", invoke(invocation__limits__cpu_ms=0), (Code.OK, "")),
]  # fmt: skip


@pytest.mark.parametrize(
    ("request_", "expected"), [row[1:] for row in FIELDS], ids=[row[0] for row in FIELDS]
)
async def test_field(
    target: Mesh, request_: userworker_pb2.InvokeRequest, expected: tuple[Code, str]
) -> None:
    """A field that HTTP or the platform cannot carry is refused, or dropped, by name."""
    got = await call(target, "userworker", METHODS["userworker"], request_.SerializeToString())
    assert got == expected


def part(**fields: Any) -> bytes:
    """One part of a streamed Invoke."""
    return userworker_pb2.InvokeStreamRequest(**fields).SerializeToString()


FIRST = {"invocation": userworker_pb2.Invocation(worker=WORKER), "head": HEAD}
END = part(trailers={})
PARTS: list[tuple[str, list[bytes], tuple[Code, str]]] = [
    ("nothing", [], INVALID),
    ("a body first", [part(body=b"x"), part(**FIRST), END], INVALID),
    ("the end first", [END, part(**FIRST)], INVALID),
    ("a head alone", [part(head=HEAD), END], INVALID),
    ("two heads", [part(**FIRST), part(head=HEAD), END], INVALID),
    ("two invocations", [part(**FIRST), part(**FIRST), END], INVALID),
    ("another's invocation later", [part(**FIRST), part(invocation=FIRST["invocation"], body=b"x"), END], (Code.OK, "")),
    ("no end", [part(**FIRST), part(body=b"x")], (Code.ABORTED, "BODY_CUT_SHORT")),
    ("a body behind the end", [part(**FIRST), END, part(body=b"x")], (Code.OK, "")),
    ("more than it says", [part(invocation=FIRST["invocation"], head=http_pb2.HttpRequestHead(method="POST", url="http://echo.test/", content_length=2)), part(body=b"abc"), END], INVALID),
    ("less than it says", [part(invocation=FIRST["invocation"], head=http_pb2.HttpRequestHead(method="POST", url="http://echo.test/", content_length=9)), part(body=b"abc"), END], (Code.ABORTED, "BODY_CUT_SHORT")),
    ("a WebSocket message in HTTP", [part(**FIRST), part(websocket={"text": "x"}), END], (Code.OK, "")),
    ("10,000 empty parts", [part(**FIRST), *[part(body=b"")] * 10_000, END], (Code.OK, "")),
]  # fmt: skip


@pytest.mark.parametrize(
    ("parts", "expected"), [row[1:] for row in PARTS], ids=[row[0] for row in PARTS]
)
async def test_parts_out_of_order(
    target: Mesh, parts: list[bytes], expected: tuple[Code, str]
) -> None:
    """Parts that are not a request in order end the call, and not as if it were complete."""
    got = await call(target, "userworker", "/sluice.v1.UserWorkerService/InvokeStream", *parts)
    assert got == expected


@pytest.mark.parametrize(
    ("metadata", "codes"),
    [
        ([("x-a", "a" * 1_000_000)], {Code.RESOURCE_EXHAUSTED, Code.INTERNAL, Code.UNAVAILABLE}),
        ([("x-a", "b")] * 5000, {Code.RESOURCE_EXHAUSTED, Code.INTERNAL, Code.UNAVAILABLE}),
        ([("traceparent", "00-" + "0" * 32 + "-" + "0" * 16 + "-ff")], {Code.OK}),
        ([("traceparent", "a" * 4000)], {Code.OK}),
        ([("grpc-status-details-bin", b"\xff" * 100)], {Code.OK}),
        ([("x-sluice-token", "forged"), ("x-sluice-hops", "0")], {Code.OK}),
        ([("authorization", "Bearer forged")], {Code.OK}),
    ],
    ids=["large", "many", "zeros", "trace", "details", "control", "token"],
)
async def test_metadata(target: Mesh, metadata: Any, codes: set[Code]) -> None:
    """Metadata is bounded, and says nothing about a request."""
    got, _ = await call(
        target, "userworker", METHODS["userworker"], invoke().SerializeToString(), metadata=metadata
    )
    assert got in codes


@pytest.mark.parametrize("hops", [16, 2**32 - 1])
async def test_hops(target: Mesh, hops: int) -> None:
    """A request that has been around too often goes no further."""
    request = outbound_pb2.OutboundFetchRequest(
        subrequest=outbound_pb2.Subrequest(worker=WORKER, hops=hops),
        head=http_pb2.HttpRequestHead(method="GET", url="http://127.0.0.1:1/"),
    )
    assert await call(target, "outbound", METHODS["outbound"], request.SerializeToString()) == (
        Code.FAILED_PRECONDITION,
        "LOOP_DETECTED",
    )


async def test_deep_params(target: Mesh) -> None:
    """Params that nest without end are refused before anything walks them."""
    deep = b"\x08\x01"
    for _ in range(500):  # Value.list_value of ListValue.values
        deep = b"\x0a" + _varint(len(deep)) + deep
        deep = b"\x32" + _varint(len(deep)) + deep
    entry = b"\x0a\x01a\x12" + _varint(len(deep)) + deep
    struct = b"\x0a" + _varint(len(entry)) + entry
    request = (
        invoke().SerializeToString()
        + b"\x0a"
        + _varint(len(struct) + 1 + len(_varint(len(struct))))
        + b"\x22"
        + _varint(len(struct))
        + struct
    )
    code, _ = await call(target, "userworker", METHODS["userworker"], request)
    assert code in {Code.UNKNOWN, Code.INVALID_ARGUMENT}


def _varint(number: int) -> bytes:
    out = b""
    while number > 127:
        out += bytes([number & 127 | 128])
        number >>= 7
    return out + bytes([number])


async def test_health_of_nobody(target: Mesh) -> None:
    """Health of a service that is not there is NOT_FOUND."""
    async with dial(target.grpc["outbound"]) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await health_pb2_grpc.HealthStub(channel).Check(
                health_pb2.HealthCheckRequest(service="../x")
            )
    assert raised.value.code() is Code.NOT_FOUND
