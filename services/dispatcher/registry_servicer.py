"""RegistryService: namespaces and Workers over gRPC."""

from __future__ import annotations

import hmac
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import wraps
from typing import Any, TypeAlias, TypeVar

import grpc.aio

from sluice.bundle.validate import check_name, check_namespace
from sluice.mesh.errors import from_rpc
from sluice.pb import registry_pb2 as pb
from sluice.pb import registry_pb2_grpc, userworker_pb2, worker_pb2
from sluice.registry.directory import Directory
from sluice.wire.errors import Reason, SluiceError

Tail: TypeAlias = Callable[[userworker_pb2.TailWorkerRequest], grpc.aio.UnaryStreamCall]
"""`UserWorkerServiceStub.TailWorker`."""

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"

_Request = TypeVar("_Request")
_Response = TypeVar("_Response")
_Self = TypeVar("_Self", bound="RegistryServicer")
_WITHOUT_TOKEN = frozenset({"GetBundle", "ResolveWorker"})
_DIGEST = re.compile(r"[0-9a-f]{64}")


def _rpc(
    rpc: Callable[[_Self, _Request], Awaitable[_Response]],
) -> Callable[[_Self, _Request, Context], Awaitable[_Response]]:
    """A unary RPC, the token looked at."""

    @wraps(rpc)
    async def call(self: _Self, request: _Request, context: Context) -> _Response:
        if rpc.__name__ not in _WITHOUT_TOKEN:
            self.authorize(context)
        return await rpc(self, request)

    return call


