"""The name of a bundle: a digest of everything in it."""

from __future__ import annotations

from sluice.pb import worker_pb2


def digest(bundle: worker_pb2.Bundle) -> str:
    """Lowercase hex SHA-256 of the bundle's canonical form. Equal bundles, equal digests."""
    raise NotImplementedError
