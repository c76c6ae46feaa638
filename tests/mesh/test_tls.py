"""mTLS: what its files must be, whom a server lets call what, and whom a client believes."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import pytest
import trustme
from cryptography.hazmat.primitives import serialization
from grpc import StatusCode as Code
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from sluice.mesh import probe, tls
from sluice.mesh.channel import dial, link
from sluice.mesh.env import Address, Environment, SettingError
from sluice.mesh.roles import CALLERS, OPEN, Role
from sluice.mesh.server import GrpcServer
from sluice.mesh.tls import Credentials
from sluice.pb import (
    dispatcher_pb2,
    outbound_pb2,
    registry_pb2,
    registry_pb2_grpc,
    userworker_pb2,
    userworker_pb2_grpc,
)
from tests.contract.failure import read_failure

LOOPBACK = Address("127.0.0.1", 0)
NOW = datetime.now(UTC)
DAY = timedelta(days=1)
OUTBOUND = Role.OUTBOUND.dns_name


def files(folder: Path, ca: trustme.CA, leaf: trustme.LeafCert) -> dict[str, str]:
    """The three variables for a certificate, in files of `folder`."""
    chain = b"".join(part.bytes() for part in leaf.cert_chain_pems)
    contents = (chain, leaf.private_key_pem.bytes(), ca.cert_pem.bytes())
    variables = {}
    for name, content in zip(("CERT", "KEY", "CA"), contents, strict=True):
        path = folder / f"{name.lower()}.pem"
        path.write_bytes(content)
        variables[f"SLUICE_TLS_{name}"] = str(path)
    return variables


def credentials(folder: Path, ca: trustme.CA, *names: str) -> Credentials:
    """Credentials of a new certificate with these names."""
    found = tls.read(Environment(files(folder, ca, ca.issue_cert(*names))))
    assert found is not None
    return found


def encrypted(pem: bytes) -> bytes:
    """The key, with a password."""
    key = serialization.load_pem_private_key(pem, None)
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"secret"),
    )


def test_nothing_set_is_plaintext() -> None:
    """Without any of the variables there is no TLS; an empty one is not set."""
    assert tls.read(Environment({})) is None
    assert tls.read(Environment({"SLUICE_TLS_CERT": "", "SLUICE_TLS_CA": " "})) is None


@pytest.mark.parametrize("missing", ["CERT", "KEY", "CA"])
def test_all_three_or_none(tmp_path: Path, missing: str) -> None:
    """One without the others is an error that names the one to set."""
    ca = trustme.CA()
    variables = files(tmp_path, ca, ca.issue_cert(OUTBOUND))
    del variables[f"SLUICE_TLS_{missing}"]
    with pytest.raises(SettingError, match=rf"^SLUICE_TLS_{missing}: must be set, because SLUICE_"):
        tls.read(Environment(variables))


@pytest.mark.parametrize("name", ["CERT", "KEY", "CA"])
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot read .*: No such file"),
        (b"", "is not a .* in PEM"),
        (b"\x00\xff" * 50, "is not a .* in PEM"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "is not a .* in PEM"),
    ],
    ids=["absent", "empty", "bytes", "broken"],
)
def test_unusable_file(tmp_path: Path, name: str, content: bytes | None, said: str) -> None:
    """A file that cannot be read, or parsed, is an error that names variable and file."""
    ca = trustme.CA()
    variables = files(tmp_path, ca, ca.issue_cert(OUTBOUND))
    path = Path(variables[f"SLUICE_TLS_{name}"])
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SettingError, match=rf"^SLUICE_TLS_{name}: .*{said}") as raised:
        tls.read(Environment(variables))
    assert str(path) in str(raised.value)


UNFIT: list[tuple[str, Callable[[trustme.CA], trustme.LeafCert], str]] = [
    ("expired", lambda ca: ca.issue_cert(OUTBOUND, not_after=NOW - DAY), "expired at "),
    ("of tomorrow", lambda ca: ca.issue_cert(OUTBOUND, not_before=NOW + DAY), "is not valid before "),
    ("for a host only", lambda ca: ca.issue_cert("outbound"), "has no role"),
    ("the role as a subject only", lambda ca: ca.issue_cert("a.example", common_name=OUTBOUND), "has no role"),
    ("a wildcard", lambda ca: ca.issue_cert("*.sluice.internal"), "has no role"),
    ("two roles", lambda ca: ca.issue_cert(OUTBOUND, Role.CLIENT.dns_name), "has no role"),
    ("another's", lambda ca: ca.issue_cert(Role.USERWORKER.dns_name), "is of the role userworker, not outbound"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("issue", "said"), [row[1:] for row in UNFIT], ids=[row[0] for row in UNFIT]
)
def test_certificate_that_peers_would_refuse(
    tmp_path: Path, issue: Callable[[trustme.CA], trustme.LeafCert], said: str
) -> None:
    """It stops the start, rather than each call."""
    ca = trustme.CA()
    with pytest.raises(SettingError, match=rf"^SLUICE_TLS_CERT: .*cert\.pem {said}"):
        tls.read(Environment(files(tmp_path, ca, issue(ca))), Role.OUTBOUND)


def test_another_key(tmp_path: Path) -> None:
    """A key that is not the certificate's is said to be so."""
    ca = trustme.CA()
    variables = files(tmp_path, ca, ca.issue_cert(OUTBOUND))
    Path(variables["SLUICE_TLS_KEY"]).write_bytes(ca.issue_cert(OUTBOUND).private_key_pem.bytes())
    with pytest.raises(SettingError, match=r"^SLUICE_TLS_KEY: .* is not the key of .*cert\.pem"):
        tls.read(Environment(variables))


