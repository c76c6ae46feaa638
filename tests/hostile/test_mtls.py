"""Attacks on mTLS between services: without a certificate, with a wrong one, and with another role's."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
import pytest_asyncio
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from grpc import StatusCode as Code

from sluice.mesh import tls
from sluice.mesh.channel import dial
from sluice.mesh.env import Address, Environment
from sluice.mesh.pair import OUTBOUND_FETCH
from sluice.mesh.roles import Role
from sluice.mesh.served import Served
from sluice.mesh.server import GrpcServer
from sluice.mesh.tls import Credentials
from sluice.pb import userworker_pb2
from sluice.wire.body import Whole
from sluice.wire.messages import Response
from tests import grpcio_writing
from tests.certificates import tls_variables
from tests.contract.failure import read_failure
from tests.e2e.mesh import SERVICES, Mesh

LOOPBACK = Address("127.0.0.1", 0)
HEALTH = "/grpc.health.v1.Health/Check"
GATE = {
    "dispatcher": "/sluice.v1.RegistryService/GetBundle",
    "userworker": "/sluice.v1.UserWorkerService/Invoke",
    "outbound": "/sluice.v1.OutboundService/OutboundFetch",
}
"""What an attacker wants of each service: code and secrets, another's Worker run, a way out."""

ADMITTED = {
    "dispatcher": Role.USERWORKER,
    "userworker": Role.DISPATCHER,
    "outbound": Role.USERWORKER,
}


def write(folder: Path, role: Role, ca: trustme.CA, leaf: trustme.LeafCert) -> None:
    """The folder of a role, as `sluice certs` makes it."""
    own = folder / role.value
    own.mkdir(parents=True)
    leaf.private_key_pem.write_to_path(own / "key.pem")
    for pem in leaf.cert_chain_pems:
        pem.write_to_path(own / "cert.pem", append=True)
    ca.cert_pem.write_to_path(own / "ca.pem")


@pytest.fixture(scope="session")
def ca() -> trustme.CA:
    """The mesh's CA."""
    return trustme.CA()


@pytest.fixture(scope="session")
def certificates(ca: trustme.CA, run_folder: Path) -> Path:
    """A certificate for each role."""
    folder = run_folder / "certs"
    for role in Role:
        write(folder, role, ca, ca.issue_cert(role.dns_name, "localhost", "127.0.0.1"))
    return folder


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def target(run_folder: Path, certificates: Path) -> AsyncIterator[Mesh]:
    """A mesh that speaks mTLS. After all attacks it is healthy, and shows no bug in any log."""
    folder = run_folder / "mtls"
    folder.mkdir()
    async with Mesh(folder, certificates) as mesh:
        yield mesh
        await asyncio.gather(*(mesh.healthy(name) for name in SERVICES))
        for service in mesh.services.values():
            assert [line for line in service.lines if "exception" in line] == []


def credentials(certificates: Path, role: Role) -> Credentials:
    """Those of a role."""
    found = tls.read(Environment(tls_variables(certificates, role)))
    assert found is not None
    return found


async def outcome(channel: grpc.aio.Channel, method: str, sent: bytes = b"") -> Code:
    """Code of a call, a stream with an empty message. A refused call must say so as Sluice does."""
    async with channel:
        try:
            if method.endswith("Stream"):
                call: Any = channel.stream_stream(method)(timeout=20)
                with contextlib.suppress(grpcio_writing.CallEndedError):
                    await grpcio_writing.write(call, b"")
                    await grpcio_writing.half_close(call)
            else:
                call = channel.unary_stream(method)(sent, timeout=20)
            async for _ in call:
                pass
        except grpc.aio.AioRpcError as error:
            if error.code() is Code.PERMISSION_DENIED:
                _, reason, message = read_failure(error)
                assert reason == "PEER_NOT_ALLOWED"
                assert message.startswith(f"{method[1:]}: may be called by ")
            return error.code()
    return Code.OK


