"""The schema's history, for Alembic. Run by `sluice.registry.database`."""
