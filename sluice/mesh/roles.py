"""Roles: what a peer is by its certificate, and which methods that lets it call.

A certificate says its role by a DNS name, such as `outbound.sluice.internal`, and not by a URI
(SPIFFE's form): a gRPC client in Python checks names and addresses of a server's certificate, but
never URIs, so a URI could say who calls, but not who is called.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from enum import Enum
from typing import Any

import grpc
import grpc.aio

from sluice.mesh import errors
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

CALLERS: Mapping[str, frozenset[Role]] = {
    "sluice.v1.DispatcherService": frozenset({Role.CLIENT}),
    "sluice.v1.RegistryService": frozenset({Role.CLIENT}),
    "sluice.v1.RegistryService/GetBundle": frozenset({Role.USERWORKER, Role.OUTBOUND}),
    "sluice.v1.RegistryService/ResolveWorker": frozenset({Role.USERWORKER, Role.OUTBOUND}),
    "sluice.v1.UserWorkerService": frozenset({Role.DISPATCHER}),
    # The dispatcher, because a dispatch Worker may call `fetch()` itself.
    "sluice.v1.OutboundService": frozenset({Role.USERWORKER, Role.DISPATCHER}),
}
"""Who may call a method, or the methods of a service that are not named themselves."""

_SHAPES = ("unary_unary", "unary_stream", "stream_unary", "stream_stream")


class GuardedServer:
    """As much of a `grpc.aio.Server` as servicers are added by: their methods check who calls."""

    def __init__(self, server: grpc.aio.Server) -> None:
        self._server = server

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Any]) -> None:
        """Add methods. Each is called only by the roles that `CALLERS` names for it."""
        guarded = {name: _guard(f"{service}/{name}", handlers[name]) for name in handlers}
        self._server.add_registered_method_handlers(service, guarded)

    def add_generic_rpc_handlers(self, handlers: object) -> None:
        """Add nothing: generated code gives the same methods here once more, by another way."""


def _guard(method: str, handler: Any) -> Any:
    """`handler`, for the callers of `method` only. `KeyError` where nobody says who they are."""
    callers = CALLERS.get(method) or CALLERS[method.partition("/")[0]]
    for shape in _SHAPES:
        if behaviour := getattr(handler, shape):
            wrap = _generator if inspect.isasyncgenfunction(behaviour) else _coroutine
            return handler._replace(**{shape: wrap(method, callers, behaviour)})
    raise TypeError(f"{method}: has no behaviour")


def _coroutine(
    method: str, callers: frozenset[Role], behaviour: Callable[[Any, Any], Awaitable[Any]]
) -> Callable[[Any, Any], Awaitable[Any]]:
    async def guarded(request: Any, context: Any) -> Any:
        await _check(method, callers, context)
        return await behaviour(request, context)

    return guarded


def _generator(
    method: str, callers: frozenset[Role], behaviour: Callable[[Any, Any], AsyncIterator[Any]]
) -> Callable[[Any, Any], AsyncIterator[Any]]:
    async def guarded(request: Any, context: Any) -> AsyncIterator[Any]:
        await _check(method, callers, context)
        async for message in behaviour(request, context):
            yield message

    return guarded


async def _check(method: str, callers: frozenset[Role], context: Any) -> None:
    """End the call unless it is by one of `callers`.

    Asked at each call, which costs 4 microseconds: `context.peer()`, by which an answer could be
    kept, is only an address, and its port is soon another peer's.
    """
    names = context.auth_context().get("peer_dns", ())
    roles = {role for name in names if (role := ROLES.get(name.decode()))}
    if not roles & callers:
        await errors.abort(context, _refusal(method, callers, roles))


def _refusal(method: str, callers: frozenset[Role], roles: set[Role]) -> SluiceError:
    caller, wanted = (" or ".join(sorted(role.value for role in who)) for who in (roles, callers))
    return SluiceError(
        Reason.PEER_NOT_ALLOWED,
        f"{method}: may be called by {wanted}, not by {caller or 'a peer without a role'}",
        method=method,
        role=caller,
    )
