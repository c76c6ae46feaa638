"""The registry's database."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Self

from sluice.pb import registry_pb2, worker_pb2


class Store:
    """Namespaces, Workers and versions, in SQLite or PostgreSQL.

    Everywhere, `namespace` is empty for an account-level Worker. Raises `SluiceError` with
    `NAMESPACE_NOT_FOUND`, `WORKER_NOT_FOUND`, `ALREADY_EXISTS` or `INVALID_BUNDLE`.
    """

    @classmethod
    async def open(cls, url: str) -> Self:
        """Open `sqlite:///<path>` or `postgresql://...` and bring its schema up to date."""
        raise NotImplementedError

    async def aclose(self) -> None:
        """Close every connection."""
        raise NotImplementedError

    async def create_namespace(self, name: str) -> registry_pb2.Namespace:
        """Create a dispatch namespace."""
        raise NotImplementedError

    async def get_namespace(self, name: str) -> registry_pb2.Namespace:
        """One dispatch namespace."""
        raise NotImplementedError

    async def list_namespaces(self) -> list[registry_pb2.Namespace]:
        """All dispatch namespaces, by name."""
        raise NotImplementedError

    async def delete_namespace(self, name: str) -> int:
        """Delete a dispatch namespace and its Workers. Returns how many those were."""
        raise NotImplementedError

    async def put_worker(
        self, namespace: str, name: str, bundle: worker_pb2.Bundle, *, drop_secrets: bool = False
    ) -> registry_pb2.WorkerInfo:
        """Create a Worker, or give it a new version.

        Secrets of the version before that `bundle` does not name are carried over, unless
        `drop_secrets`.
        """
        raise NotImplementedError

    async def get_worker(self, namespace: str, name: str) -> registry_pb2.WorkerInfo:
        """One Worker."""
        raise NotImplementedError

    async def list_workers(self, namespace: str) -> list[registry_pb2.WorkerInfo]:
        """The Workers of a dispatch namespace, or the account-level ones, by name."""
        raise NotImplementedError

    async def delete_worker(self, namespace: str, name: str) -> None:
        """Delete a Worker. Its bundle stays for a day, for requests in flight."""
        raise NotImplementedError

    async def patch_secrets(
        self, namespace: str, name: str, set_: Mapping[str, str], delete: Iterable[str]
    ) -> registry_pb2.WorkerInfo:
        """Set and delete secrets, which makes a new version."""
        raise NotImplementedError

    async def list_secrets(self, namespace: str, name: str) -> list[str]:
        """Names of a Worker's secrets, in order."""
        raise NotImplementedError

    async def resolve(self, namespace: str, name: str) -> str:
        """Digest of a Worker's current version."""
        raise NotImplementedError

    async def bundle(self, digest: str) -> worker_pb2.Bundle:
        """The bundle of that digest."""
        raise NotImplementedError
