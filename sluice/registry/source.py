"""Where a service gets Workers from."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from sluice.pb import worker_pb2

MAX_MESSAGE = 72 * 1024 * 1024
"""Most bytes of a gRPC message with a bundle in it: a bundle of 64 MiB and its settings."""


class Current(NamedTuple):
    """What holds for the next request to a Worker. Shared: not to be changed."""

    digest: str
    egress: worker_pb2.EgressPolicy | None
    """Policy of its dispatch namespace, where that has one."""


class BundleSource(Protocol):
    """Finds a Worker's current version, and a version's bundle. From memory where possible."""

    async def resolve(self, namespace: str, name: str) -> str:
        """Digest of the Worker's current version. `namespace` is empty for an account-level Worker.

        Raises `WORKER_NOT_FOUND` or `NAMESPACE_NOT_FOUND`.
        """

    async def bundle(self, digest: str) -> worker_pb2.Bundle:
        """The bundle of that digest, shared: not to be changed. Raises `WORKER_NOT_FOUND`."""


class CurrentSource(BundleSource, Protocol):
    """Finds what holds for the next request, as the dispatcher has to."""

    async def current(self, namespace: str, name: str) -> Current:
        """As `resolve`, with the policy of the namespace."""
