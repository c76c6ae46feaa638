from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import grpc.aio
import pytest

from services.dispatcher.registry_servicer import RegistryServicer
from sluice.bundle.digest import digest
from sluice.mesh.channel import dial
from sluice.mesh.env import Address
from sluice.mesh.errors import from_rpc
from sluice.mesh.server import GrpcServer
from sluice.pb import registry_pb2 as pb
from sluice.pb import registry_pb2_grpc, userworker_pb2, userworker_pb2_grpc
from sluice.pb.worker_pb2 import Bundle, EgressPolicy, HostList, Module, Worker
from sluice.registry.directory import Directory
from sluice.registry.store import Store
from sluice.wire.errors import Reason, SluiceError

ACME = Worker(dispatch_namespace="production", name="acme")
TOKEN = "t0ken"

Stub = registry_pb2_grpc.RegistryServiceStub


def _bundle(**secrets: str) -> Bundle:
    return Bundle(
        main_module="index.js",
        modules=[Module(name="index.js", kind=Module.KIND_ES_MODULE, content=b"export default {}")],
        compatibility_date="2026-01-01",
        secrets=secrets,
    )


@asynccontextmanager
async def _served(service: str, add: Callable[[Any], None]) -> AsyncIterator[grpc.aio.Channel]:
    """A channel to a server of one service."""
    server = GrpcServer(Address("127.0.0.1", 0), allow_plaintext=False)
    server.add(service, add)
    async with dial(await server.start()) as channel:
        yield channel
    await server.stop(0)


def _served_registry(
    servicer: RegistryServicer,
) -> AbstractAsyncContextManager[grpc.aio.Channel]:
    add = partial(registry_pb2_grpc.add_RegistryServiceServicer_to_server, servicer)
    return _served("sluice.v1.RegistryService", add)


class UserWorker(userworker_pb2_grpc.UserWorkerServiceServicer):
    """Prints two lines, then waits until the call is cancelled."""

    def __init__(self) -> None:
        self.asked: list[userworker_pb2.TailWorkerRequest] = []
        self.cancelled = asyncio.Event()

    async def TailWorker(
        self, request: userworker_pb2.TailWorkerRequest, context: grpc.aio.ServicerContext
    ) -> AsyncIterator[userworker_pb2.TailWorkerResponse]:
        self.asked.append(request)
        for line in ("one", "two"):
            yield userworker_pb2.TailWorkerResponse(digest="d", line=line)
        if request.no_follow:
            return
        try:
            await asyncio.Event().wait()
        finally:
            self.cancelled.set()


@pytest.fixture
def userworker() -> UserWorker:
    """The userworker service."""
    return UserWorker()


@pytest.fixture
async def tail(userworker: UserWorker) -> AsyncIterator[Any]:
    """`UserWorkerServiceStub.TailWorker`."""
    add = partial(userworker_pb2_grpc.add_UserWorkerServiceServicer_to_server, userworker)
    async with _served("sluice.v1.UserWorkerService", add) as channel:
        yield userworker_pb2_grpc.UserWorkerServiceStub(channel).TailWorker


@pytest.fixture
async def directory(tmp_path: Path) -> AsyncIterator[Directory]:
    """The registry behind the servicer."""
    store = await Store.open(f"sqlite:///{tmp_path}/registry.db")
    opened = Directory(store)
    yield opened
    await opened.aclose()
    await store.aclose()


@pytest.fixture(params=[None])
async def stub(
    request: pytest.FixtureRequest, directory: Directory, tail: Any
) -> AsyncIterator[Stub]:
    """A client of the servicer; the parameter is the token that the servicer wants."""
    async with _served_registry(RegistryServicer(directory, tail, request.param)) as channel:
        yield Stub(channel)


async def _error(call: Awaitable[object]) -> SluiceError:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call
    return from_rpc(raised.value, "registry")


