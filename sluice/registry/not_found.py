"""The two ways not to be in the registry."""

from __future__ import annotations

from sluice.wire.errors import Reason, SluiceError


def no_namespace(name: str) -> SluiceError:
    """There is no such dispatch namespace."""
    name = name[:64]
    return SluiceError(
        Reason.NAMESPACE_NOT_FOUND, f"no dispatch namespace {name!r}", namespace=name
    )


def no_worker(namespace: str, name: str) -> SluiceError:
    """There is no such Worker in the namespace, or for an empty one at account level."""
    namespace, name = namespace[:64], name[:64]
    message = (
        f"no Worker {name!r} in dispatch namespace {namespace!r}"
        if namespace
        else f"no account-level Worker {name!r}"
    )
    return SluiceError(Reason.WORKER_NOT_FOUND, message, namespace=namespace, worker=name)
