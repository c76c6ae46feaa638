"""A peer to talk to: a real gRPC server whose one RPC does what a test says."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest

from sluice.mesh.channel import dial
from sluice.mesh.env import Address
from sluice.mesh.server import GrpcServer
from sluice.pb import userworker_pb2, userworker_pb2_grpc

NAME = "sluice.v1.UserWorkerService"

Invoke = Callable[[Any, Any], Awaitable[None]]


class Servicer(userworker_pb2_grpc.UserWorkerServiceServicer):
    """Does in `Invoke` what a test says."""

    def __init__(self, invoke: Invoke) -> None:
        self._invoke = invoke

    async def Invoke(self, request: Any, context: Any) -> None:
        """Do it."""
        await self._invoke(request, context)


@dataclass
class Peer:
    """A server, where it listens, and a channel to it."""

    server: GrpcServer
    address: Address
    channel: Any

    async def invoke(self, body: bytes = b"", **options: Any) -> list[Any]:
        """Make the RPC and read the response to its end."""
        return [message async for message in self.call(body, **options)]

    def call(self, body: bytes = b"", **options: Any) -> Any:
        """Begin the RPC."""
        stub = userworker_pb2_grpc.UserWorkerServiceStub(self.channel)
        return stub.Invoke(userworker_pb2.InvokeRequest(body=body), **options)


Serve = Callable[..., Awaitable[Peer]]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Starts peers whose `Invoke` is the function given, with these options at both ends."""
    async with contextlib.AsyncExitStack() as stack:

        async def start(invoke: Invoke, **options: Any) -> Peer:
            server = GrpcServer(Address("127.0.0.1", 0), allow_plaintext=False, **options)
            add = userworker_pb2_grpc.add_UserWorkerServiceServicer_to_server
            server.add(NAME, functools.partial(add, Servicer(invoke)))
            address = await server.start()
            stack.push_async_callback(server.stop, 0)
            channel = await stack.enter_async_context(dial(address, **options))
            return Peer(server, address, channel)

        yield start
