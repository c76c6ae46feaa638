from __future__ import annotations

import stat
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.verification import PolicyBuilder, Store

from sluice.cli.authority import Authority
from sluice.mesh import tls
from sluice.mesh.env import Environment
from sluice.mesh.roles import Role
from sluice.mesh.server import GrpcServer
from sluice.mesh.tls import Credentials
from sluice.pb import registry_pb2, registry_pb2_grpc
from tests.cli.conftest import LOOPBACK, Sluice


def variables(folder: Path, role: Role) -> dict[str, str]:
    """The settings of a service that has the folder of a role."""
    own = folder / role.value
    return {
        "SLUICE_TLS_CERT": str(own / "cert.pem"),
        "SLUICE_TLS_KEY": str(own / "key.pem"),
        "SLUICE_TLS_CA": str(own / "ca.pem"),
    }


def credentials(folder: Path, role: Role) -> Credentials:
    """What a service makes of it."""
    found = tls.read(Environment(variables(folder, role)), role)
    assert found is not None
    return found


def certificate(path: Path) -> x509.Certificate:
    """The certificate in a file."""
    return x509.load_pem_x509_certificate(path.read_bytes())


async def test_a_folder_for_each_role(run: Sluice, tmp_path: Path) -> None:
    """Without arguments there is all that each service needs, in a folder, and nothing more."""
    out = tmp_path / "certs"
    result = await run("certs", "--out", str(out))
    assert (result.exit_code, result.stderr) == (0, "")
    assert {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()} == {
        "ca/ca.pem",
        "ca/ca.key",
        *(f"{r.value}/{name}" for r in Role for name in ("cert.pem", "key.pem", "ca.pem")),
    }
    for role in Role:
        assert credentials(out, role).role is role
        assert str(out / role.value) in result.stdout


async def test_keys_are_the_owners(run: Sluice, tmp_path: Path) -> None:
    """Nobody else reads a key; a certificate is for everybody."""
    await run("certs", "--out", str(tmp_path))
    for path in tmp_path.rglob("*"):
        wanted = 0o644 if path.suffix == ".pem" and path.name != "key.pem" else 0o600
        if path.is_file():
            assert stat.S_IMODE(path.stat().st_mode) == wanted, path


async def test_certificates_are_sound(run: Sluice, tmp_path: Path) -> None:
    """They verify by the rules for the web (CA/Browser Forum), as server and as client."""
    result = await run("certs", "--out", str(tmp_path), "--host", "10.0.0.5", "--host", "a.example")
    assert result.exit_code == 0
    policy = PolicyBuilder().store(Store([certificate(tmp_path / "ca/ca.pem")]))
    for role in (Role.DISPATCHER, Role.USERWORKER, Role.OUTBOUND):
        found = certificate(tmp_path / role.value / "cert.pem")
        for host in (role.dns_name, "localhost", role.value, "a.example"):
            policy.build_server_verifier(x509.DNSName(host)).verify(found, [])
        for address in ("127.0.0.1", "::1", "10.0.0.5"):
            name = x509.IPAddress(ip_address(address))
            policy.build_server_verifier(name).verify(found, [])
        policy.build_client_verifier().verify(found, [])
    client = certificate(tmp_path / "client/cert.pem")
    policy.build_client_verifier().verify(client, [])
    with pytest.raises(x509.verification.VerificationError):
        policy.build_server_verifier(x509.DNSName(Role.CLIENT.dns_name)).verify(client, [])


async def test_no_service_has_the_name_of_another(run: Sluice, tmp_path: Path) -> None:
    """A client that goes by the host's name is not sent to the wrong service either."""
    await run("certs", "--out", str(tmp_path))
    names = certificate(tmp_path / "userworker/cert.pem").extensions.get_extension_for_class(
        x509.SubjectAlternativeName
    )
    assert set(names.value.get_values_for_type(x509.DNSName)) == {
        "userworker.sluice.internal",
        "userworker",
        "localhost",
    }


async def test_keys_are_not_overwritten(run: Sluice, tmp_path: Path) -> None:
    """A second run changes nothing and says what is there; with --force only the CA stays."""
    first = await run("certs", "client", "--out", str(tmp_path))
    assert first.exit_code == 0
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    again = await run("certs", "--out", str(tmp_path))
    assert again.exit_code == 1
    assert again.stderr == f"error: {tmp_path}/client/key.pem exists (--force replaces it)\n"
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before
    forced = await run("certs", "--out", str(tmp_path), "--force")
    assert forced.exit_code == 0
    changed = {path for path, content in before.items() if path.read_bytes() != content}
    assert changed == {tmp_path / "client/key.pem", tmp_path / "client/cert.pem"}


