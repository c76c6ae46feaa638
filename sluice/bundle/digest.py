"""The name of a bundle: a digest of everything in it.

Serialized protobuf is not canonical (maps have no order, encoders differ), so what is hashed is
compact JSON with sorted keys, in which each module stands as the digest of its content.
"""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any

from sluice.pb import worker_pb2
from sluice.wire import params


def digest(bundle: worker_pb2.Bundle) -> str:
    """Lowercase hex SHA-256 of the bundle's canonical form. Equal bundles, equal digests.

    The order of modules and of map entries does not count; that of lists does.
    """
    text = json.dumps(_canonical(bundle), sort_keys=True, separators=(",", ":"))
    return sha256(text.encode()).hexdigest()


def _canonical(bundle: worker_pb2.Bundle) -> dict[str, Any]:
    limits = bundle.limits
    return {
        "main_module": bundle.main_module,
        "modules": sorted(
            [module.name, int(module.kind), sha256(module.content).hexdigest()]
            for module in bundle.modules
        ),
        "compatibility_date": bundle.compatibility_date,
        "compatibility_flags": list(bundle.compatibility_flags),
        "vars": params.from_struct(bundle.vars),
        "secrets": dict(bundle.secrets),
        "dispatch_namespaces": [
            [
                bound.binding,
                bound.dispatch_namespace,
                bound.outbound_service,
                list(bound.outbound_parameters),
                *_egress(bound),
            ]
            for bound in bundle.dispatch_namespaces
        ],
        "limits": [
            limits.cpu_ms if limits.HasField("cpu_ms") else None,
            limits.subrequests if limits.HasField("subrequests") else None,
        ],
    }


def _egress(bound: worker_pb2.DispatchNamespaceBinding) -> list[Any]:
    """Nothing where there is none: such bundles keep the digests that they always had."""
    if not bound.HasField("egress"):
        return []
    policy = bound.egress
    allowed = list(policy.allowed_hosts.patterns) if policy.HasField("allowed_hosts") else None
    return [int(policy.mode), allowed, list(policy.denied_hosts)]
