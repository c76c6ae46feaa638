"""Malformed gRPC at each service of a real mesh: it is refused with a documented code, and they serve on."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
import pytest_asyncio
from google.protobuf import struct_pb2
from grpc import StatusCode as Code
from grpc_health.v1 import health_pb2, health_pb2_grpc

from sluice.isolate.sandbox.posture import Kind
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
from tests.grpcio_writing import CallEndedError, half_close, write

ECHO = "export default { async fetch(r, env, ctx) { return Response.json([[...r.headers.keys()], await r.text()]) }, method() { return 'rpc' } }"
HEAD = http_pb2.HttpRequestHead(method="POST", url="http://echo.test/")
WORKER = worker_pb2.Worker(dispatch_namespace="production", name="echo")
INVALID = (Code.INVALID_ARGUMENT, "INVALID_REQUEST")
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
        assert [line["exception"] for line in service.lines if "exception" in line] == []


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
        # Any method can be called as one with streams: the far side sees no difference.
        rpc = channel.stream_stream(method)(metadata=metadata)
        writing = asyncio.create_task(_write_all(rpc, messages))
        try:
            while await rpc.read() is not grpc.aio.EOF:
                pass
        except grpc.aio.AioRpcError as error:
            keys = {key for key, _ in error.trailing_metadata() or ()}
            detailed = "grpc-status-details-bin" in keys
            return error.code(), read_failure(error)[1] if detailed else str(error.details())
        finally:
            writing.cancel()
            await asyncio.wait([writing])
    return Code.OK, ""


async def _write_all(rpc: Any, messages: tuple[bytes, ...]) -> None:
    with contextlib.suppress(CallEndedError):
        for message in messages:
            await write(rpc, message)
        await half_close(rpc)


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
    "message",
    [
        b"\xff" * 100,
        random.Random(6).randbytes(1000),
        b"\x0a\xff\xff\xff\xff\x0f",  # a length past the end
        b"\x0b" * 1000,  # groups in groups
        b"",
        b"\xfa\x07\x01a" * 100,  # fields that nobody knows
        health_pb2.HealthCheckRequest(service="x").SerializeToString(),
        registry_pb2.CreateNamespaceRequest(name="production").SerializeToString(),
    ],
    ids=["bytes", "random", "length", "groups", "empty", "unknown", "health", "namespace"],
)
@pytest.mark.parametrize("shape", ["", "Stream"], ids=["whole", "streamed"])
async def test_no_message(target: Mesh, service: str, message: bytes, shape: str) -> None:
    """Bytes that are no message of the method, or another's, are refused with a reason."""
    assert await call(target, service, METHODS[service] + shape, message) == INVALID


