"""What the store asks its tables, and what it makes of a row."""

from __future__ import annotations

import time
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, and_, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from sluice.pb import registry_pb2, worker_pb2
from sluice.registry.not_found import no_namespace, no_worker
from sluice.registry.tables import bundles, namespaces, workers
from sluice.wire.errors import SluiceError


def now_us() -> int:
    """Microseconds since the epoch."""
    return time.time_ns() // 1000


def select_namespaces() -> Select[Any]:
    """Every namespace, with its number of Workers."""
    inside = select(func.count()).where(workers.c.namespace_id == namespaces.c.id)
    return select(namespaces, inside.scalar_subquery().label("worker_count"))


def select_workers(namespace: str) -> Select[Any]:
    """Every Worker of a namespace, or at account level, with its current main module."""
    query = select(workers, bundles.c.main_module).join(
        bundles, workers.c.digest == bundles.c.digest
    )
    return query.where(in_namespace(namespace))


def select_current(namespace: str, name: str) -> Select[Any]:
    """Digest of a Worker, and the policy of its namespace."""
    joined = workers.outerjoin(namespaces, workers.c.namespace_id == namespaces.c.id)
    query = select(workers.c.digest, namespaces.c.egress).select_from(joined)
    return query.where(is_worker(namespace, name))


def in_namespace(namespace: str) -> ColumnElement[bool]:
    """Whether a Worker is in the namespace of that name; for an empty one, at account level."""
    if not namespace:
        return workers.c.namespace_id.is_(None)
    there = select(namespaces.c.id).where(namespaces.c.name == namespace)
    return workers.c.namespace_id == there.scalar_subquery()


def is_worker(namespace: str, name: str) -> ColumnElement[bool]:
    """Whether a Worker is the one of that name."""
    return and_(in_namespace(namespace), workers.c.name == name)


async def one_namespace(connection: AsyncConnection, name: str) -> registry_pb2.Namespace:
    """The namespace of that name. Raises `NAMESPACE_NOT_FOUND`."""
    query = select_namespaces().where(namespaces.c.name == name)
    row = (await connection.execute(query)).one_or_none()
    if row is None:
        raise no_namespace(name)
    return namespace_of(row)


async def one_worker(
    connection: AsyncConnection, namespace: str, name: str
) -> registry_pb2.WorkerInfo:
    """The Worker of that name. Raises `WORKER_NOT_FOUND` or `NAMESPACE_NOT_FOUND`."""
    query = select_workers(namespace).where(workers.c.name == name)
    row = (await connection.execute(query)).one_or_none()
    if row is None:
        raise await missing(connection, namespace, name)
    return worker_of(row, namespace)


async def missing(connection: AsyncConnection, namespace: str, name: str) -> SluiceError:
    """Why there is no such Worker: for want of it, or of its namespace."""
    if namespace:
        try:
            await one_namespace(connection, namespace)
        except SluiceError as error:
            return error
    return no_worker(namespace, name)


async def touch(connection: AsyncConnection, which: ColumnElement[bool]) -> None:
    """Note that `which` Workers go from their bundles now."""
    digests = select(workers.c.digest).where(which)
    await connection.execute(
        update(bundles).where(bundles.c.digest.in_(digests)).values(touched_us=now_us())
    )


def namespace_of(row: Row[Any]) -> registry_pb2.Namespace:
    """A row of `select_namespaces`."""
    found = registry_pb2.Namespace(
        name=row.name, worker_count=row.worker_count, egress=egress_of(row)
    )
    found.created.FromMicroseconds(row.created_us)
    return found


def egress_of(row: Row[Any]) -> worker_pb2.EgressPolicy | None:
    """The policy of a row of `select_namespaces` or `select_current`."""
    return None if row.egress is None else worker_pb2.EgressPolicy.FromString(row.egress)


def worker_of(row: Row[Any], namespace: str) -> registry_pb2.WorkerInfo:
    """A row of `select_workers`."""
    found = registry_pb2.WorkerInfo(main_module=row.main_module, version_count=row.version_count)
    found.worker.dispatch_namespace = namespace
    found.worker.name = row.name
    found.worker.digest = row.digest
    found.created.FromMicroseconds(row.created_us)
    found.modified.FromMicroseconds(row.modified_us)
    return found