class RegistryServicer(registry_pb2_grpc.RegistryServiceServicer):
    """Serves the registry. With a `token`, all but `GetBundle` and `ResolveWorker` need it."""

    def __init__(self, directory: Directory, tail: Tail, token: str | None = None) -> None:
        self._directory = directory
        self._tail = tail
        self._token = token

    @_rpc
    async def CreateNamespace(
        self, request: pb.CreateNamespaceRequest
    ) -> pb.CreateNamespaceResponse:
        """Create a dispatch namespace."""
        check_namespace(request.name, "name")
        policy = request.egress if request.HasField("egress") else None
        namespace = await self._directory.create_namespace(request.name, policy)
        return pb.CreateNamespaceResponse(namespace=namespace)

    @_rpc
    async def GetNamespace(self, request: pb.GetNamespaceRequest) -> pb.GetNamespaceResponse:
        """Return one dispatch namespace."""
        check_namespace(request.name, "name")
        namespace = await self._directory.store.get_namespace(request.name)
        return pb.GetNamespaceResponse(namespace=namespace)

    @_rpc
    async def ListNamespaces(self, _request: pb.ListNamespacesRequest) -> pb.ListNamespacesResponse:
        """List the dispatch namespaces."""
        return pb.ListNamespacesResponse(namespaces=await self._directory.store.list_namespaces())

    @_rpc
    async def UpdateNamespace(
        self, request: pb.UpdateNamespaceRequest
    ) -> pb.UpdateNamespaceResponse:
        """Replace the egress policy of a dispatch namespace."""
        check_namespace(request.name, "name")
        policy = request.egress if request.HasField("egress") else None
        namespace = await self._directory.update_namespace(request.name, policy)
        return pb.UpdateNamespaceResponse(namespace=namespace)

    @_rpc
    async def DeleteNamespace(
        self, request: pb.DeleteNamespaceRequest
    ) -> pb.DeleteNamespaceResponse:
        """Delete a dispatch namespace and its Workers."""
        check_namespace(request.name, "name")
        count = await self._directory.delete_namespace(request.name)
        return pb.DeleteNamespaceResponse(deleted_worker_count=count)

    @_rpc
    async def PutWorker(self, request: pb.PutWorkerRequest) -> pb.PutWorkerResponse:
        """Create a Worker, or give it a new version."""
        namespace, name = _named(request.worker)
        if not request.HasField("bundle"):
            raise SluiceError(Reason.INVALID_REQUEST, "bundle: missing")
        worker = await self._directory.put_worker(
            namespace, name, request.bundle, drop_secrets=request.drop_secrets
        )
        return pb.PutWorkerResponse(worker=worker)

    @_rpc
    async def GetWorker(self, request: pb.GetWorkerRequest) -> pb.GetWorkerResponse:
        """Return one Worker."""
        worker = await self._directory.store.get_worker(*_named(request.worker))
        return pb.GetWorkerResponse(worker=worker)

    @_rpc
    async def ListWorkers(self, request: pb.ListWorkersRequest) -> pb.ListWorkersResponse:
        """List the Workers of a dispatch namespace, or the account-level ones."""
        if request.dispatch_namespace:
            check_namespace(request.dispatch_namespace, "dispatch_namespace")
        workers = await self._directory.store.list_workers(request.dispatch_namespace)
        return pb.ListWorkersResponse(workers=workers)

    @_rpc
    async def DeleteWorker(self, request: pb.DeleteWorkerRequest) -> pb.DeleteWorkerResponse:
        """Delete a Worker."""
        await self._directory.delete_worker(*_named(request.worker))
        return pb.DeleteWorkerResponse()

    @_rpc
    async def PatchSecrets(self, request: pb.PatchSecretsRequest) -> pb.PatchSecretsResponse:
        """Set, replace or delete secrets."""
        namespace, name = _named(request.worker)
        for secret in request.delete:
            if secret in request.set:
                raise SluiceError(
                    Reason.INVALID_REQUEST, f"delete: secret {secret!r} is also to be set"
                )
        worker = await self._directory.patch_secrets(
            namespace, name, dict(request.set), list(request.delete)
        )
        return pb.PatchSecretsResponse(worker=worker)

    @_rpc
    async def ListSecrets(self, request: pb.ListSecretsRequest) -> pb.ListSecretsResponse:
        """List the names of a Worker's secrets."""
        names = await self._directory.store.list_secrets(*_named(request.worker))
        return pb.ListSecretsResponse(names=names)

    @_rpc
    async def GetBundle(self, request: pb.GetBundleRequest) -> pb.GetBundleResponse:
        """Return a bundle by digest."""
        if not _DIGEST.fullmatch(request.digest):
            raise SluiceError(
                Reason.INVALID_REQUEST, "digest: expected a SHA-256, 64 of 0-9 and a-f"
            )
        return pb.GetBundleResponse(bundle=await self._directory.bundle(request.digest))

    @_rpc
    async def ResolveWorker(self, request: pb.ResolveWorkerRequest) -> pb.ResolveWorkerResponse:
        """Return the digest of a Worker's current version."""
        return pb.ResolveWorkerResponse(
            digest=await self._directory.resolve(*_named(request.worker))
        )

    async def FollowWorkerLogs(
        self, request: pb.FollowWorkerLogsRequest, context: Context
    ) -> AsyncIterator[pb.FollowWorkerLogsResponse]:
        """Follow what a user Worker prints."""
        self.authorize(context)
        namespace, name = _named(request.worker)
        await self._directory.resolve(namespace, name)
        async for line in self._lines(request):
            yield line

    async def _lines(
        self, request: pb.FollowWorkerLogsRequest
    ) -> AsyncIterator[pb.FollowWorkerLogsResponse]:
        call = self._tail(
            userworker_pb2.TailWorkerRequest(worker=request.worker, no_follow=request.no_follow)
        )
        try:
            async for line in call:
                yield pb.FollowWorkerLogsResponse(
                    time=line.time, digest=line.digest, line=line.line
                )
        except grpc.aio.AioRpcError as error:
            raise from_rpc(error, "userworker") from error
        finally:
            call.cancel()

    def authorize(self, context: Context) -> None:
        """Raise `UNAUTHENTICATED` unless the call has the management token, where there is one."""
        if self._token is None:
            return
        metadata = dict(context.invocation_metadata() or ())
        scheme, _, given = str(metadata.get("authorization", "")).partition(" ")
        known = hmac.compare_digest(given.strip().encode(), self._token.encode())
        if scheme.lower() != "bearer" or not known:
            what = "wrong" if "authorization" in metadata else "missing"
            raise SluiceError(
                Reason.UNAUTHENTICATED, f"authorization: the management token is {what}"
            )


def _named(worker: worker_pb2.Worker) -> tuple[str, str]:
    """Namespace and name of a request's Worker. Raises `INVALID_REQUEST` that names the field."""
    if worker.dispatch_namespace:
        check_namespace(worker.dispatch_namespace, "worker.dispatch_namespace")
    check_name(worker.name, "worker.name")
    return worker.dispatch_namespace, worker.name
