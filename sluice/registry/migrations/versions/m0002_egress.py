"""The egress policies of dispatch namespaces."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Give namespaces a policy; those that are there have none."""
    op.add_column("namespaces", sa.Column("egress", sa.LargeBinary))