async def test_an_existing_ca_signs_more(run: Sluice, tmp_path: Path) -> None:
    """A certificate that is made later is believed by the peers that are there."""
    await run("certs", "dispatcher", "--out", str(tmp_path))
    added = await run("certs", "outbound", "--out", str(tmp_path))
    assert (added.exit_code, added.stdout) == (0, f"outbound    {tmp_path}/outbound\n")
    assert credentials(tmp_path, Role.OUTBOUND).ca == credentials(tmp_path, Role.DISPATCHER).ca


async def test_days(run: Sluice, tmp_path: Path) -> None:
    """A certificate is valid for as long as was asked, and never longer than its CA."""
    await run("certs", "client", "--out", str(tmp_path), "--days", "7")
    end = certificate(tmp_path / "client/cert.pem").not_valid_after_utc
    assert (end - datetime.now(UTC)).days == 6
    await run("certs", "client", "--out", str(tmp_path), "--days", "36500", "--force")
    end = certificate(tmp_path / "client/cert.pem").not_valid_after_utc
    assert end == certificate(tmp_path / "ca/ca.pem").not_valid_after_utc


@pytest.mark.parametrize(
    "host",
    [
        pytest.param("outbound.sluice.internal", id="a role"),
        pytest.param("OUTBOUND.Sluice.Internal", id="a role in capitals"),
        pytest.param("*.sluice.internal", id="all roles"),
        pytest.param("a b", id="no name"),
        pytest.param("https://a.example", id="a URL"),
        pytest.param("", id="nothing"),
    ],
)
async def test_bad_host_is_a_usage_error(run: Sluice, tmp_path: Path, host: str) -> None:
    """What is no host is not put into a certificate, least of all another role."""
    result = await run("certs", "--out", str(tmp_path), "--host", host)
    assert result.exit_code == 2
    assert repr(host) in result.stderr
    assert list(tmp_path.iterdir()) == []


async def test_a_broken_ca_is_said(run: Sluice, tmp_path: Path) -> None:
    """A CA with another's key signs nothing."""
    await run("certs", "client", "--out", str(tmp_path))
    Authority.create(1).save(tmp_path / "other")
    (tmp_path / "other/ca.key").replace(tmp_path / "ca/ca.key")
    result = await run("certs", "outbound", "--out", str(tmp_path))
    assert result.exit_code == 1
    assert result.stderr == f"error: {tmp_path}/ca/ca.key is not the key of {tmp_path}/ca/ca.pem\n"
    (tmp_path / "ca/ca.key").unlink()
    result = await run("certs", "outbound", "--out", str(tmp_path))
    assert result.exit_code == 1
    assert "ca.key" in result.stderr


class Namespaces(registry_pb2_grpc.RegistryServiceServicer):
    """As much of a dispatcher as `sluice namespace list` needs."""

    async def ListNamespaces(self, _request: object, _context: object) -> object:
        """Answer with none."""
        return registry_pb2.ListNamespacesResponse()


async def test_the_command_speaks_mtls(run: Sluice, tmp_path: Path) -> None:
    """With a client's certificate, by options or variables, the command is let in; not without."""
    await run("certs", "--out", str(tmp_path))
    own = credentials(tmp_path, Role.DISPATCHER)
    server = GrpcServer(LOOPBACK, allow_plaintext=False, credentials=own)
    server.add(
        "sluice.v1.RegistryService",
        lambda added: registry_pb2_grpc.add_RegistryServiceServicer_to_server(Namespaces(), added),
    )
    address = str(await server.start())
    command = ("namespace", "list", "--dispatcher", address)
    client = variables(tmp_path, Role.CLIENT)
    options = [f"--{name[7:].lower().replace('_', '-')}={path}" for name, path in client.items()]
    assert (await run(*command, **client)).exit_code == 0
    assert (await run(*command, *options)).exit_code == 0
    refused = await run(*command, **variables(tmp_path, Role.OUTBOUND))
    assert refused.stderr == (
        "error: PEER_NOT_ALLOWED: sluice.v1.RegistryService/ListNamespaces: "
        "may be called by client, not by outbound\n"
    )
    plain = await run(*command)
    assert plain.stderr.startswith(
        f"error: SERVICE_UNAVAILABLE: cannot reach the dispatcher at {address}: "
    )
    await run("certs", "--out", str(tmp_path / "other"))
    stranger = await run(*command, **variables(tmp_path / "other", Role.CLIENT))
    assert f"cannot reach the dispatcher at {address}: TLS: CERTIFICATE_VERIFY" in stranger.stderr
    half = await run(*command, options[0])
    assert half.stderr == "error: SLUICE_TLS_KEY: must be set, because SLUICE_TLS_CERT is\n"
    await server.stop(0)
