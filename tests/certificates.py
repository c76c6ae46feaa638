"""Certificates as `sluice certs` writes them: a folder for each role."""

from __future__ import annotations

from pathlib import Path

from sluice.mesh import tls
from sluice.mesh.env import Environment
from sluice.mesh.roles import Role
from sluice.mesh.tls import Credentials


def tls_variables(certificates: Path | None, role: Role) -> dict[str, str]:
    """The settings for the certificate of a role. Empty where there are no certificates."""
    if certificates is None:
        return {}
    files = {"CERT": "cert.pem", "KEY": "key.pem", "CA": "ca.pem"}
    own = certificates / role.value
    return {f"SLUICE_TLS_{name}": str(own / file) for name, file in files.items()}


def credentials(certificates: Path | None, role: Role) -> Credentials | None:
    """What a peer of that role has. None where there are no certificates."""
    return tls.read(Environment(tls_variables(certificates, role)))