async def test_a_worker_lives_and_dies(stub: Stub) -> None:
    """Every RPC of a Worker's life does what it says."""
    made = await stub.CreateNamespace(pb.CreateNamespaceRequest(name="production"))
    assert made.namespace.name == "production"
    put = await stub.PutWorker(pb.PutWorkerRequest(worker=ACME, bundle=_bundle(A="1")))
    assert put.worker.worker.digest == digest(_bundle(A="1"))
    got = await stub.GetWorker(pb.GetWorkerRequest(worker=ACME))
    assert got.worker == put.worker
    listed = await stub.ListWorkers(pb.ListWorkersRequest(dispatch_namespace="production"))
    assert list(listed.workers) == [put.worker]
    assert not (await stub.ListWorkers(pb.ListWorkersRequest())).workers
    found = await stub.GetNamespace(pb.GetNamespaceRequest(name="production"))
    assert found.namespace.worker_count == 1
    namespaces = await stub.ListNamespaces(pb.ListNamespacesRequest())
    assert list(namespaces.namespaces) == [found.namespace]
    resolved = await stub.ResolveWorker(pb.ResolveWorkerRequest(worker=ACME))
    assert resolved.digest == put.worker.worker.digest
    loaded = await stub.GetBundle(pb.GetBundleRequest(digest=resolved.digest))
    assert loaded.bundle == _bundle(A="1")
    patch = pb.PatchSecretsRequest(worker=ACME, set={"B": "2"}, delete=["A"])
    assert (await stub.PatchSecrets(patch)).worker.version_count == 2
    secrets = await stub.ListSecrets(pb.ListSecretsRequest(worker=ACME))
    assert list(secrets.names) == ["B"]
    again = pb.PutWorkerRequest(worker=ACME, bundle=_bundle(), drop_secrets=True)
    assert (await stub.PutWorker(again)).worker.version_count == 3
    await stub.DeleteWorker(pb.DeleteWorkerRequest(worker=ACME))
    await stub.PutWorker(again)
    gone = await stub.DeleteNamespace(pb.DeleteNamespaceRequest(name="production"))
    assert gone.deleted_worker_count == 1
    assert (await _error(stub.GetWorker(pb.GetWorkerRequest(worker=ACME)))).reason is (
        Reason.NAMESPACE_NOT_FOUND
    )


@pytest.mark.parametrize(
    ("call", "reason", "message"),
    [
        (
            lambda s: s.CreateNamespace(pb.CreateNamespaceRequest()),
            Reason.INVALID_REQUEST,
            "name: '' is no namespace name",
        ),
        (
            lambda s: s.GetNamespace(pb.GetNamespaceRequest(name="A")),
            Reason.INVALID_REQUEST,
            "name: 'A' is no namespace name",
        ),
        (
            lambda s: s.DeleteNamespace(pb.DeleteNamespaceRequest(name="gone")),
            Reason.NAMESPACE_NOT_FOUND,
            "no dispatch namespace 'gone'",
        ),
        (
            lambda s: s.ListWorkers(pb.ListWorkersRequest(dispatch_namespace="\0")),
            Reason.INVALID_REQUEST,
            "dispatch_namespace: '\\x00' is no namespace name",
        ),
        (
            lambda s: s.GetWorker(pb.GetWorkerRequest()),
            Reason.INVALID_REQUEST,
            "worker.name: '' is no Worker name",
        ),
        (
            lambda s: s.PutWorker(pb.PutWorkerRequest(worker=Worker(name="a/b"), bundle=_bundle())),
            Reason.INVALID_REQUEST,
            "worker.name: 'a/b' is no Worker name",
        ),
        (
            lambda s: s.PutWorker(pb.PutWorkerRequest(worker=Worker(name="a"))),
            Reason.INVALID_REQUEST,
            "bundle: missing",
        ),
        (
            lambda s: s.PutWorker(pb.PutWorkerRequest(worker=Worker(name="a"), bundle=Bundle())),
            Reason.INVALID_BUNDLE,
            "modules: there are none",
        ),
        (
            lambda s: s.DeleteWorker(
                pb.DeleteWorkerRequest(worker=Worker(dispatch_namespace="..", name="a"))
            ),
            Reason.INVALID_REQUEST,
            "worker.dispatch_namespace: '..' is no namespace name",
        ),
        (
            lambda s: s.PatchSecrets(
                pb.PatchSecretsRequest(worker=ACME, set={"A": "1"}, delete=["A"])
            ),
            Reason.INVALID_REQUEST,
            "delete: secret 'A' is also to be set",
        ),
        (
            lambda s: s.ListSecrets(pb.ListSecretsRequest(worker=Worker(name="gone"))),
            Reason.WORKER_NOT_FOUND,
            "no account-level Worker 'gone'",
        ),
        (
            lambda s: s.ResolveWorker(pb.ResolveWorkerRequest(worker=Worker(name="gone"))),
            Reason.WORKER_NOT_FOUND,
            "no account-level Worker 'gone'",
        ),
        (
            lambda s: s.GetBundle(pb.GetBundleRequest(digest="short")),
            Reason.INVALID_REQUEST,
            "digest: expected a SHA-256, 64 of 0-9 and a-f",
        ),
        (
            lambda s: s.GetBundle(pb.GetBundleRequest(digest="0" * 64)),
            Reason.WORKER_NOT_FOUND,
            "no Worker has or had the digest",
        ),
        (
            lambda s: s.FollowWorkerLogs(pb.FollowWorkerLogsRequest()).read(),
            Reason.INVALID_REQUEST,
            "worker.name: '' is no Worker name",
        ),
        (
            lambda s: s.FollowWorkerLogs(pb.FollowWorkerLogsRequest(worker=ACME)).read(),
            Reason.NAMESPACE_NOT_FOUND,
            "no dispatch namespace 'production'",
        ),
    ],
)
async def test_what_is_wrong_is_named(
    stub: Stub, call: Callable[[Stub], Awaitable[object]], reason: Reason, message: str
) -> None:
    """A bad request is an error with its reason, and the field at fault in the message."""
    error = await _error(call(stub))
    assert error.reason is reason
    assert message in error.message