MAY: dict[tuple[str, str], set[Role]] = {
    ("dispatcher", "sluice.v1.DispatcherService/Dispatch"): {Role.CLIENT},
    ("dispatcher", "sluice.v1.DispatcherService/DispatchStream"): {Role.CLIENT},
    ("dispatcher", "sluice.v1.RegistryService/CreateNamespace"): {Role.CLIENT},
    ("dispatcher", "sluice.v1.RegistryService/GetNamespace"): {Role.CLIENT},
    ("dispatcher", "sluice.v1.RegistryService/ListNamespaces"): {Role.CLIENT},
    ("dispatcher", "sluice.v1.RegistryService/DeleteNamespace"): {Role.CLIENT},
    ("dispatcher", "sluice.v1.RegistryService/PutWorker"): {Role.CLIENT},
    ("dispatcher", "sluice.v1.RegistryService/GetWorker"): {Role.CLIENT},
    ("dispatcher", "sluice.v1.RegistryService/ListWorkers"): {Role.CLIENT},
    ("dispatcher", "sluice.v1.RegistryService/DeleteWorker"): {Role.CLIENT},
    ("dispatcher", "sluice.v1.RegistryService/PatchSecrets"): {Role.CLIENT},
    ("dispatcher", "sluice.v1.RegistryService/ListSecrets"): {Role.CLIENT},
    ("dispatcher", "sluice.v1.RegistryService/FollowWorkerLogs"): {Role.CLIENT},
    ("dispatcher", "sluice.v1.RegistryService/GetBundle"): {Role.USERWORKER, Role.OUTBOUND},
    ("dispatcher", "sluice.v1.RegistryService/ResolveWorker"): {Role.USERWORKER, Role.OUTBOUND},
    ("userworker", "sluice.v1.UserWorkerService/Invoke"): {Role.DISPATCHER},
    ("userworker", "sluice.v1.UserWorkerService/InvokeStream"): {Role.DISPATCHER},
    ("userworker", "sluice.v1.UserWorkerService/TailWorker"): {Role.DISPATCHER},
    # The dispatcher for what a dispatch Worker fetches itself.
    ("outbound", "sluice.v1.OutboundService/OutboundFetch"): {Role.USERWORKER, Role.DISPATCHER},
    ("outbound", "sluice.v1.OutboundService/OutboundFetchStream"): {Role.USERWORKER, Role.DISPATCHER},
}  # fmt: skip
MESSAGES = {  # the rest is asked with an empty one
    "sluice.v1.UserWorkerService/TailWorker": userworker_pb2.TailWorkerRequest(no_follow=True)
}


@pytest.mark.parametrize("role", Role, ids=lambda role: role.value)
@pytest.mark.parametrize(("service", "method"), MAY, ids=lambda name: name.rpartition(".")[2])
async def test_role(target: Mesh, service: str, method: str, role: Role) -> None:
    """A certificate lets its owner call what its role needs, and nothing else."""
    message = MESSAGES[method].SerializeToString() if method in MESSAGES else b""
    code = await outcome(target.dial(service, role), f"/{method}", message)
    assert (code is not Code.PERMISSION_DENIED) == (role in MAY[service, method]), code
    assert code not in {Code.UNAVAILABLE, Code.UNIMPLEMENTED, Code.DEADLINE_EXCEEDED}


def leaf_of(ca: trustme.CA, *names: x509.GeneralName, subject: str = "a") -> Credentials:
    """Credentials by the CA, whose certificate has exactly these names."""
    key = ec.generate_private_key(ec.SECP256R1())
    root = x509.load_pem_x509_certificate(ca.cert_pem.bytes())
    signer = serialization.load_pem_private_key(ca.private_key_pem.bytes(), None)
    assert isinstance(signer, ec.EllipticCurvePrivateKey)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
        .issuer_name(root.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.now(UTC) - timedelta(days=1))
        .not_valid_after(datetime.now(UTC) + timedelta(days=1))
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    certificate = builder.sign(signer, hashes.SHA256())
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    public = certificate.public_bytes(serialization.Encoding.PEM)
    return Credentials(Role.CLIENT, public, pem, ca.cert_pem.bytes())


