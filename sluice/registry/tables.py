"""The tables. What changes here needs a migration too; a test compares the two.

Times are microseconds since the epoch, which both databases keep alike.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    UniqueConstraint,
    text,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

namespaces = Table(
    "namespaces",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String(64), nullable=False, unique=True),
    Column("created_us", BigInteger, nullable=False),
    # EgressPolicy, serialized. NULL for none.
    Column("egress", LargeBinary),
)

bundles = Table(
    "bundles",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("main_module", String, nullable=False),
    Column("content", LargeBinary, nullable=False),
    # When a Worker last came to it or went from it: see Store.collect_garbage.
    Column("touched_us", BigInteger, nullable=False),
)

workers = Table(
    "workers",
    metadata,
    Column("id", Integer, primary_key=True),
    # NULL for an account-level Worker.
    Column("namespace_id", Integer, ForeignKey("namespaces.id", ondelete="CASCADE")),
    Column("name", String(64), nullable=False),
    Column("digest", String(64), ForeignKey("bundles.digest"), nullable=False, index=True),
    Column("version_count", Integer, nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("modified_us", BigInteger, nullable=False),
    UniqueConstraint("namespace_id", "name"),
)

# NULLs are distinct in a unique constraint, so account-level names need an index of their own.
Index(
    "uq_workers_account_name",
    workers.c.name,
    unique=True,
    sqlite_where=text("namespace_id IS NULL"),
    postgresql_where=text("namespace_id IS NULL"),
)

versions = Table(
    "versions",
    metadata,
    Column("worker_id", Integer, ForeignKey("workers.id", ondelete="CASCADE"), primary_key=True),
    Column("number", Integer, primary_key=True),
    # No foreign key: a version outlives its bundle.
    Column("digest", String(64), nullable=False),
    Column("created_us", BigInteger, nullable=False),
)
