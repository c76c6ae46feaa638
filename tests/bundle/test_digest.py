from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from sluice.bundle.digest import digest
from sluice.pb.worker_pb2 import (
    Bundle,
    DispatchNamespaceBinding,
    EgressPolicy,
    HostList,
    Limits,
    Module,
)


def _bundle() -> Bundle:
    bundle = Bundle(
        main_module="index.js",
        modules=[
            Module(name="index.js", kind=Module.KIND_ES_MODULE, content=b"export default {}"),
            Module(name="a.txt", kind=Module.KIND_TEXT, content=b"a"),
        ],
        compatibility_date="2026-01-01",
        compatibility_flags=["one", "two"],
        secrets={"A": "1", "B": "2"},
        dispatch_namespaces=[
            DispatchNamespaceBinding(
                binding="d",
                dispatch_namespace="n",
                outbound_service="o",
                outbound_parameters=["p", "q"],
            )
        ],
        limits=Limits(cpu_ms=50, subrequests=10),
    )
    bundle.vars.update({"X": "x", "Y": {"z": [1, 2.5, None, True]}})
    return bundle


def test_the_digest_is_pinned() -> None:
    """A digest outlives the release that made it: a change here orphans every stored bundle."""
    assert digest(_bundle()) == "7cff5eeb0a7337be8c8e3706fb87ada2137a44a796476a587998b2b5b82fa7ce"


@pytest.mark.parametrize(
    "change",
    [
        lambda b: setattr(b, "main_module", "a.txt"),
        lambda b: setattr(b.modules[0], "name", "b.js"),
        lambda b: setattr(b.modules[0], "kind", Module.KIND_SERVICE_WORKER),
        lambda b: setattr(b.modules[0], "content", b"export default []"),
        lambda b: b.modules.add(name="b.txt", kind=Module.KIND_TEXT),
        lambda b: setattr(b, "compatibility_date", "2026-01-02"),
        lambda b: b.compatibility_flags.append("three"),
        lambda b: b.compatibility_flags.reverse(),
        lambda b: b.vars.update({"X": "y"}),
        lambda b: b.vars.update({"X": None}),
        lambda b: b.secrets.update({"A": "2"}),
        lambda b: b.secrets.pop("B"),
        lambda b: setattr(b.dispatch_namespaces[0], "binding", "e"),
        lambda b: setattr(b.dispatch_namespaces[0], "dispatch_namespace", "m"),
        lambda b: setattr(b.dispatch_namespaces[0], "outbound_service", ""),
        lambda b: b.dispatch_namespaces[0].outbound_parameters.reverse(),
        lambda b: b.dispatch_namespaces[0].egress.SetInParent(),
        lambda b: b.limits.ClearField("cpu_ms"),
        lambda b: setattr(b.limits, "subrequests", 11),
    ],
)
def test_every_field_counts(change: Callable[[Bundle], object]) -> None:
    """Two bundles that differ in anything have different digests."""
    changed = _bundle()
    change(changed)
    assert digest(changed) != digest(_bundle())


@pytest.mark.parametrize(
    "change",
    [
        lambda p: setattr(p, "mode", EgressPolicy.MODE_REPORT),
        lambda p: p.ClearField("allowed_hosts"),
        lambda p: p.allowed_hosts.ClearField("patterns"),  # none is not the empty list
        lambda p: p.denied_hosts.append("b"),
    ],
)
def test_every_field_of_a_policy_counts(change: Callable[[EgressPolicy], object]) -> None:
    """Two bundles whose egress policies differ in anything have different digests."""
    changed, same = _bundle(), _bundle()
    for bundle in (changed, same):
        policy = EgressPolicy(allowed_hosts=HostList(patterns=["a"]), denied_hosts=["a"])
        bundle.dispatch_namespaces[0].egress.CopyFrom(policy)
    change(changed.dispatch_namespaces[0].egress)
    assert digest(changed) != digest(same)


def test_no_field_is_forgotten() -> None:
    """A field that is added to the contract has to be added to the digest, and to this list."""
    fields = {
        message.DESCRIPTOR.name: [field.name for field in message.DESCRIPTOR.fields]
        for message in (
            Bundle,
            Module,
            DispatchNamespaceBinding,
            EgressPolicy,
            HostList,
            Limits,
        )
    }
    assert fields == {
        "Bundle": [
            "main_module",
            "modules",
            "compatibility_date",
            "compatibility_flags",
            "vars",
            "secrets",
            "dispatch_namespaces",
            "limits",
        ],
        "Module": ["name", "kind", "content"],
        "DispatchNamespaceBinding": [
            "binding",
            "dispatch_namespace",
            "outbound_service",
            "outbound_parameters",
            "egress",
        ],
        "EgressPolicy": ["mode", "allowed_hosts", "denied_hosts"],
        "HostList": ["patterns"],
        "Limits": ["cpu_ms", "subrequests"],
    }


def test_the_order_of_what_has_none_does_not_count() -> None:
    """Modules and map entries come in any order; wire bytes may differ, the digest does not."""
    shuffled, order = _bundle(), list(_bundle().modules)
    random.Random(1).shuffle(order)
    del shuffled.modules[:]
    shuffled.modules.extend(reversed(order))
    shuffled.secrets.clear()
    for name in ("B", "A"):
        shuffled.secrets[name] = _bundle().secrets[name]
    assert digest(shuffled) == digest(_bundle())
    assert digest(Bundle.FromString(shuffled.SerializeToString())) == digest(_bundle())


def test_no_limits_are_the_same_as_empty_limits() -> None:
    """A message that is there and says nothing says nothing."""
    assert digest(Bundle(limits=Limits())) == digest(Bundle())
