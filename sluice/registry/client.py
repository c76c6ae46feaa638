"""The other services' view of the registry."""

from __future__ import annotations

import grpc.aio

from sluice.pb import worker_pb2


class RegistryClient:
    """A `BundleSource` over the dispatcher's `RegistryService`. `channel` stays the caller's."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        raise NotImplementedError

    async def aclose(self) -> None:
        """Give up the calls under way."""
        raise NotImplementedError

    async def resolve(self, namespace: str, name: str) -> str:
        """As `BundleSource.resolve`; also `SERVICE_UNAVAILABLE`."""
        raise NotImplementedError

    async def bundle(self, digest: str) -> worker_pb2.Bundle:
        """As `BundleSource.bundle`; also `SERVICE_UNAVAILABLE`."""
        raise NotImplementedError