MANAGED: list[Callable[[Stub, Any], Awaitable[object]]] = [
    lambda s, m: s.CreateNamespace(pb.CreateNamespaceRequest(name="n"), metadata=m),
    lambda s, m: s.GetNamespace(pb.GetNamespaceRequest(name="n"), metadata=m),
    lambda s, m: s.ListNamespaces(pb.ListNamespacesRequest(), metadata=m),
    lambda s, m: s.PutWorker(
        pb.PutWorkerRequest(worker=Worker(name="a"), bundle=_bundle(A="1")), metadata=m
    ),
    lambda s, m: s.GetWorker(pb.GetWorkerRequest(worker=Worker(name="a")), metadata=m),
    lambda s, m: s.ListWorkers(pb.ListWorkersRequest(), metadata=m),
    lambda s, m: s.PatchSecrets(
        pb.PatchSecretsRequest(worker=Worker(name="a"), set={"B": "1"}), metadata=m
    ),
    lambda s, m: s.ListSecrets(pb.ListSecretsRequest(worker=Worker(name="a")), metadata=m),
    lambda s, m: s.FollowWorkerLogs(
        pb.FollowWorkerLogsRequest(worker=Worker(name="a"), no_follow=True), metadata=m
    ).read(),
    lambda s, m: s.DeleteWorker(pb.DeleteWorkerRequest(worker=Worker(name="a")), metadata=m),
    lambda s, m: s.UpdateNamespace(pb.UpdateNamespaceRequest(name="n"), metadata=m),
    lambda s, m: s.DeleteNamespace(pb.DeleteNamespaceRequest(name="n"), metadata=m),
]


async def test_policy_of_a_namespace(stub: Stub) -> None:
    """A namespace has the policy that it was created with, until it gets another, or none."""
    first = EgressPolicy(allowed_hosts=HostList())
    await stub.CreateNamespace(pb.CreateNamespaceRequest(name="production", egress=first))
    got = await stub.GetNamespace(pb.GetNamespaceRequest(name="production"))
    assert got.namespace.egress == first
    second = EgressPolicy(mode=EgressPolicy.MODE_REPORT, denied_hosts=["*.test"])
    put = await stub.UpdateNamespace(pb.UpdateNamespaceRequest(name="production", egress=second))
    assert put.namespace.egress == second
    none = await stub.UpdateNamespace(pb.UpdateNamespaceRequest(name="production"))
    assert not none.namespace.HasField("egress")


@pytest.mark.parametrize("create", [True, False])
async def test_policy_that_cannot_be_read(stub: Stub, create: bool) -> None:
    """The error names the pattern, and nothing is changed."""
    bad = EgressPolicy(denied_hosts=["a.test", "b.test:80"])
    if create:
        call = stub.CreateNamespace(pb.CreateNamespaceRequest(name="production", egress=bad))
    else:
        await stub.CreateNamespace(pb.CreateNamespaceRequest(name="production"))
        call = stub.UpdateNamespace(pb.UpdateNamespaceRequest(name="production", egress=bad))
    error = await _error(call)
    assert error.reason is Reason.INVALID_REQUEST
    assert error.message.startswith("egress.denied_hosts[1]: 'b.test:80': ")
    (*found,) = (await stub.ListNamespaces(pb.ListNamespacesRequest())).namespaces
    assert [namespace.HasField("egress") for namespace in found] == ([] if create else [False])