def posing(role: Role) -> dict[str, Any]:
    """Names of certificates by the mesh's own CA that look like a role's, and are not."""
    name = role.dns_name
    return {
        "no name": [],
        "another host": [x509.DNSName("localhost")],
        "all roles": [x509.DNSName("*.sluice.internal")],
        "a name below": [x509.DNSName(f"a.{name}")],
        "a longer name": [x509.DNSName(f"{name}.example.com")],
        "SPIFFE": [x509.UniformResourceIdentifier(f"spiffe://sluice/role/{role.value}")],
        "a URI that is the name": [x509.UniformResourceIdentifier(name)],
        "an address that is the name": [x509.RFC822Name(f"a@{name}")],
    }


@pytest.mark.parametrize("disguise", posing(Role.CLIENT))
@pytest.mark.parametrize("service", SERVICES)
async def test_posing_as_a_caller(
    target: Mesh, ca: trustme.CA, service: str, disguise: str
) -> None:
    """Only the very name makes a role: neither what looks like it, nor the subject."""
    role = ADMITTED[service]
    own = leaf_of(ca, *posing(role)[disguise], subject=role.dns_name)
    code = await outcome(dial(target.grpc[service], Role(service), own), GATE[service])
    assert code is Code.PERMISSION_DENIED


def no_certificate(own: Credentials) -> grpc.ChannelCredentials:
    """What a browser has."""
    return grpc.ssl_channel_credentials(own.ca)


def other_ca(own: Credentials) -> grpc.ChannelCredentials:
    """A certificate of the right role by a CA of the attacker's, who knows the mesh's."""
    leaf = trustme.CA().issue_cert(own.role.dns_name)
    chain = leaf.cert_chain_pems[0].bytes()
    return grpc.ssl_channel_credentials(own.ca, leaf.private_key_pem.bytes(), chain)


def self_signed(own: Credentials) -> grpc.ChannelCredentials:
    """A certificate that is its own CA."""
    ca = trustme.CA()
    return grpc.ssl_channel_credentials(own.ca, ca.private_key_pem.bytes(), ca.cert_pem.bytes())


STRANGERS = {"no certificate": no_certificate, "another CA": other_ca, "self-signed": self_signed}


@pytest.mark.parametrize("stranger", STRANGERS)
@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("method", ["its own", HEALTH])
async def test_stranger(
    target: Mesh, certificates: Path, service: str, stranger: str, method: str
) -> None:
    """Whoever has no certificate by the CA is not even told how the service is."""
    own = credentials(certificates, ADMITTED[service])
    channel = grpc.aio.secure_channel(
        str(target.grpc[service]),
        STRANGERS[stranger](own),
        options=[("grpc.ssl_target_name_override", Role(service).dns_name)],
    )
    name = GATE[service] if method == "its own" else method
    assert await outcome(channel, name) is Code.UNAVAILABLE


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("when", ["expired", "of tomorrow"])
async def test_out_of_time(
    target: Mesh, ca: trustme.CA, certificates: Path, service: str, when: str
) -> None:
    """A certificate lets nobody in before its time, or after."""
    now, day = datetime.now(UTC), timedelta(days=1)
    role = ADMITTED[service]
    begin = now - 2 * day if when == "expired" else now + day
    leaf = ca.issue_cert(role.dns_name, not_before=begin, not_after=begin + day)
    own = replace(
        credentials(certificates, role),
        certificate=leaf.cert_chain_pems[0].bytes(),
        key=leaf.private_key_pem.bytes(),
    )
    channel = dial(target.grpc[service], Role(service), own)
    assert await outcome(channel, GATE[service]) is Code.UNAVAILABLE


