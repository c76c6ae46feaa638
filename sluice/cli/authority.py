"""A certificate authority (CA) in two files, for development and small deployments."""

from __future__ import annotations

import ipaddress
import os
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from sluice.mesh.roles import Role

CA_DAYS = 3650
"""Days that a new CA is valid, at least."""

_SKEW = timedelta(hours=1)  # how far the clock of another machine may be behind
_CERT, _KEY = "ca.pem", "ca.key"
_USAGES = {
    "digital_signature": False,
    "content_commitment": False,
    "key_encipherment": False,
    "data_encipherment": False,
    "key_agreement": False,
    "key_cert_sign": False,
    "crl_sign": False,
    "encipher_only": False,
    "decipher_only": False,
}


@dataclass(frozen=True)
class Authority:
    """A CA: its certificate, and the key that it signs by."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @classmethod
    def create(cls, days: int) -> Authority:
        """A new one, which may sign certificates of peers and nothing else."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = _name(f"Sluice CA {secrets.token_hex(4)}")
        extensions = [
            (x509.BasicConstraints(ca=True, path_length=0), True),
            (x509.KeyUsage(**{**_USAGES, "key_cert_sign": True}), True),
        ]
        end = datetime.now(UTC) + timedelta(days=max(days, CA_DAYS))
        return cls(_signed(name, name, key, key, end, extensions), key)

    @classmethod
    def load(cls, folder: Path) -> Authority | None:
        """The one in `folder`, if there is one. Raises `OSError`, or `ValueError` for no CA."""
        if not (folder / _CERT).exists():
            return None
        key = serialization.load_pem_private_key((folder / _KEY).read_bytes(), password=None)
        certificate = x509.load_pem_x509_certificate((folder / _CERT).read_bytes())
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise ValueError(f"{folder / _KEY} is not an elliptic-curve key")  # noqa: TRY004  # not a caller's mistake
        if key.public_key() != certificate.public_key():
            raise ValueError(f"{folder / _KEY} is not the key of {folder / _CERT}")
        if certificate.not_valid_after_utc < datetime.now(UTC):
            raise ValueError(f"{folder / _CERT} expired: remove {folder} for a new CA")
        return cls(certificate, key)

    def save(self, folder: Path) -> None:
        """Write it, its key readable by the owner only."""
        write(folder / _KEY, pem_of_key(self.key), secret=True)
        write(folder / _CERT, self.pem)

    @property
    def pem(self) -> bytes:
        """The certificate, by which peers' are verified."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def issue(self, role: Role, hosts: Iterable[str], days: int) -> tuple[bytes, bytes]:
        """A new certificate for `role` at `hosts` (names, addresses), and its key. Both in PEM."""
        key = ec.generate_private_key(ec.SECP256R1())
        uses = [ExtendedKeyUsageOID.CLIENT_AUTH]
        if role is not Role.CLIENT:
            uses.append(ExtendedKeyUsageOID.SERVER_AUTH)
        names = [x509.DNSName(role.dns_name), *map(_general_name, hosts)]
        extensions: list[tuple[x509.ExtensionType, bool]] = [
            (x509.BasicConstraints(ca=False, path_length=None), True),
            (x509.KeyUsage(**{**_USAGES, "digital_signature": True}), True),
            (x509.ExtendedKeyUsage(uses), False),
            (x509.SubjectAlternativeName(names), False),
            (
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()),
                False,
            ),
        ]
        end = datetime.now(UTC) + timedelta(days=days)
        certificate = _signed(
            _name(role.dns_name),
            self.certificate.subject,
            key,
            self.key,
            min(end, self.certificate.not_valid_after_utc),
            extensions,
        )
        return certificate.public_bytes(serialization.Encoding.PEM), pem_of_key(key)


def write(path: Path, data: bytes, *, secret: bool = False) -> None:
    """Write a file in one step. A `secret` is readable by its owner only, from the first byte."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600 if secret else 0o644)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
    part.replace(path)


def pem_of_key(key: ec.EllipticCurvePrivateKey) -> bytes:
    """A key, not encrypted."""
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _signed(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    issuer_key: ec.EllipticCurvePrivateKey,
    end: datetime,
    extensions: Iterable[tuple[x509.ExtensionType, bool]],
) -> x509.Certificate:
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.now(UTC) - _SKEW)
        .not_valid_after(end)
        .add_extension(identifier, critical=False)
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    return builder.sign(issuer_key, hashes.SHA256())


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
