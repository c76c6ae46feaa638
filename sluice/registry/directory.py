"""The dispatcher's view of the registry: the store, with what it answered last in memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

from sluice.pb import registry_pb2, worker_pb2
from sluice.registry.answers import Answers
from sluice.registry.bundles import Bundles
from sluice.registry.source import Current
from sluice.registry.store import Store


class Directory:
    """A `BundleSource` over a `Store`. A write that goes through it is seen by the next `resolve`.

    A write by another dispatcher is seen within a second. The writes are the store's, and raise
    what they raise.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self._answers = Answers(store.current)
        self._bundles = Bundles(store.bundle)

    async def aclose(self) -> None:
        """Give up what is being read. The store stays open."""
        await self._answers.aclose()
        await self._bundles.aclose()

    async def resolve(self, namespace: str, name: str) -> str:
        """As `BundleSource.resolve`."""
        return (await self.current(namespace, name)).digest

    async def current(self, namespace: str, name: str) -> Current:
        """As `resolve`, with the policy of the namespace."""
        return await self._answers.get((namespace, name))

    async def bundle(self, digest: str) -> worker_pb2.Bundle:
        """As `BundleSource.bundle`."""
        return await self._bundles.get(digest)

    async def create_namespace(
        self, name: str, policy: worker_pb2.EgressPolicy | None = None
    ) -> registry_pb2.Namespace:
        """As `Store.create_namespace`."""
        with self._changing(name):
            return await self.store.create_namespace(name, policy)

    async def update_namespace(
        self, name: str, policy: worker_pb2.EgressPolicy | None
    ) -> registry_pb2.Namespace:
        """As `Store.update_namespace`."""
        with self._changing(name):
            return await self.store.update_namespace(name, policy)

    async def delete_namespace(self, name: str) -> int:
        """As `Store.delete_namespace`."""
        with self._changing(name):
            return await self.store.delete_namespace(name)

    async def put_worker(
        self, namespace: str, name: str, bundle: worker_pb2.Bundle, *, drop_secrets: bool = False
    ) -> registry_pb2.WorkerInfo:
        """As `Store.put_worker`."""
        with self._changing(namespace, name):
            return await self.store.put_worker(namespace, name, bundle, drop_secrets=drop_secrets)

    async def patch_secrets(
        self, namespace: str, name: str, set_: Mapping[str, str], delete: Iterable[str]
    ) -> registry_pb2.WorkerInfo:
        """As `Store.patch_secrets`."""
        with self._changing(namespace, name):
            return await self.store.patch_secrets(namespace, name, set_, delete)

    async def delete_worker(self, namespace: str, name: str) -> None:
        """As `Store.delete_worker`."""
        with self._changing(namespace, name):
            await self.store.delete_worker(namespace, name)

    @contextmanager
    def _changing(self, namespace: str, name: str | None = None) -> Iterator[None]:
        try:
            yield
        finally:  # a write that failed may have been done all the same
            self._answers.forget(namespace, name)
