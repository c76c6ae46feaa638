"""The dispatcher's view of the registry: the store, with what it answered last in memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sluice.pb import registry_pb2, worker_pb2
from sluice.registry.store import Store


class Directory:
    """A `BundleSource` over a `Store`. A write that goes through it is seen by the next `resolve`.

    A write by another dispatcher is seen within a second. The writes are the store's, and raise
    what they raise.
    """

    def __init__(self, store: Store) -> None:
        self.store = store

    async def aclose(self) -> None:
        """Give up what is being read. The store stays open."""
        raise NotImplementedError

    async def resolve(self, namespace: str, name: str) -> str:
        """As `BundleSource.resolve`."""
        raise NotImplementedError

    async def bundle(self, digest: str) -> worker_pb2.Bundle:
        """As `BundleSource.bundle`."""
        raise NotImplementedError

    async def create_namespace(self, name: str) -> registry_pb2.Namespace:
        """As `Store.create_namespace`."""
        raise NotImplementedError

    async def delete_namespace(self, name: str) -> int:
        """As `Store.delete_namespace`."""
        raise NotImplementedError

    async def put_worker(
        self, namespace: str, name: str, bundle: worker_pb2.Bundle, *, drop_secrets: bool = False
    ) -> registry_pb2.WorkerInfo:
        """As `Store.put_worker`."""
        raise NotImplementedError

    async def patch_secrets(
        self, namespace: str, name: str, set_: Mapping[str, str], delete: Iterable[str]
    ) -> registry_pb2.WorkerInfo:
        """As `Store.patch_secrets`."""
        raise NotImplementedError

    async def delete_worker(self, namespace: str, name: str) -> None:
        """As `Store.delete_worker`."""
        raise NotImplementedError