@pytest.mark.parametrize("service", SERVICES)
async def test_plaintext_to_a_tls_port(target: Mesh, service: str) -> None:
    """A port that speaks mTLS speaks nothing else."""
    assert await outcome(dial(target.grpc[service]), GATE[service]) is Code.UNAVAILABLE
    reader, writer = await asyncio.open_connection(*target.grpc[service])
    writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00")
    async with asyncio.timeout(10):
        answer = await reader.read()
    writer.close()
    assert answer[:1] in {b"", b"\x15"}  # nothing, or an alert (RFC 8446 6): no HTTP/2


@pytest.mark.parametrize("service", SERVICES)
async def test_tls_to_a_plaintext_port(shared_mesh: Mesh, certificates: Path, service: str) -> None:
    """Who has credentials does not fall back to plaintext."""
    own = credentials(certificates, ADMITTED[service])
    channel = dial(shared_mesh.grpc[service], Role(service), own)
    assert await outcome(channel, GATE[service]) is Code.UNAVAILABLE


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1")
@pytest.mark.parametrize("service", SERVICES)
async def test_old_tls(target: Mesh, certificates: Path, service: str) -> None:
    """TLS before 1.2 is not spoken (RFC 8996); 1.2 is."""
    own = certificates / ADMITTED[service].value
    context = ssl.create_default_context(cafile=str(own / "ca.pem"))
    context.load_cert_chain(own / "cert.pem", own / "key.pem")
    context.set_alpn_protocols(["h2"])
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    where = {**target.grpc[service]._asdict(), "ssl": context}
    _, writer = await asyncio.open_connection(**where, server_hostname=Role(service).dns_name)
    writer.transport.abort()
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises((ssl.SSLError, ConnectionResetError)):
        await asyncio.open_connection(**where, server_hostname=Role(service).dns_name)


class Impostor:
    """A server in the place of the outbound service, with whatever certificate."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    async def serve(self, _opening: Any, request: Any, _span: Any) -> Response:
        """Answer, and keep what was asked."""
        self.seen.append(request.url)
        return Response(200, body=Whole(b""))

    async def start(self, own: Credentials) -> tuple[GrpcServer, Address]:
        """Listen."""
        server = GrpcServer(LOOPBACK, allow_plaintext=False, credentials=own)
        server.add(OUTBOUND_FETCH.service, Served(OUTBOUND_FETCH, self.serve).add_to)
        return server, await server.start()


@pytest.mark.parametrize("role", [Role.USERWORKER, Role.DISPATCHER, Role.CLIENT])
@pytest.mark.parametrize("caller", [Role.USERWORKER, Role.DISPATCHER])
async def test_posing_as_outbound(certificates: Path, role: Role, caller: Role) -> None:
    """A certificate of another role does not pose as outbound, at the right address or not."""
    impostor = Impostor()
    server, address = await impostor.start(credentials(certificates, role))
    channel = dial(address, Role.OUTBOUND, credentials(certificates, caller))
    assert await outcome(channel, GATE["outbound"]) is Code.UNAVAILABLE
    assert impostor.seen == []
    await server.stop(0)


# To a client of gRPC's a wildcard is any role: no CA may issue one.
@pytest.mark.parametrize(
    "disguise", [*(d for d in posing(Role.OUTBOUND) if d != "all roles"), "another CA"]
)
async def test_posing_as_outbound_by_name(
    ca: trustme.CA, certificates: Path, disguise: str
) -> None:
    """Nor does one that looks like outbound's."""
    if disguise == "another CA":
        other = trustme.CA()
        own = leaf_of(other, x509.DNSName(Role.OUTBOUND.dns_name))
        own = replace(own, ca=ca.cert_pem.bytes())
    else:
        own = leaf_of(ca, *posing(Role.OUTBOUND)[disguise])
    impostor = Impostor()
    server, address = await impostor.start(own)
    channel = dial(address, Role.OUTBOUND, credentials(certificates, Role.USERWORKER))
    assert await outcome(channel, GATE["outbound"]) is Code.UNAVAILABLE
    assert impostor.seen == []
    await server.stop(0)