@pytest.mark.parametrize("service", SERVICES)
async def test_a_message_of_20_mb(target: Mesh, service: str) -> None:
    """It is refused before it is read."""
    code, _ = await call(target, service, METHODS[service], bytes(20 << 20))
    assert code is Code.RESOURCE_EXHAUSTED


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
    ("control headers", headers(*((name, b"{}") for name in ("x-sluice-token", "x-sluice-call", "x-sluice-get", "x-sluice-error", "x-sluice-env"))), INVALID),
    ("257 headers", headers(*[("x-a", b"a")] * 257), INVALID),
    ("256 headers", headers(*[("x-a", b"a")] * 256), (Code.OK, "")),
    ("1 MiB of headers", headers(*((f"x-{number}", b"a" * 10_000) for number in range(105))), INVALID),
    ("hop by hop", headers(("upgrade", b"h2c")), INVALID),
    ("a URL of 1 MiB", invoke(head__url="http://echo.test/" + "a" * 2**20), INVALID),
    ("a fragment", invoke(head__url="http://echo.test/#"), INVALID),
    ("NUL in the URL", invoke(head__url="http://echo.test/\0"), INVALID),
    ("a backslash", invoke(head__url="http://echo.test\\@evil.test/"), INVALID),
    ("2^64 - 1 bytes", invoke(head__content_length=2**64 - 1), INVALID),
    ("a body of more than 256 KiB", invoke(body=bytes(256 * 1024 + 1)), INVALID),
    ("a body longer than said", invoke(body=b"abc", head__content_length=2), INVALID),
    ("framing", headers(("host", b"victim"), ("content-length", b"9"), ("transfer-encoding", b"chunked"), ("connection", b"x-a")), INVALID),
    ("a digest that is a path", invoke(invocation__worker__digest="../../../etc/passwd"), INVALID),
    ("a name that is a path", invoke(invocation__worker__name="../echo"), (Code.NOT_FOUND, "WORKER_NOT_FOUND")),
    ("a name of 100 kB", invoke(invocation__worker__name="a" * 100_000), (Code.NOT_FOUND, "WORKER_NOT_FOUND")),
    ("a method with CRLF", invoke(invocation__rpc_method="a\r\nx-sluice-token: b", body=b'[["array"]]'), (Code.UNKNOWN, "WORKER_EXCEPTION")),
    ("a method beyond ASCII", invoke(invocation__rpc_method="\u2028\U0001f600", body=b'[["array"]]'), (Code.UNKNOWN, "WORKER_EXCEPTION")),
    ("a method of 200 kB", invoke(invocation__rpc_method="a" * 200_000, body=b'[["array"]]'), INVALID),
    ("no CPU time", invoke(invocation__limits__cpu_ms=0), INVALID),
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
    ("another's invocation later", [part(**FIRST), part(invocation=FIRST["invocation"], body=b"x"), END], INVALID),
    ("no end", [part(**FIRST), part(body=b"x")], (Code.ABORTED, "BODY_CUT_SHORT")),
    ("bytes behind the head", [part(**FIRST), b"\xff" * 9], INVALID),
    ("a part of more than 64 KiB", [part(**FIRST), part(body=bytes(65537)), END], INVALID),
    ("2^64 - 1 bytes", [part(invocation=FIRST["invocation"], head=http_pb2.HttpRequestHead(method="POST", url="http://echo.test/", content_length=2**64 - 1)), END], INVALID),
    ("a WebSocket with a body", [part(invocation=FIRST["invocation"], head=http_pb2.HttpRequestHead(method="GET", url="http://echo.test/", websocket=True), body=b"x"), END], INVALID),
    ("a WebSocket before it is open", [part(invocation=FIRST["invocation"], head=http_pb2.HttpRequestHead(method="GET", url="http://echo.test/", websocket=True), websocket={"text": "x"})], INVALID),
    ("more than it says", [part(invocation=FIRST["invocation"], head=http_pb2.HttpRequestHead(method="POST", url="http://echo.test/", content_length=2)), part(body=b"abc"), END], INVALID),
    ("less than it says", [part(invocation=FIRST["invocation"], head=http_pb2.HttpRequestHead(method="POST", url="http://echo.test/", content_length=9)), part(body=b"abc"), END], (Code.ABORTED, "BODY_CUT_SHORT")),
    ("a WebSocket message in HTTP", [part(**FIRST), part(websocket={"text": "x"}), END], INVALID),
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


@pytest.mark.parametrize("behind", [part(body=b"x"), END, part(**FIRST), b"\xff" * 9])
async def test_a_part_behind_the_end(target: Mesh, behind: bytes) -> None:
    """It is refused, unless the answer was complete before it came."""
    method = "/sluice.v1.UserWorkerService/InvokeStream"
    got = await call(target, "userworker", method, part(**FIRST), END, behind)
    assert got in {INVALID, (Code.OK, "")}


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
    assert await call(target, "userworker", METHODS["userworker"], request) == INVALID


def nested(levels: int) -> struct_pb2.Struct:
    """Objects in objects, this many levels."""
    value: Any = 1
    for _ in range(levels):
        value = {"a": value}
    struct = struct_pb2.Struct()
    struct.update(value)
    return struct


@pytest.mark.parametrize("where", ["props", "outbound"])
@pytest.mark.parametrize(
    ("struct", "reasons"),
    [
        (nested(32), {""}),
        (nested(33), {"INVALID_PARAMS", "INVALID_REQUEST"}),  # protobuf's own limit is near
        (
            struct_pb2.Struct(fields={"a": struct_pb2.Value(string_value="x" * 17_000)}),
            {"INVALID_PARAMS"},
        ),
    ],
    ids=["32 levels", "33 levels", "17 kB"],
)
async def test_params(
    target: Mesh, where: str, struct: struct_pb2.Struct, reasons: set[str]
) -> None:
    """Params and props are within the limits of what `get()` may pass, whoever calls."""
    request = invoke()
    into = request.invocation.props if where == "props" else request.invocation.outbound.params
    into.CopyFrom(struct)
    _, got = await call(target, "userworker", METHODS["userworker"], request.SerializeToString())
    assert got in reasons


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


@pytest.mark.parametrize("service", SERVICES)
async def test_posture(target: Mesh, service: str) -> None:
    """Health lists how Workers are confined."""
    async with dial(target.grpc[service]) as channel:
        listed = await health_pb2_grpc.HealthStub(channel).List(health_pb2.HealthListRequest())
    kinds = {f"sluice.sandbox.{kind}" for kind in Kind}
    assert len(kinds & set(listed.statuses)) == 1
