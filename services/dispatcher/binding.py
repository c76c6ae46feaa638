"""A dispatch namespace binding: what `env.<BINDING>.get(...)` chose, made an invocation.

Semantics: https://developers.cloudflare.com/cloudflare-for-platforms/workers-for-platforms/
(configuration/dynamic-dispatch and configuration/outbound-workers), and DESIGN section 4.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from typing import Any, TypeVar

from sluice.pb import userworker_pb2, worker_pb2
from sluice.registry.source import Current, CurrentSource
from sluice.wire import params
from sluice.wire.errors import Reason, SluiceError

_MAX_UINT32 = 2**32 - 1
_LIMITS = {"cpuMs": ("cpu_ms", 1), "subRequests": ("subrequests", 0)}  # field, and the least
_MAX_WARNED = 1000

T = TypeVar("T")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Chosen:
    """What one `get()` chose."""

    binding: str
    name: str
    props: dict[str, Any]
    outbound: dict[str, Any]
    limits: dict[str, Any]
    rpc_method: str = ""
    """What is called in place of `fetch()`, where it is not `fetch()`."""


def parse(header: str) -> Chosen:
    """Read what the guest sent. Raises `INVALID_PARAMS` for what `get()` cannot take."""
    try:
        said = json.loads(header)
        return Chosen(
            _member(said, "binding", str),
            _member(said, "name", str),
            _member(said, "props", dict),
            _member(said, "outbound", dict),
            _member(said, "limits", dict),
            _member({"method": "", **said}, "method", str),
        )
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise SluiceError(Reason.INVALID_PARAMS, "dispatcher.get(): cannot be read") from error


def _member(said: dict[str, Any], key: str, kind: type[T]) -> T:
    value = said[key]
    if not isinstance(value, kind):
        raise TypeError(f"{key} is not of type {kind.__name__}")
    return value


def find(bundle: worker_pb2.Bundle, name: str) -> worker_pb2.DispatchNamespaceBinding:
    """The binding of that name."""
    for binding in bundle.dispatch_namespaces:
        if binding.binding == name:
            return binding
    raise SluiceError(Reason.INVALID_REQUEST, f"no dispatch namespace binding {name!r}")


def limits(chosen: dict[str, Any]) -> worker_pb2.Limits:
    """The limits that `options.limits` names. Raises `INVALID_PARAMS` that names the limit."""
    result = worker_pb2.Limits()
    for name, value in chosen.items():
        if name not in _LIMITS:
            raise SluiceError(
                Reason.INVALID_PARAMS, f"limits.{name}: no such limit (cpuMs, subRequests)"
            )
        field, least = _LIMITS[name]
        is_number = isinstance(value, int) and not isinstance(value, bool)
        if not (is_number and least <= value <= _MAX_UINT32):
            raise SluiceError(
                Reason.INVALID_PARAMS,
                f"limits.{name}: {value!r} is not a whole number from {least}",
            )
        setattr(result, field, value)
    return result


class Bindings:
    """Makes invocations of what dispatch Workers choose."""

    def __init__(self, registry: CurrentSource) -> None:
        self._registry = registry
        self._warned: set[tuple[str, str]] = set()

    async def invocation(
        self, binding: worker_pb2.DispatchNamespaceBinding, chosen: Chosen, hops: int
    ) -> userworker_pb2.Invocation:
        """The invocation of the user Worker that `chosen` names.

        Raises `WORKER_NOT_FOUND`, and `INVALID_PARAMS` that names the key.
        """
        namespace = binding.dispatch_namespace
        passed = self._declared(binding, chosen.outbound)
        current = await self._registry.current(namespace, chosen.name)
        invocation = userworker_pb2.Invocation(
            worker=worker_pb2.Worker(
                dispatch_namespace=namespace, name=chosen.name, digest=current.digest
            ),
            limits=limits(chosen.limits),
            hops=hops,
            rpc_method=chosen.rpc_method,
        )
        if chosen.props:
            invocation.props.CopyFrom(params.to_struct(chosen.props, name="props"))
        if binding.outbound_service:
            invocation.outbound.service = binding.outbound_service
            invocation.outbound.digest = await self._outbound_digest(binding.outbound_service)
            if passed:
                invocation.outbound.params.CopyFrom(params.to_struct(passed, name="outbound"))
        _add_policies(invocation.outbound, binding, current)
        return invocation

    async def _outbound_digest(self, service: str) -> str:
        """The Outbound Worker's current version, so that a deploy holds from the next request on.

        Empty where there is none: a user Worker that makes no subrequest needs none.
        """
        try:
            return await self._registry.resolve("", service)
        except SluiceError as error:
            if error.reason is not Reason.WORKER_NOT_FOUND:
                raise
            return ""

    def _declared(
        self, binding: worker_pb2.DispatchNamespaceBinding, passed: dict[str, Any]
    ) -> dict[str, Any]:
        """The params that the binding declares. Any other is dropped, with one warning."""
        declared = set(binding.outbound_parameters)
        for key in passed.keys() - declared:
            seen = (binding.binding, key)
            if seen not in self._warned and len(self._warned) < _MAX_WARNED:
                self._warned.add(seen)
                _log.warning(
                    "binding %r: outbound param %r is not declared in its parameters; dropped",
                    binding.binding,
                    key[:100],
                )
        return {key: value for key, value in passed.items() if key in declared}


def _add_policies(
    outbound: worker_pb2.OutboundBinding,
    binding: worker_pb2.DispatchNamespaceBinding,
    current: Current,
) -> None:
    """Send along what holds for this invocation's subrequests, to its end."""
    if current.egress is not None:
        outbound.namespace_egress.CopyFrom(current.egress)
    if binding.HasField("egress"):
        outbound.binding_egress.CopyFrom(binding.egress)
