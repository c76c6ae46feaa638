"""RegistryService: namespaces and Workers over gRPC."""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable
from typing import TypeAlias

from sluice.pb import registry_pb2_grpc, userworker_pb2
from sluice.registry.directory import Directory

Tail: TypeAlias = Callable[
    [userworker_pb2.TailWorkerRequest], AsyncIterable[userworker_pb2.TailWorkerResponse]
]
"""`UserWorkerServiceStub.TailWorker`."""


class RegistryServicer(registry_pb2_grpc.RegistryServiceServicer):
    """Serves the registry. With a `token`, all but `GetBundle` and `ResolveWorker` need it."""

    def __init__(self, directory: Directory, tail: Tail, token: str | None = None) -> None:
        raise NotImplementedError
