from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from functools import partial

import grpc.aio
import pytest

from sluice.bundle.digest import digest
from sluice.mesh.channel import dial
from sluice.mesh.env import Address
from sluice.mesh.server import GrpcServer
from sluice.pb import registry_pb2, registry_pb2_grpc
from sluice.registry.client import RegistryClient
from sluice.registry.source import BundleSource
from sluice.wire.errors import Reason, SluiceError
from tests.registry.conftest import bundle


class Registry(registry_pb2_grpc.RegistryServiceServicer):
    """A dispatcher that has one Worker."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    async def ResolveWorker(
        self, request: registry_pb2.ResolveWorkerRequest, context: grpc.aio.ServicerContext
    ) -> registry_pb2.ResolveWorkerResponse:
        self.calls.append("resolve")
        if request.worker.name != "acme":
            raise SluiceError(Reason.WORKER_NOT_FOUND, "no such Worker")
        return registry_pb2.ResolveWorkerResponse(digest=digest(bundle()))

    async def GetBundle(
        self, request: registry_pb2.GetBundleRequest, context: grpc.aio.ServicerContext
    ) -> registry_pb2.GetBundleResponse:
        self.calls.append("bundle")
        if request.digest != digest(bundle()):
            raise SluiceError(Reason.WORKER_NOT_FOUND, "no such bundle")
        return registry_pb2.GetBundleResponse(bundle=bundle())


@pytest.fixture
def registry() -> Registry:
    """A dispatcher's registry, to count the calls of."""
    return Registry()


@pytest.fixture
async def client(registry: Registry) -> AsyncIterator[RegistryClient]:
    """A client of it."""
    server = GrpcServer(Address("127.0.0.1", 0), allow_plaintext=False)
    add = partial(registry_pb2_grpc.add_RegistryServiceServicer_to_server, registry)
    server.add("sluice.v1.RegistryService", add)
    async with dial(await server.start()) as channel:
        opened = RegistryClient(channel)
        yield opened
        await opened.aclose()
    await server.stop(0)


async def test_answers_are_asked_for_once(registry: Registry, client: RegistryClient) -> None:
    """A resolve and a bundle are one call each, however many want them at once."""
    source: BundleSource = client
    digests = await asyncio.gather(*(source.resolve("production", "acme") for _ in range(9)))
    assert set(digests) == {digest(bundle())}
    bundles = await asyncio.gather(*(source.bundle(digests[0]) for _ in range(9)))
    assert all(found == bundle() for found in bundles)
    assert await source.bundle(digests[0]) is bundles[0]
    assert registry.calls == ["resolve", "bundle"]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda c: c.resolve("production", "gone"), "no such Worker"),
        (lambda c: c.bundle("gone"), "no such bundle"),
    ],
)
async def test_errors_are_the_registrys(
    client: RegistryClient, call: Callable[[RegistryClient], object], message: str
) -> None:
    """A `SluiceError` of the dispatcher's is the same one here."""
    with pytest.raises(SluiceError) as raised:
        await call(client)  # type: ignore[misc]
    assert (raised.value.reason, raised.value.message) == (Reason.WORKER_NOT_FOUND, message)


async def test_no_registry_is_unavailable() -> None:
    """Where the dispatcher cannot be reached, the error says so and names it."""
    async with grpc.aio.insecure_channel("127.0.0.1:1") as channel:
        client = RegistryClient(channel)
        for call in (client.resolve("production", "acme"), client.bundle("0" * 64)):
            with pytest.raises(SluiceError, match=r"^registry: ") as raised:
                await call
            assert raised.value.reason is Reason.SERVICE_UNAVAILABLE
        await client.aclose()