@pytest.mark.parametrize("stub", [TOKEN], indirect=True)
@pytest.mark.parametrize(
    ("authorization", "message"),
    [
        (None, "authorization: the management token is missing"),
        ("", "authorization: the management token is wrong"),
        ("Bearer ", "authorization: the management token is wrong"),
        ("Bearer wrong", "authorization: the management token is wrong"),
        (f"Bearer {TOKEN}x", "authorization: the management token is wrong"),
        (f"Basic {TOKEN}", "authorization: the management token is wrong"),
        (TOKEN, "authorization: the management token is wrong"),
    ],
)
async def test_without_the_token_nothing_is_managed(
    stub: Stub, authorization: str | None, message: str
) -> None:
    """Every RPC but the two for services is refused without the right token."""
    metadata = () if authorization is None else (("authorization", authorization),)
    for call in MANAGED:
        error = await _error(call(stub, metadata))
        assert (error.reason, error.message) == (Reason.UNAUTHENTICATED, message)


@pytest.mark.parametrize("stub", [TOKEN], indirect=True)
async def test_with_the_token_everything_is(stub: Stub) -> None:
    """The token opens every RPC, and the name of its scheme has no case."""
    for at, call in enumerate(MANAGED):
        scheme = "Bearer" if at % 2 else "bearer"
        await call(stub, (("authorization", f"{scheme} {TOKEN}"),))


def test_no_rpc_is_left_out() -> None:
    """An RPC that is added to the contract needs a line in the table above."""
    rpcs = pb.DESCRIPTOR.services_by_name["RegistryService"].methods
    assert len(MANAGED) + len({"GetBundle", "ResolveWorker"}) == len(rpcs)


@pytest.mark.parametrize("stub", [TOKEN], indirect=True)
async def test_the_other_services_need_no_token(stub: Stub, directory: Directory) -> None:
    """`GetBundle` and `ResolveWorker` are for the mesh, which has no management token."""
    await directory.put_worker("", "acme", _bundle())
    resolved = await stub.ResolveWorker(pb.ResolveWorkerRequest(worker=Worker(name="acme")))
    loaded = await stub.GetBundle(pb.GetBundleRequest(digest=resolved.digest))
    assert loaded.bundle == _bundle()


async def test_logs_are_relayed(stub: Stub, directory: Directory, userworker: UserWorker) -> None:
    """Lines come through as they are printed, and `no_follow` ends the call after them."""
    await directory.create_namespace("production")
    await directory.put_worker("production", "acme", _bundle())
    request = pb.FollowWorkerLogsRequest(worker=ACME, no_follow=True)
    lines = [line async for line in stub.FollowWorkerLogs(request)]
    assert [(line.digest, line.line) for line in lines] == [("d", "one"), ("d", "two")]
    assert userworker.asked == [userworker_pb2.TailWorkerRequest(worker=ACME, no_follow=True)]


async def test_who_stops_following_stops_the_userworker_too(
    stub: Stub, directory: Directory, userworker: UserWorker
) -> None:
    """A client that goes away cancels the call behind."""
    await directory.put_worker("", "acme", _bundle())
    call = stub.FollowWorkerLogs(pb.FollowWorkerLogsRequest(worker=Worker(name="acme")))
    assert (await call.read()).line == "one"
    call.cancel()
    async with asyncio.timeout(10):
        await userworker.cancelled.wait()


async def test_a_userworker_that_is_down_is_unavailable(
    directory: Directory, stub: Stub, tail: Any, userworker: UserWorker
) -> None:
    """Where the userworker service cannot be reached, following logs says so and names it."""
    await directory.put_worker("", "acme", _bundle())
    async with grpc.aio.insecure_channel("127.0.0.1:1") as nobody:
        gone = userworker_pb2_grpc.UserWorkerServiceStub(nobody).TailWorker
        async with _served_registry(RegistryServicer(directory, gone)) as channel:
            request = pb.FollowWorkerLogsRequest(worker=Worker(name="acme"))
            error = await _error(Stub(channel).FollowWorkerLogs(request).read())
    assert error.reason is Reason.SERVICE_UNAVAILABLE
    assert error.message.startswith("userworker: ")
