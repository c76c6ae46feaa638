"""Roles: what a peer is by its certificate, and which methods that lets it call.

A certificate says its role by a DNS name, such as `outbound.sluice.internal`, and not by a URI
(SPIFFE's form): a gRPC client in Python checks names and addresses of a server's certificate, but
never URIs, so a URI could say who calls, but not who is called.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from functools import lru_cache

from sluice.mesh import errors
from sluice.rpc.status import Status
from sluice.wire.errors import Reason, SluiceError


class Role(Enum):
    """What a certificate is for."""

    DISPATCHER = "dispatcher"
    USERWORKER = "userworker"
    OUTBOUND = "outbound"
    CLIENT = "client"
    """A person, or a program of the operator's: the `sluice` command, grpcurl."""

    @property
    def dns_name(self) -> str:
        """The name in a certificate that says so. `.internal` is nobody's (ICANN, 2024)."""
        return f"{self.value}.sluice.internal"


ROLES = {role.dns_name: role for role in Role}
"""Roles by their names in certificates."""

EVERYBODY = frozenset(Role)

OPEN = frozenset({"grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"})
"""Services that tell what everybody may know."""

CALLERS: Mapping[str, frozenset[Role]] = {
    "sluice.v1.DispatcherService": frozenset({Role.CLIENT}),
    "sluice.v1.RegistryService": frozenset({Role.CLIENT}),
    "sluice.v1.RegistryService/GetBundle": frozenset({Role.USERWORKER, Role.OUTBOUND}),
    "sluice.v1.RegistryService/ResolveWorker": frozenset({Role.USERWORKER, Role.OUTBOUND}),
    "sluice.v1.UserWorkerService": frozenset({Role.DISPATCHER}),
    # The dispatcher, because a dispatch Worker may call `fetch()` itself.
    "sluice.v1.OutboundService": frozenset({Role.USERWORKER, Role.DISPATCHER}),
    **dict.fromkeys(OPEN, EVERYBODY),
}
"""Who may call a method, or the methods of a service that are not named themselves."""


def check(service: str) -> None:
    """Raise `KeyError` for a service of which nobody says who calls it."""
    if service not in CALLERS:
        raise KeyError(service)


@lru_cache(maxsize=1024)  # of a few methods and certificates, at each call
def admit(method: str, names: tuple[str, ...]) -> Status | None:
    """Why a peer whose certificate has these names may not call `method`; None: it may."""
    callers = CALLERS.get(method) or CALLERS[method.partition("/")[0]]
    if callers is EVERYBODY:
        return None
    roles = {ROLES[name] for name in names if name in ROLES}
    return None if roles & callers else errors.to_status(_refusal(method, callers, roles))


def _refusal(method: str, callers: frozenset[Role], roles: set[Role]) -> SluiceError:
    caller, wanted = (" or ".join(sorted(role.value for role in who)) for who in (roles, callers))
    return SluiceError(
        Reason.PEER_NOT_ALLOWED,
        f"{method}: may be called by {wanted}, not by {caller or 'a peer without a role'}",
        method=method,
        role=caller,
    )