def test_encrypted_key(tmp_path: Path) -> None:
    """There is nobody to ask for a password."""
    ca = trustme.CA()
    leaf = ca.issue_cert(OUTBOUND)
    variables = files(tmp_path, ca, leaf)
    Path(variables["SLUICE_TLS_KEY"]).write_bytes(encrypted(leaf.private_key_pem.bytes()))
    with pytest.raises(SettingError, match=r"^SLUICE_TLS_KEY: .* is not a private key in PEM: "):
        tls.read(Environment(variables))


def test_another_ca(tmp_path: Path) -> None:
    """A CA that did not issue the certificate would not do for peers either."""
    variables = files(tmp_path, trustme.CA(), trustme.CA().issue_cert(OUTBOUND))
    with pytest.raises(SettingError, match=r"^SLUICE_TLS_CA: .* did not issue .*cert\.pem"):
        tls.read(Environment(variables))


def test_key_is_not_shown(tmp_path: Path) -> None:
    """What prints the settings does not print the key."""
    found = credentials(tmp_path, trustme.CA(), OUTBOUND)
    assert found.key
    assert repr(found.key) not in repr(found)
    assert "PRIVATE" not in repr(found)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "userworker"])
def test_other_machines_may_reach_mtls(tmp_path: Path, host: str) -> None:
    """With credentials no switch is needed for an address that others can reach."""
    own = credentials(tmp_path, trustme.CA(), OUTBOUND)
    GrpcServer(Address(host, 50053), allow_plaintext=False, credentials=own)


def test_a_peer_is_dialled_by_its_role(tmp_path: Path) -> None:
    """A caller that forgot whom it calls is a bug, and not a channel to anybody."""
    own = credentials(tmp_path, trustme.CA(), OUTBOUND)
    with pytest.raises(ValueError, match="role"):
        dial(LOOPBACK, None, own)


FILES = (dispatcher_pb2, outbound_pb2, registry_pb2, userworker_pb2)
SERVICES = {
    service.full_name: service
    for file in FILES
    for service in file.DESCRIPTOR.services_by_name.values()
}


