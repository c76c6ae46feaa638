"""The other services' view of the registry."""

from __future__ import annotations

import grpc.aio

from sluice.mesh.errors import from_rpc
from sluice.pb import registry_pb2, registry_pb2_grpc, worker_pb2
from sluice.registry.answers import Answers
from sluice.registry.bundles import Bundles

DEADLINE = 10.0
"""Seconds that one call may take."""

_SERVICE = "registry"


class RegistryClient:
    """A `BundleSource` over the dispatcher's `RegistryService`. `channel` stays the caller's.

    The channel has to take messages of `sluice.registry.source.MAX_MESSAGE`.
    """

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = registry_pb2_grpc.RegistryServiceStub(channel)
        self._answers = Answers(self._resolve)
        self._bundles = Bundles(self._get_bundle)

    async def aclose(self) -> None:
        """Give up the calls under way."""
        await self._answers.aclose()
        await self._bundles.aclose()

    async def resolve(self, namespace: str, name: str) -> str:
        """As `BundleSource.resolve`; also `SERVICE_UNAVAILABLE`."""
        return await self._answers.get((namespace, name))

    async def bundle(self, digest: str) -> worker_pb2.Bundle:
        """As `BundleSource.bundle`; also `SERVICE_UNAVAILABLE`."""
        return await self._bundles.get(digest)

    async def _resolve(self, namespace: str, name: str) -> str:
        worker = worker_pb2.Worker(dispatch_namespace=namespace, name=name)
        request = registry_pb2.ResolveWorkerRequest(worker=worker)
        try:
            response = await self._stub.ResolveWorker(request, timeout=DEADLINE)
        except grpc.aio.AioRpcError as error:
            raise from_rpc(error, _SERVICE) from error
        digest: str = response.digest
        return digest

    async def _get_bundle(self, digest: str) -> worker_pb2.Bundle:
        request = registry_pb2.GetBundleRequest(digest=digest)
        try:
            response = await self._stub.GetBundle(request, timeout=DEADLINE)
        except grpc.aio.AioRpcError as error:
            raise from_rpc(error, _SERVICE) from error
        bundle: worker_pb2.Bundle = response.bundle
        return bundle
