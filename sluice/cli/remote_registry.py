"""The registry of a running dispatcher, over gRPC."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from types import TracebackType
from typing import Any, Self, TypeVar

import grpc.aio

from sluice.mesh import channel, errors
from sluice.mesh.env import Address
from sluice.mesh.roles import Role
from sluice.mesh.tls import Credentials
from sluice.pb import registry_pb2, registry_pb2_grpc, worker_pb2
from sluice.registry.source import MAX_MESSAGE
from sluice.wire.errors import Reason, SluiceError

DEADLINE = 30.0
"""Seconds that one call may take."""

T = TypeVar("T")


class RemoteRegistry:
    """`RegistryService` at one address. Every call raises `SluiceError`, and has a deadline.

    With `patient`, a call waits for a dispatcher that is just being started.
    """

    def __init__(
        self,
        address: Address,
        token: str | None = None,
        credentials: Credentials | None = None,
        *,
        patient: bool = False,
    ) -> None:
        self.address = address
        self._patient = patient
        self._metadata = (("authorization", f"Bearer {token}"),) if token else ()
        self._channel = channel.dial(address, Role.DISPATCHER, credentials, max_message=MAX_MESSAGE)
        self._stub = registry_pb2_grpc.RegistryServiceStub(self._channel)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._channel.close()

    async def create_namespace(
        self, name: str, policy: worker_pb2.EgressPolicy | None = None
    ) -> registry_pb2.Namespace:
        """Create a dispatch namespace. `ALREADY_EXISTS` where there is one of that name."""
        request = registry_pb2.CreateNamespaceRequest(name=name, egress=policy)
        created: registry_pb2.CreateNamespaceResponse
        created = await self._call(self._stub.CreateNamespace, request)
        return created.namespace

    async def update_namespace(
        self, name: str, policy: worker_pb2.EgressPolicy | None
    ) -> registry_pb2.Namespace:
        """Replace the egress policy of a dispatch namespace; None: by none."""
        request = registry_pb2.UpdateNamespaceRequest(name=name, egress=policy)
        updated: registry_pb2.UpdateNamespaceResponse
        updated = await self._call(self._stub.UpdateNamespace, request)
        return updated.namespace

    async def namespace(self, name: str) -> registry_pb2.Namespace:
        """One dispatch namespace."""
        request = registry_pb2.GetNamespaceRequest(name=name)
        got: registry_pb2.GetNamespaceResponse
        got = await self._call(self._stub.GetNamespace, request)
        return got.namespace

    async def namespaces(self) -> list[registry_pb2.Namespace]:
        """All dispatch namespaces, by name."""
        request = registry_pb2.ListNamespacesRequest()
        return list((await self._call(self._stub.ListNamespaces, request)).namespaces)

    async def delete_namespace(self, name: str) -> int:
        """Delete a dispatch namespace. Returns how many Workers went with it."""
        request = registry_pb2.DeleteNamespaceRequest(name=name)
        return int((await self._call(self._stub.DeleteNamespace, request)).deleted_worker_count)

    async def put_worker(
        self, worker: worker_pb2.Worker, bundle: worker_pb2.Bundle, *, drop_secrets: bool = False
    ) -> registry_pb2.WorkerInfo:
        """Create a Worker, or give it a new version."""
        request = registry_pb2.PutWorkerRequest(
            worker=worker, bundle=bundle, drop_secrets=drop_secrets
        )
        put: registry_pb2.PutWorkerResponse = await self._call(self._stub.PutWorker, request)
        return put.worker

    async def worker(self, worker: worker_pb2.Worker) -> registry_pb2.WorkerInfo:
        """One Worker."""
        request = registry_pb2.GetWorkerRequest(worker=worker)
        got: registry_pb2.GetWorkerResponse = await self._call(self._stub.GetWorker, request)
        return got.worker

    async def workers(self, namespace: str) -> list[registry_pb2.WorkerInfo]:
        """The Workers of a dispatch namespace by name; account-level ones, if it is empty."""
        request = registry_pb2.ListWorkersRequest(dispatch_namespace=namespace)
        return list((await self._call(self._stub.ListWorkers, request)).workers)

    async def delete_worker(self, worker: worker_pb2.Worker) -> None:
        """Delete a Worker."""
        request = registry_pb2.DeleteWorkerRequest(worker=worker)
        await self._call(self._stub.DeleteWorker, request)

    async def patch_secrets(
        self, worker: worker_pb2.Worker, set_: Mapping[str, str], delete: list[str]
    ) -> registry_pb2.WorkerInfo:
        """Set some of a Worker's secrets, and delete some."""
        request = registry_pb2.PatchSecretsRequest(worker=worker, set=set_, delete=delete)
        patched: registry_pb2.PatchSecretsResponse
        patched = await self._call(self._stub.PatchSecrets, request)
        return patched.worker

    async def secrets(self, worker: worker_pb2.Worker) -> list[str]:
        """Names of a Worker's secrets."""
        request = registry_pb2.ListSecretsRequest(worker=worker)
        return list((await self._call(self._stub.ListSecrets, request)).names)

    async def logs(
        self, worker: worker_pb2.Worker, *, follow: bool
    ) -> AsyncIterator[registry_pb2.FollowWorkerLogsResponse]:
        """Lines that a Worker printed; with `follow`, until the caller wants no more."""
        request = registry_pb2.FollowWorkerLogsRequest(worker=worker, no_follow=not follow)
        deadline = None if follow else DEADLINE
        try:
            async for line in self._stub.FollowWorkerLogs(
                request, timeout=deadline, metadata=self._metadata
            ):
                yield line
        except grpc.aio.AioRpcError as error:
            raise self._explained(error) from error

    async def _call(self, method: Callable[..., Awaitable[Any]], request: object) -> Any:
        try:
            return await method(
                request,
                timeout=DEADLINE,
                metadata=self._metadata,
                wait_for_ready=self._patient,
            )
        except grpc.aio.AioRpcError as error:
            raise self._explained(error) from error

    def _explained(self, error: grpc.aio.AioRpcError) -> SluiceError:
        return explained(error, f"the dispatcher at {self.address}")


def explained(error: grpc.aio.AioRpcError, service: str) -> SluiceError:
    """Why a call of `service` failed, in words for the one who typed the command."""
    found = errors.from_rpc(error, service)
    if any(key == errors.DETAILS_KEY for key, _ in error.trailing_metadata() or ()):
        return found
    if error.code() is grpc.StatusCode.UNAVAILABLE:
        return SluiceError(found.reason, f"cannot reach {service}: {_cause(error.details() or '')}")
    if error.code() is grpc.StatusCode.UNIMPLEMENTED:
        return SluiceError(Reason.NOT_SUPPORTED, f"{service} has no such call: {error.details()}")
    return found


def _cause(details: str) -> str:
    """What of gRPC's details says why there is no connection."""
    _, handshake, cause = details.removesuffix(": OK").rpartition("OPENSSL_internal:")
    return f"TLS: {cause}" if handshake else details.rpartition(": ")[2]


def ask(
    address: Address,
    token: str | None,
    credentials: Credentials | None,
    call: Callable[[RemoteRegistry], Awaitable[T]],
) -> T:
    """Make calls from code that is not async."""

    async def calls() -> T:
        async with RemoteRegistry(address, token, credentials) as registry:
            return await call(registry)

    return asyncio.run(calls())
