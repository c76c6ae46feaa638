"""The registry: what is in its database, and what may be done to it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Self

from sqlalchemy import delete, select, update

from sluice.bundle.validate import check_name, check_namespace
from sluice.pb import registry_pb2, worker_pb2
from sluice.registry import rows
from sluice.registry.change import Change
from sluice.registry.database import Database
from sluice.registry.not_found import no_namespace, no_worker
from sluice.registry.source import Current
from sluice.registry.tables import bundles, namespaces, workers
from sluice.wire import egress
from sluice.wire.errors import Reason, SluiceError

KEEP_BUNDLES = 24 * 3600
"""Seconds that a bundle stays after the last Worker has left it, for requests in flight."""


class Store:
    """Namespaces, Workers and versions, in SQLite or PostgreSQL.

    Everywhere, `namespace` is empty for an account-level Worker. Raises `SluiceError` with
    `NAMESPACE_NOT_FOUND`, `WORKER_NOT_FOUND`, `ALREADY_EXISTS`, `INVALID_REQUEST` or
    `INVALID_BUNDLE`, and `SERVICE_UNAVAILABLE` where the database fails.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    @classmethod
    async def open(cls, url: str) -> Self:
        """Open `sqlite:///<path>` or `postgresql://...`, and bring its schema up to date.

        Raises `ValueError` for another kind of URL.
        """
        store = cls(await Database.open(url))
        await store.collect_garbage()
        return store

    async def aclose(self) -> None:
        """Close every connection."""
        await self._database.aclose()

    async def create_namespace(
        self, name: str, policy: worker_pb2.EgressPolicy | None = None
    ) -> registry_pb2.Namespace:
        """Create a dispatch namespace."""
        check_namespace(name, "name")
        values = {"name": name, "created_us": rows.now_us(), "egress": _stored(policy)}
        async with self._database.writing() as connection:
            insert = self._database.insert(namespaces).values(values)
            if not (await connection.execute(insert.on_conflict_do_nothing())).rowcount:
                raise SluiceError(
                    Reason.ALREADY_EXISTS,
                    f"there is a dispatch namespace {name!r} already",
                    namespace=name,
                )
            return await rows.one_namespace(connection, name)

    async def get_namespace(self, name: str) -> registry_pb2.Namespace:
        """One dispatch namespace."""
        async with self._database.reading() as connection:
            return await rows.one_namespace(connection, name)

    async def list_namespaces(self) -> list[registry_pb2.Namespace]:
        """All dispatch namespaces, by name."""
        async with self._database.reading() as connection:
            found = await connection.execute(rows.select_namespaces().order_by(namespaces.c.name))
            return [rows.namespace_of(row) for row in found]

    async def update_namespace(
        self, name: str, policy: worker_pb2.EgressPolicy | None
    ) -> registry_pb2.Namespace:
        """Give a dispatch namespace another egress policy, or none."""
        change = update(namespaces).where(namespaces.c.name == name).values(egress=_stored(policy))
        async with self._database.writing() as connection:
            await connection.execute(change)
            return await rows.one_namespace(connection, name)

    async def delete_namespace(self, name: str) -> int:
        """Delete a dispatch namespace and its Workers. Returns how many those were."""
        async with self._database.writing() as connection:
            named = namespaces.c.name == name
            there = select(namespaces.c.id).where(named).with_for_update()
            if (await connection.execute(there)).one_or_none() is None:
                raise no_namespace(name)
            await rows.touch(connection, rows.in_namespace(name))
            deleted = await connection.execute(delete(workers).where(rows.in_namespace(name)))
            await connection.execute(delete(namespaces).where(named))
            return deleted.rowcount

    async def put_worker(
        self, namespace: str, name: str, bundle: worker_pb2.Bundle, *, drop_secrets: bool = False
    ) -> registry_pb2.WorkerInfo:
        """Create a Worker, or give it a new version. A bundle that it has already is no new one.

        Secrets of the version before that `bundle` does not name are carried over, unless
        `drop_secrets`.
        """
        check_name(name, "name")
        async with self._changing(namespace, name) as change:
            before = None if drop_secrets else await change.bundle()
            if before is not None:
                bundle = _with_secrets(bundle, before.secrets)
            return await change.save(bundle)

    async def patch_secrets(
        self, namespace: str, name: str, set_: Mapping[str, str], delete: Iterable[str]
    ) -> registry_pb2.WorkerInfo:
        """Set and delete secrets, which makes a new version. One to delete has to be there."""
        async with self._changing(namespace, name) as change:
            bundle = await change.bundle()
            if bundle is None:
                raise no_worker(namespace, name)
            for secret in delete:
                if secret not in bundle.secrets:
                    raise SluiceError(
                        Reason.INVALID_REQUEST, f"delete: Worker {name!r} has no secret {secret!r}"
                    )
                del bundle.secrets[secret]
            bundle.secrets.update(set_)
            return await change.save(bundle)

    async def list_secrets(self, namespace: str, name: str) -> list[str]:
        """Names of a Worker's secrets, in order."""
        bundle = await self.bundle(await self.resolve(namespace, name))
        return sorted(bundle.secrets)

    async def get_worker(self, namespace: str, name: str) -> registry_pb2.WorkerInfo:
        """One Worker."""
        async with self._database.reading() as connection:
            return await rows.one_worker(connection, namespace, name)

    async def list_workers(self, namespace: str) -> list[registry_pb2.WorkerInfo]:
        """The Workers of a dispatch namespace, or the account-level ones, by name."""
        async with self._database.reading() as connection:
            if namespace:
                await rows.one_namespace(connection, namespace)
            found = await connection.execute(
                rows.select_workers(namespace).order_by(workers.c.name)
            )
            return [rows.worker_of(row, namespace) for row in found]

    async def delete_worker(self, namespace: str, name: str) -> None:
        """Delete a Worker. Its bundle stays for `KEEP_BUNDLES`."""
        async with self._database.writing() as connection:
            await self._database.lock_worker(connection, namespace, name)
            this = rows.is_worker(namespace, name)
            await rows.touch(connection, this)
            if not (await connection.execute(delete(workers).where(this))).rowcount:
                raise await rows.missing(connection, namespace, name)

    async def resolve(self, namespace: str, name: str) -> str:
        """Digest of a Worker's current version."""
        return (await self.current(namespace, name)).digest

    async def current(self, namespace: str, name: str) -> Current:
        """A Worker's current version, and the policy of its namespace."""
        async with self._database.reading() as connection:
            query = rows.select_current(namespace, name)
            row = (await connection.execute(query)).one_or_none()
            if row is None:
                raise await rows.missing(connection, namespace, name)
            return Current(row.digest, rows.egress_of(row))

    async def bundle(self, digest: str) -> worker_pb2.Bundle:
        """The bundle of that digest."""
        async with self._database.reading() as connection:
            query = select(bundles.c.content).where(bundles.c.digest == digest)
            content: bytes | None = (await connection.execute(query)).scalar()
        if content is None:
            raise SluiceError(
                Reason.WORKER_NOT_FOUND, f"no Worker has or had the digest {digest[:64]!r}"
            )
        return worker_pb2.Bundle.FromString(content)

    async def collect_garbage(self) -> int:
        """Delete bundles that no Worker has had for `KEEP_BUNDLES`. Returns how many."""
        async with self._database.writing() as connection:
            left = bundles.c.touched_us < rows.now_us() - KEEP_BUNDLES * 1_000_000
            unused = bundles.c.digest.not_in(select(workers.c.digest))
            return (await connection.execute(delete(bundles).where(left, unused))).rowcount

    @asynccontextmanager
    async def _changing(self, namespace: str, name: str) -> AsyncIterator[Change]:
        """A transaction that gives one Worker a version, and is alone in it."""
        async with self._database.writing() as connection:
            yield await Change.begin(self._database, connection, namespace, name)


def _stored(policy: worker_pb2.EgressPolicy | None) -> bytes | None:
    """A policy as the database has it. Raises `INVALID_REQUEST` for one that cannot be read."""
    if policy is None:
        return None
    egress.check(policy)
    return policy.SerializeToString()


def _with_secrets(bundle: worker_pb2.Bundle, before: Mapping[str, str]) -> worker_pb2.Bundle:
    """A copy of `bundle` that also has the secrets of the version before."""
    merged = worker_pb2.Bundle()
    merged.CopyFrom(bundle)
    for name, value in before.items():
        if name not in bundle.secrets:
            merged.secrets[name] = value
    return merged
