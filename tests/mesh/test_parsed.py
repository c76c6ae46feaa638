"""What is no protobuf is refused alike by every method of every service, and not logged."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import grpc
import pytest

from sluice.mesh.channel import dial
from sluice.mesh.env import Address
from sluice.mesh.errors import from_rpc
from sluice.mesh.server import GrpcServer
from sluice.pb import registry_pb2, registry_pb2_grpc
from sluice.wire.errors import Reason

NO_PROTOBUF = b"\x0a\xff\xff\xff\xff\x0f"
REGISTRY = "sluice.v1.RegistryService"


class Registry(registry_pb2_grpc.RegistryServiceServicer):
    """Two methods, one of each way to answer."""

    async def GetNamespace(self, request: Any, _: Any) -> Any:
        """Answer with what was asked for."""
        return registry_pb2.GetNamespaceResponse(namespace={"name": request.name})

    async def FollowWorkerLogs(self, request: Any, _: Any) -> AsyncIterator[Any]:
        """Answer with its name, twice."""
        for _ in range(2):
            yield registry_pb2.FollowWorkerLogsResponse(line=request.worker.name)


@pytest.fixture
async def channel() -> AsyncIterator[grpc.aio.Channel]:
    """A channel to a server with a generated servicer, health and reflection."""
    server = GrpcServer(Address("127.0.0.1", 0), allow_plaintext=False)
    add = partial(registry_pb2_grpc.add_RegistryServiceServicer_to_server, Registry())
    server.add(REGISTRY, add)
    async with dial(await server.start()) as channel:
        yield channel
    await server.stop(0)


@pytest.mark.parametrize(
    "method",
    [
        f"{REGISTRY}/GetNamespace",
        f"{REGISTRY}/FollowWorkerLogs",
        "grpc.health.v1.Health/Check",
        "grpc.health.v1.Health/Watch",
        "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
    ],
)
async def test_no_protobuf(
    channel: grpc.aio.Channel, method: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It is INVALID_ARGUMENT with our reason, without a line in the log."""
    call = channel.stream_stream(f"/{method}")(iter([NO_PROTOBUF]))
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        async for _ in call:
            pass
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    error = from_rpc(raised.value, "peer")
    assert error.reason is Reason.INVALID_REQUEST
    assert "not a message of this method" in error.message
    assert caplog.records == []


async def test_protobuf(channel: grpc.aio.Channel) -> None:
    """What is protobuf arrives, at methods with one answer and with many."""
    stub = registry_pb2_grpc.RegistryServiceStub(channel)
    got = await stub.GetNamespace(registry_pb2.GetNamespaceRequest(name="a"))
    assert got.namespace.name == "a"
    follow = stub.FollowWorkerLogs(registry_pb2.FollowWorkerLogsRequest(worker={"name": "b"}))
    assert [line.line async for line in follow] == ["b", "b"]