def test_every_method_has_callers() -> None:
    """All services of the contract are in the table, and nothing that is not in the contract."""
    methods = {f"{name}/{m.name}" for name, service in SERVICES.items() for m in service.methods}
    assert set(SERVICES) <= set(CALLERS)
    assert set(CALLERS) - OPEN <= set(SERVICES) | methods


async def test_a_service_without_callers_is_not_served(tmp_path: Path) -> None:
    """A service that nobody thought of is an error at the start, not open to everybody."""
    own = credentials(tmp_path, trustme.CA(), OUTBOUND)
    server = GrpcServer(LOOPBACK, allow_plaintext=False, credentials=own)
    server.add("sluice.v1.NewService", lambda _: None)
    with pytest.raises(KeyError, match=r"sluice\.v1\.NewService"):
        await server.start()


class Registry(registry_pb2_grpc.RegistryServiceServicer):
    """Methods of either kind: one that returns, one that yields."""

    async def GetBundle(self, _request: Any, _context: Any) -> Any:
        """Return."""
        return registry_pb2.GetBundleResponse()

    async def FollowWorkerLogs(self, _request: Any, _context: Any) -> AsyncIterator[Any]:
        """Yield."""
        yield registry_pb2.FollowWorkerLogsResponse(line="a")
        yield registry_pb2.FollowWorkerLogsResponse(line="b")


class UserWorker(userworker_pb2_grpc.UserWorkerServiceServicer):
    """A method that writes."""

    async def Invoke(self, _request: Any, context: Any) -> None:
        """Write."""
        await context.write(userworker_pb2.InvokeResponse(body=b"a"))


