"""The `sluice` command, and what it talks to: a real registry, and a userworker service."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from google.protobuf.timestamp_pb2 import Timestamp

from services.dispatcher.registry_servicer import RegistryServicer
from sluice.cli.main import main
from sluice.mesh.env import Address
from sluice.mesh.pair import INVOKE
from sluice.mesh.served import Served
from sluice.mesh.server import GrpcServer
from sluice.pb import registry_pb2_grpc, userworker_pb2
from sluice.registry.directory import Directory
from sluice.registry.source import MAX_MESSAGE
from sluice.registry.store import Store
from sluice.wire.messages import Request, Response

LOOPBACK = Address("127.0.0.1", 0)
TOKEN = "correct horse"

Sluice = Callable[..., Awaitable[Result]]


@dataclass
class Registry:
    """A dispatcher's registry. `lines` is what every Worker has printed.

    With `follow`, those who follow wait for it once they have the lines.
    """

    address: Address
    store: Store
    lines: list[str] = field(default_factory=list)
    follow: asyncio.Event | None = None


@pytest.fixture
async def registry(tmp_path: Path) -> AsyncIterator[Registry]:
    """The real RegistryService on a database of its own; it wants `TOKEN`."""
    store = await Store.open(f"sqlite+aiosqlite:///{tmp_path}/registry.db")
    directory = Directory(store)
    found = Registry(LOOPBACK, store)

    async def tail(_: userworker_pb2.TailWorkerRequest) -> AsyncIterator[Any]:
        for line in found.lines:
            time = Timestamp(seconds=3600 * 12)
            yield userworker_pb2.TailWorkerResponse(time=time, digest="ab" * 32, line=line)
        if found.follow is not None:
            await found.follow.wait()

    server = GrpcServer(LOOPBACK, allow_plaintext=False, max_message=MAX_MESSAGE)
    servicer = RegistryServicer(directory, lambda request: Call(tail(request)), TOKEN)
    server.add(
        "sluice.v1.RegistryService",
        partial(registry_pb2_grpc.add_RegistryServiceServicer_to_server, servicer),
    )
    found.address = await server.start()
    yield found
    await server.stop(0)
    await directory.aclose()
    await store.aclose()


class Call:
    """As much of a gRPC call as the registry uses of the userworker service's."""

    def __init__(self, lines: AsyncIterator[Any]) -> None:
        self._lines = lines

    def __aiter__(self) -> AsyncIterator[Any]:
        return self._lines

    def cancel(self) -> None:
        """Nothing goes on."""


@pytest.fixture
async def run() -> Sluice:
    """Runs the command; in a thread, because this loop serves what it talks to."""

    async def call(*arguments: str, text: str | None = None, **variables: str) -> Result:
        runner = CliRunner()
        return await asyncio.to_thread(
            runner.invoke, main, arguments, input=text, env=dict(variables), prog_name="sluice"
        )

    return call


@pytest.fixture
async def sluice(run: Sluice, registry: Registry) -> Sluice:
    """Runs the command against the registry."""

    async def call(*arguments: str, text: str | None = None) -> Result:
        return await run(
            *arguments,
            text=text,
            SLUICE_DISPATCHER=str(registry.address),
            SLUICE_API_TOKEN=TOKEN,
        )

    return call


Serve = Callable[[userworker_pb2.Invocation, Request], Awaitable[Response]]


class UserWorkers:
    """A userworker service that answers as a test says."""

    def __init__(self) -> None:
        self.address = LOOPBACK
        self.serve: Serve

    async def answer(self, invocation: Any, request: Request, _: object) -> Response:
        """Answer by what the test set."""
        return await self.serve(invocation, request)


@pytest.fixture
async def user_workers() -> AsyncIterator[UserWorkers]:
    """A userworker service; a test sets its `serve`."""
    servicer = UserWorkers()
    server = GrpcServer(LOOPBACK, allow_plaintext=False)
    server.add(INVOKE.service, Served(INVOKE, servicer.answer).add_to)
    servicer.address = await server.start()
    yield servicer
    await server.stop(0)
