"""What guest code says in control headers, and what it says to the dispatcher by them.

The first byte says which header the rest is.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from fuzz.target import Target
from fuzz.transport import run
from services.dispatcher import binding
from services.dispatcher.ingress import _hops
from sluice.isolate import control
from sluice.isolate.invocation import Limits
from sluice.pb import userworker_pb2, worker_pb2
from sluice.registry.source import Current
from sluice.wire import params
from sluice.wire.errors import Reason, SluiceError

_BUNDLE = worker_pb2.Bundle(
    dispatch_namespaces=[
        worker_pb2.DispatchNamespaceBinding(
            binding="D",
            dispatch_namespace="production",
            outbound_service="outbound",
            outbound_parameters=["p", "q"],
        )
    ]
)


class _Registry:
    """Knows every Worker but one."""

    async def resolve(self, namespace: str, name: str) -> str:
        if name == "missing":
            raise SluiceError(Reason.WORKER_NOT_FOUND, f"{namespace}/{name}")
        return "0" * 64

    async def current(self, namespace: str, name: str) -> Current:
        return Current(await self.resolve(namespace, name), None)

    async def bundle(self, digest: str) -> worker_pb2.Bundle:
        raise AssertionError(digest)


def _read(data: bytes) -> None:
    readers = list(_READERS.values())
    with contextlib.suppress(SluiceError):
        readers[(data[0] if data else 0) % len(readers)](data[1:].decode("latin-1"))


def _get(header: str) -> None:
    """What `env.D.get()` chose, made the RPC that it becomes, and read at its far end."""
    chosen = binding.parse(header)
    namespace = binding.find(_BUNDLE, chosen.binding)
    made = run(binding.Bindings(_Registry()).invocation(namespace, chosen, 0))
    read = userworker_pb2.Invocation.FromString(made.SerializeToString())
    params.check(read.outbound.params)
    params.check(read.props)
    Limits().with_chosen(read.limits)
    assert params.from_struct(read.props) == params.from_struct(made.props)
    assert set(read.outbound.params.fields) <= {"p", "q"}


def _thrown(header: str) -> None:
    try:
        control.raise_thrown(header)
    except SluiceError as error:
        control.thrown(error)
        return
    raise AssertionError("nothing was raised")


def _count(header: str) -> None:
    assert 0 <= _hops(header) < 1000


_READERS: dict[str, Callable[[str], None]] = {"get": _get, "thrown": _thrown, "hops": _count}

TARGET = Target(
    "control",
    _read,
    {
        "get": b'\0{"binding":"D","name":"api","props":{"plan":["a",1.5,null]},'
        b'"outbound":{"p":{"customer":"acme","n":3},"undeclared":1},'
        b'"limits":{"cpuMs":50,"subRequests":5}}',
        "JS RPC": b'\0{"binding":"D","name":"api","props":{},"outbound":{},"limits":{},'
        b'"method":"add"}',
        "an unknown Worker": b'\0{"binding":"D","name":"missing","props":{},"outbound":{},'
        b'"limits":{}}',
        "thrown": b'\1{"kind":"exception","name":"TypeError","message":"m \\ud800"}',
        "not loaded": b'\1{"kind":"load","name":"SyntaxError","message":"line 1"}',
        "hops": b"\x0215",
    },
)