Start = Callable[..., Awaitable[Address]]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Starts servers by their credentials, on loopback."""
    async with contextlib.AsyncExitStack() as stack:

        async def started(own: Credentials | None) -> Address:
            server = GrpcServer(LOOPBACK, allow_plaintext=False, credentials=own)
            add = registry_pb2_grpc.add_RegistryServiceServicer_to_server
            server.add("sluice.v1.RegistryService", partial(add, Registry()))
            add = userworker_pb2_grpc.add_UserWorkerServiceServicer_to_server
            server.add("sluice.v1.UserWorkerService", partial(add, UserWorker()))
            address = await server.start()
            stack.push_async_callback(server.stop, 0)
            return address

        yield started


async def outcome(channel: Any, method: str) -> tuple[Code, str]:
    """Code of a call with an empty message, and what is said with it."""
    call = channel.unary_stream(method)(b"", timeout=10)
    try:
        async for _ in call:
            pass
    except grpc.aio.AioRpcError as error:
        return error.code(), error.details() or ""
    return Code.OK, ""


@pytest.mark.parametrize(
    ("method", "caller", "wanted"),
    [
        ("sluice.v1.RegistryService/GetBundle", Role.OUTBOUND, "outbound or userworker"),
        ("sluice.v1.RegistryService/FollowWorkerLogs", Role.CLIENT, "client"),
        ("sluice.v1.UserWorkerService/Invoke", Role.DISPATCHER, "dispatcher"),
    ],
    ids=["returns", "yields", "writes"],
)
async def test_methods_of_every_kind_are_guarded(
    tmp_path: Path, start: Start, method: str, caller: Role, wanted: str
) -> None:
    """A method is called by whom it is for; anybody else is told for whom it is."""
    ca = trustme.CA()
    address = await start(credentials(tmp_path, ca, Role.DISPATCHER.dns_name))
    own = credentials(tmp_path, ca, caller.dns_name)
    async with dial(address, Role.DISPATCHER, own) as channel:
        assert await outcome(channel, f"/{method}") == (Code.OK, "")
    other = Role.OUTBOUND if caller is not Role.OUTBOUND else Role.CLIENT
    own = credentials(tmp_path, ca, other.dns_name)
    async with dial(address, Role.DISPATCHER, own) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            async for _ in channel.unary_stream(f"/{method}")(b"", timeout=10):
                pass
    assert read_failure(raised.value) == (
        Code.PERMISSION_DENIED,
        "PEER_NOT_ALLOWED",
        f"{method}: may be called by {wanted}, not by {other.value}",
    )


async def test_intermediate_certificates_are_sent(tmp_path: Path, start: Start) -> None:
    """A certificate by an intermediate CA, which is in the file with it, is as good."""
    root = trustme.CA()
    below = root.create_child_ca()
    own = {
        role: tls.read(Environment(files(tmp_path, root, below.issue_cert(role.dns_name))))
        for role in (Role.DISPATCHER, Role.OUTBOUND)
    }
    address = await start(own[Role.DISPATCHER])
    async with dial(address, Role.DISPATCHER, own[Role.OUTBOUND]) as channel:
        code, _ = await outcome(channel, "/sluice.v1.RegistryService/GetBundle")
    assert code is Code.OK


async def linked(address: Address, own: Credentials) -> Code:
    """How a call by a link to the userworker at `address` ends."""
    made = link(address, Role.USERWORKER, own)
    try:
        call = await made.call("/grpc.health.v1.Health/Check", (), b"", whole=True)
        return (await call.end()).code
    except grpc.aio.AioRpcError as error:
        return error.code()
    finally:
        await made.close()


@pytest.mark.parametrize(
    ("names", "code"),
    [
        ([Role.USERWORKER.dns_name], Code.OK),
        ([Role.OUTBOUND.dns_name], Code.UNAVAILABLE),  # another service's
        (["localhost", "127.0.0.1", Role.CLIENT.dns_name], Code.UNAVAILABLE),  # the host's own name
    ],
    ids=["userworker", "outbound", "localhost"],
)
async def test_a_link_is_to_a_role(
    tmp_path: Path, start: Start, names: list[str], code: Code
) -> None:
    """A service calls nobody whose certificate is not of the role that it wants."""
    ca = trustme.CA()
    address = await start(credentials(tmp_path, ca, *names))
    assert await linked(address, credentials(tmp_path, ca, Role.DISPATCHER.dns_name)) is code


async def test_a_link_is_to_those_of_the_ca(tmp_path: Path, start: Start) -> None:
    """Nor anybody whose certificate is by another CA, whatever it says."""
    address = await start(credentials(tmp_path, trustme.CA(), Role.USERWORKER.dns_name))
    own = credentials(tmp_path, trustme.CA(), Role.DISPATCHER.dns_name)
    assert await linked(address, own) is Code.UNAVAILABLE


async def test_health_and_reflection_are_for_every_peer(tmp_path: Path, start: Start) -> None:
    """Whoever has a certificate may ask what is served, and how it is."""
    ca = trustme.CA()
    address = await start(credentials(tmp_path, ca, Role.USERWORKER.dns_name))
    for role in Role:
        own = credentials(tmp_path, ca, role.dns_name)
        async with dial(address, Role.USERWORKER, own) as channel:
            health = health_pb2_grpc.HealthStub(channel)
            answer = await health.Check(health_pb2.HealthCheckRequest(), timeout=10)
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
            call = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo()
            await call.write(reflection_pb2.ServerReflectionRequest(list_services=""))
            listed = (await call.read()).list_services_response.service
            assert "sluice.v1.UserWorkerService" in {service.name for service in listed}
            call.cancel()


async def test_probe_has_the_services_certificate(tmp_path: Path, start: Start) -> None:
    """A health check beside a service asks as what the service is."""
    own = credentials(tmp_path, trustme.CA(), Role.USERWORKER.dns_name)
    assert await probe.ask(await start(own), own) == "SERVING"


def test_probe_says_what_is_wrong_with_its_certificate(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The check fails in the words in which the service would not start."""
    monkeypatch.setenv("SLUICE_TLS_CERT", "/nonexistent/cert.pem")
    assert probe.main(["127.0.0.1:50051"]) == 1
    assert capsys.readouterr().err.startswith("SLUICE_TLS_CERT: cannot read ")
