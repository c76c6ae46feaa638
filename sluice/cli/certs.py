"""`sluice certs`: certificates for mTLS between services."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Any

import click

from sluice.cli.authority import Authority, write
from sluice.cli.connection import example
from sluice.cli.failure import Failure
from sluice.mesh.roles import Role

LOOPBACK = ("localhost", "127.0.0.1", "::1")

_NAME = re.compile(r"(?:\*\.)?(?!-)[0-9A-Za-z_-]{1,63}(?:\.[0-9A-Za-z_-]{1,63})*")


class HostType(click.ParamType[str]):
    """A host name or an IP address."""

    name = "HOST"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Check it. The names of roles are not hosts'."""
        host = str(value)
        if host.lower().endswith(".sluice.internal"):
            self.fail(f"{host!r} is the name of a role, not of a host", param, ctx)
        try:
            ipaddress.ip_address(host)
        except ValueError:
            if not _NAME.fullmatch(host):
                self.fail(f"{host!r} is neither a host name nor an IP address", param, ctx)
        return host


@click.command(
    epilog=example(
        "sluice certs",
        "sluice certs userworker --force --host userworker.example.com",
    )
)
@click.argument("roles", metavar="[ROLE]...", nargs=-1, type=click.Choice([r.value for r in Role]))
@click.option(
    "--out",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("certs"),
    show_default=True,
    help="Folder of the CA and of a folder for each role.",
)
@click.option(
    "--days", type=click.IntRange(1, 36500), default=365, show_default=True, help="Validity."
)
@click.option(
    "--host",
    "hosts",
    type=HostType(),
    multiple=True,
    help="Host name or IP address of a service, besides loopback and the role's own name.",
)
@click.option("--force", is_flag=True, help="Replace certificates and keys that are there.")
def certs(
    roles: tuple[str, ...], folder: Path, days: int, hosts: tuple[str, ...], force: bool
) -> None:
    """Make certificates for mTLS between services.

    One for each ROLE (dispatcher, userworker, outbound, client; without any: for all), in a folder
    of its own with all that its service needs: cert.pem, key.pem and ca.pem. They are signed by the
    CA in OUT/ca, which is made if there is none, and never replaced. Its key, ca.key, is for this
    command alone: no service needs it.
    """
    chosen = [role for role in Role if not roles or role.value in roles]
    for role in chosen:
        key = _folder(folder, role) / "key.pem"
        if key.exists() and not force:
            raise Failure(f"{key} exists (--force replaces it)")
    try:
        authority = Authority.load(folder / "ca")
    except ValueError as error:
        raise Failure(str(error)) from error
    if authority is None:
        authority = Authority.create(days)
        authority.save(folder / "ca")
        click.echo(f"{'CA':<10}  {folder / 'ca'}")
    for role in chosen:
        _issue(authority, role, _folder(folder, role), hosts, days)
        click.echo(f"{role.value:<10}  {_folder(folder, role)}")


def _folder(folder: Path, role: Role) -> Path:
    return folder / role.value


def _issue(
    authority: Authority, role: Role, folder: Path, hosts: tuple[str, ...], days: int
) -> None:
    named = () if role is Role.CLIENT else (*LOOPBACK, role.value, *hosts)
    certificate, key = authority.issue(role, dict.fromkeys(named), days)
    write(folder / "key.pem", key, secret=True)
    write(folder / "cert.pem", certificate)
    write(folder / "ca.pem", authority.pem)
