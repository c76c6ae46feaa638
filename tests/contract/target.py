"""What a contract test runs against: a service in this process, or one that is deployed."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import grpc.aio

from sluice.bundle.digest import digest
from sluice.mesh.channel import dial
from sluice.mesh.env import Address, Environment
from sluice.mesh.roles import Role
from sluice.mesh.server import GrpcServer
from sluice.pb import registry_pb2, registry_pb2_grpc, worker_pb2
from sluice.wire.body import Whole
from sluice.wire.errors import Reason, SluiceError
from sluice.wire.messages import Request, Response
from tests.bodies import read_all
from tests.certificates import credentials
from tests.contract.grpcurl import Grpcurl

NAMESPACE = "contract"


PEERS = {
    Role.DISPATCHER: Role.CLIENT,
    Role.USERWORKER: Role.DISPATCHER,
    Role.OUTBOUND: Role.USERWORKER,
}
"""Who calls a service, where its peers have certificates."""


def deployed(service: Role) -> Address | None:
    """Where `SLUICE_CONTRACT_<SERVICE>` says that the service is."""
    env = Environment(os.environ)
    name = f"CONTRACT_{service.name}"
    return env.address(name, None) if env.text(name, "") else None


def certificates() -> Path | None:
    """The folder that `SLUICE_CONTRACT_CERTS` names, as `sluice certs` wrote it."""
    folder = Environment(os.environ).text("CONTRACT_CERTS", "")
    return Path(folder) if folder else None


def es_module(source: str, **bindings: Any) -> worker_pb2.Bundle:
    """A bundle with one ES module."""
    module = worker_pb2.Module(
        name="index.js", kind=worker_pb2.Module.KIND_ES_MODULE, content=source.encode()
    )
    return worker_pb2.Bundle(
        main_module="index.js", modules=[module], compatibility_date="2026-01-01", **bindings
    )


@dataclass
class FakeRegistry(registry_pb2_grpc.RegistryServiceServicer):
    """Stands for the dispatcher: knows the Workers that a test gives it."""

    current: dict[tuple[str, str], str] = field(default_factory=dict)
    bundles: dict[str, worker_pb2.Bundle] = field(default_factory=dict)

    async def PutWorker(
        self, request: registry_pb2.PutWorkerRequest, _: Any
    ) -> registry_pb2.PutWorkerResponse:
        name = digest(request.bundle)
        self.bundles[name] = request.bundle
        self.current[request.worker.dispatch_namespace, request.worker.name] = name
        return registry_pb2.PutWorkerResponse()

    async def CreateNamespace(
        self, _: registry_pb2.CreateNamespaceRequest, __: Any
    ) -> registry_pb2.CreateNamespaceResponse:
        return registry_pb2.CreateNamespaceResponse()

    async def ResolveWorker(
        self, request: registry_pb2.ResolveWorkerRequest, context: Any
    ) -> registry_pb2.ResolveWorkerResponse:
        worker = (request.worker.dispatch_namespace, request.worker.name)
        if worker not in self.current:
            raise SluiceError(Reason.WORKER_NOT_FOUND, f"no {worker}")
        return registry_pb2.ResolveWorkerResponse(digest=self.current[worker])

    async def GetBundle(
        self, request: registry_pb2.GetBundleRequest, context: Any
    ) -> registry_pb2.GetBundleResponse:
        if request.digest not in self.bundles:
            raise SluiceError(Reason.WORKER_NOT_FOUND, request.digest)
        return registry_pb2.GetBundleResponse(bundle=self.bundles[request.digest])


async def echo(_: Any, request: Request, __: Any) -> Response:
    """Stands for the userworker or the outbound service: answers with the body, or the URL."""
    body = await read_all(request.body, 1 << 20)
    return Response(200, body=Whole(body or request.url.encode()))


@asynccontextmanager
async def serving(name: str, add: Callable[[grpc.aio.Server], None]) -> AsyncIterator[Address]:
    """A peer on loopback."""
    server = GrpcServer(Address("127.0.0.1", 0), allow_plaintext=False)
    server.add(name, add)
    address = await server.start()
    try:
        yield address
    finally:
        await server.stop(0)


@dataclass
class Target:
    """The service under test."""

    channel: grpc.aio.Channel
    grpcurl: Callable[[], Grpcurl]
    """Opens one for the service."""

    registry: registry_pb2_grpc.RegistryServiceStub
    metadata: tuple[tuple[str, str], ...] = ()

    async def deploy(
        self, name: str, bundle: worker_pb2.Bundle | str, namespace: str = NAMESPACE
    ) -> None:
        """Make a Worker known to the service."""
        await self.registry.PutWorker(
            registry_pb2.PutWorkerRequest(
                worker=worker_pb2.Worker(dispatch_namespace=namespace, name=name),
                bundle=es_module(bundle) if isinstance(bundle, str) else bundle,
            ),
            metadata=self.metadata,
        )


@asynccontextmanager
async def connected(
    service: Role,
    address: Address,
    registry: Address,
    folder: Path | None = None,
    token: str | None = None,
) -> AsyncIterator[Target]:
    """The service at `address`, whose Workers are put into the registry at `registry`.

    With a `folder` of certificates it is asked as whoever calls it.
    """
    metadata = (("authorization", f"Bearer {token}"),) if token else ()
    own, manager = credentials(folder, PEERS[service]), credentials(folder, Role.CLIENT)
    async with (
        dial(address, service, own) as channel,
        dial(registry, Role.DISPATCHER, manager) as registry_channel,
    ):
        stub = registry_pb2_grpc.RegistryServiceStub(registry_channel)
        try:
            await stub.CreateNamespace(
                registry_pb2.CreateNamespaceRequest(name=NAMESPACE), metadata=metadata
            )
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.ALREADY_EXISTS:
                raise
        yield Target(channel, partial(Grpcurl, address, service, own), stub, metadata)


def connected_to_deployed(
    service: Role, address: Address, registry: Address
) -> AbstractAsyncContextManager[Target]:
    """A service that is deployed."""
    token = os.environ.get("SLUICE_API_TOKEN")
    return connected(service, address, registry, certificates(), token)


def fake_registry() -> AbstractAsyncContextManager[Address]:
    """A registry on loopback that knows what it is given."""
    add = partial(registry_pb2_grpc.add_RegistryServiceServicer_to_server, FakeRegistry())
    return serving("sluice.v1.RegistryService", add)
