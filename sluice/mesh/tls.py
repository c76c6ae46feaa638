"""mTLS between services: one's own certificate, and the CA that everybody's is verified by.

The files are read once, at the start. What is wrong with them stops it, by the variable's name.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import grpc
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

from sluice.mesh.env import PREFIX, Environment, SettingError
from sluice.mesh.roles import ROLES, Role

T = TypeVar("T")

CERT, KEY, CA = VARIABLES = ("TLS_CERT", "TLS_KEY", "TLS_CA")


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who one is to peers, and whom one believes. All in PEM."""

    role: Role
    certificate: bytes
    """One's own, then the intermediate ones, if any."""

    key: bytes = field(repr=False)
    ca: bytes

    def for_server(self) -> ssl.SSLContext:
        """For a listener that takes only clients with a certificate by the CA."""
        context = self._context(ssl.PROTOCOL_TLS_SERVER)
        context.verify_mode = ssl.CERT_REQUIRED
        return context

    def for_link(self) -> ssl.SSLContext:
        """For a link to a server with a certificate by the CA."""
        return self._context(ssl.PROTOCOL_TLS_CLIENT)

    def for_channel(self) -> grpc.ChannelCredentials:
        """For a channel to a server with a certificate by the CA."""
        return grpc.ssl_channel_credentials(self.ca, self.key, self.certificate)

    def _context(self, protocol: int) -> ssl.SSLContext:
        context = ssl.SSLContext(protocol)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.hostname_checks_common_name = False  # a role is a DNS name
        context.set_alpn_protocols(["h2"])
        context.load_verify_locations(cadata=self.ca.decode())
        with os.fdopen(os.memfd_create("key"), "wb") as file:  # ssl reads keys from files
            file.write(self.certificate + b"\n" + self.key)
            file.flush()
            context.load_cert_chain(f"/proc/self/fd/{file.fileno()}")
        return context


def read(env: Environment, role: Role | None = None) -> Credentials | None:
    """Read `SLUICE_TLS_CERT`, `_KEY` and `_CA`. None where none of them is set.

    Raises `SettingError` for one without the others, and for files that no peer would accept; with
    a `role`, also for a certificate of another.
    """
    paths = {name: env.text(name, "") for name in VARIABLES}
    if not any(paths.values()):
        return None
    certificate, key, ca = (_File.read(name, paths) for name in VARIABLES)
    chain = certificate.parse(x509.load_pem_x509_certificates, "a certificate in PEM")
    roots = ca.parse(x509.load_pem_x509_certificates, "a certificate in PEM")
    if key.parse(_private_key, "a private key in PEM").public_key() != chain[0].public_key():
        raise key.wrong(f"is not the key of {certificate.path}")
    certificate.check_time(chain)
    ca.check_time(roots)
    if not any(_issued(root, chain[-1]) for root in roots):
        raise ca.wrong(f"did not issue {certificate.path}")
    own = _role(certificate, chain[0])
    if role is not None and own is not role:
        raise certificate.wrong(f"is of the role {own.value}, not {role.value}")
    return Credentials(own, certificate.data, key.data, ca.data)


@dataclass(frozen=True, slots=True)
class _File:
    name: str
    """Of the variable, without its prefix."""

    path: str
    data: bytes = field(repr=False)

    @classmethod
    def read(cls, name: str, paths: dict[str, str]) -> _File:
        if not paths[name]:
            given = next(other for other in VARIABLES if paths[other])
            raise SettingError(f"{PREFIX}{name}: must be set, because {PREFIX}{given} is")
        try:
            return cls(name, paths[name], Path(paths[name]).read_bytes())
        except OSError as error:
            raise SettingError(
                f"{PREFIX}{name}: cannot read {paths[name]}: {error.strerror}"
            ) from error

    def parse(self, parse: Callable[[bytes], T], kind: str) -> T:
        try:
            return parse(self.data)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise self.wrong(f"is not {kind}: {error}") from error

    def check_time(self, certificates: list[x509.Certificate]) -> None:
        now = datetime.now(UTC)
        for certificate in certificates:
            begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
            if now > end:
                raise self.wrong(f"expired at {end:%Y-%m-%d %H:%M} UTC")
            if now < begin:
                raise self.wrong(f"is not valid before {begin:%Y-%m-%d %H:%M} UTC")

    def wrong(self, what: str) -> SettingError:
        return SettingError(f"{PREFIX}{self.name}: {self.path} {what}")


def _private_key(data: bytes) -> PrivateKeyTypes:
    return serialization.load_pem_private_key(data, password=None)


def _issued(root: x509.Certificate, certificate: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(root)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _role(file: _File, certificate: x509.Certificate) -> Role:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        (role,) = {ROLES[name] for name in names.get_values_for_type(x509.DNSName) if name in ROLES}
    except (x509.ExtensionNotFound, ValueError) as error:
        raise file.wrong(f"has no role: none, or more than one, of {', '.join(ROLES)}") from error
    return role
