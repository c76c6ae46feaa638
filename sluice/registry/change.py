"""A new version of one Worker, within a transaction."""

from __future__ import annotations

import asyncio
from typing import Any, Self

from sqlalchemy import Row, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from sluice.bundle.digest import digest as digest_of
from sluice.bundle.validate import validate
from sluice.pb import registry_pb2, worker_pb2
from sluice.registry import rows
from sluice.registry.database import Database
from sluice.registry.not_found import no_namespace
from sluice.registry.tables import bundles, namespaces, versions, workers


class Change:
    """One Worker, there or not, as it is before the change. Nobody else changes it meanwhile."""

    def __init__(
        self,
        database: Database,
        connection: AsyncConnection,
        worker: tuple[str, str],
        namespace_id: int | None,
        current: Row[Any] | None,
    ) -> None:
        self._database = database
        self._connection = connection
        self._namespace, self._name = worker
        self._namespace_id = namespace_id
        self._current = current

    @classmethod
    async def begin(
        cls, database: Database, connection: AsyncConnection, namespace: str, name: str
    ) -> Self:
        """Look the Worker up. Raises `NAMESPACE_NOT_FOUND`."""
        await database.lock_worker(connection, namespace, name)
        namespace_id = None
        if namespace:
            there = select(namespaces.c.id).where(namespaces.c.name == namespace)
            # Shared with other changes; what deletes the namespace waits for all of them.
            shared = there.with_for_update(read=True, key_share=True)
            namespace_id = (await connection.execute(shared)).scalar()
            if namespace_id is None:
                raise no_namespace(namespace)
        query = select(workers).where(rows.is_worker(namespace, name))
        current = (await connection.execute(query)).one_or_none()
        return cls(database, connection, (namespace, name), namespace_id, current)

    async def bundle(self) -> worker_pb2.Bundle | None:
        """The bundle of the current version, or None where there is no such Worker."""
        if self._current is None:
            return None
        query = select(bundles.c.content).where(bundles.c.digest == self._current.digest)
        content: bytes = (await self._connection.execute(query)).scalar_one()
        return worker_pb2.Bundle.FromString(content)

    async def save(self, bundle: worker_pb2.Bundle) -> registry_pb2.WorkerInfo:
        """Make `bundle` the current version, unless it is already. Raises `INVALID_BUNDLE`."""
        digest, content = await asyncio.to_thread(_encode, bundle)
        if self._current is None or self._current.digest != digest:
            now = rows.now_us()
            insert = self._database.insert(bundles).values(
                digest=digest, main_module=bundle.main_module, content=content, touched_us=now
            )
            await self._connection.execute(
                insert.on_conflict_do_update(index_elements=["digest"], set_={"touched_us": now})
            )
            await self._add_version(digest, now)
        return await rows.one_worker(self._connection, self._namespace, self._name)

    async def _add_version(self, digest: str, now: int) -> None:
        number = 1 if self._current is None else self._current.version_count + 1
        current = {"digest": digest, "version_count": number, "modified_us": now}
        if self._current is None:
            worker_id = await self._create(current)
        else:
            worker_id = self._current.id
            this = workers.c.id == worker_id
            await rows.touch(self._connection, this)
            await self._connection.execute(update(workers).where(this).values(current))
        await self._connection.execute(
            versions.insert().values(
                worker_id=worker_id, number=number, digest=digest, created_us=now
            )
        )

    async def _create(self, current: dict[str, Any]) -> int:
        values = {
            "namespace_id": self._namespace_id,
            "name": self._name,
            "created_us": current["modified_us"],
            **current,
        }
        insert = workers.insert().values(values).returning(workers.c.id)
        worker_id: int = (await self._connection.execute(insert)).scalar_one()
        return worker_id


def _encode(bundle: worker_pb2.Bundle) -> tuple[str, bytes]:
    """The digest and the bytes of a bundle that can be a Worker."""
    validate(bundle)
    return digest_of(bundle), bundle.SerializeToString()
