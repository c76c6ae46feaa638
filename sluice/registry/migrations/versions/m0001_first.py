"""Namespaces, Workers, versions and bundles."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "namespaces",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("created_us", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_namespaces"),
        sa.UniqueConstraint("name", name="uq_namespaces_name"),
    )
    op.create_table(
        "bundles",
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("main_module", sa.String, nullable=False),
        sa.Column("content", sa.LargeBinary, nullable=False),
        sa.Column("touched_us", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_bundles"),
    )
    _workers()
    op.create_table(
        "versions",
        sa.Column("worker_id", sa.Integer, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("created_us", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("worker_id", "number", name="pk_versions"),
        sa.ForeignKeyConstraint(
            ["worker_id"], ["workers.id"], name="fk_versions_worker_id", ondelete="CASCADE"
        ),
    )


def _workers() -> None:
    op.create_table(
        "workers",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("namespace_id", sa.Integer),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("version_count", sa.Integer, nullable=False),
        sa.Column("created_us", sa.BigInteger, nullable=False),
        sa.Column("modified_us", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_workers"),
        sa.UniqueConstraint("namespace_id", "name", name="uq_workers_namespace_id_name"),
        sa.ForeignKeyConstraint(
            ["namespace_id"],
            ["namespaces.id"],
            name="fk_workers_namespace_id",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(["digest"], ["bundles.digest"], name="fk_workers_digest"),
    )
    op.create_index("ix_workers_digest", "workers", ["digest"])
    account = sa.text("namespace_id IS NULL")
    op.create_index(
        "uq_workers_account_name",
        "workers",
        ["name"],
        unique=True,
        sqlite_where=account,
        postgresql_where=account,
    )
