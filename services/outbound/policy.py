"""Whether the egress policies of a subrequest let it go to its host.

Only the host of the URL is judged, as it is written there: what a name resolves to is for the guard
(`destination`), which no policy can overrule.
"""

from __future__ import annotations

from enum import IntEnum
from functools import lru_cache
from typing import NamedTuple

from services.outbound.origin.request_head import host_of
from sluice.pb import worker_pb2
from sluice.wire import egress
from sluice.wire.egress import Rules
from sluice.wire.errors import Reason, SluiceError
from sluice.wire.hosts import Host, Pattern

REMEMBERED = 256
"""Policies that are kept as they were read."""


class Result(IntEnum):
    """What is to be done with a subrequest. The greater is the stricter."""

    ALLOW = 0
    REPORT = 1
    DENY = 2


class Decision(NamedTuple):
    """What a policy says of a host, and why: which list, and which pattern on it."""

    result: Result
    reason: str


def decide(rules: Rules, host: Host) -> Decision:
    """Judge a host.

    The rules, in order:

    1. a host that `deniedHosts` has is refused;
    2. where there is an `allowedHosts`, a host that it has not is refused;
    3. any other host is allowed.

    What is refused is only reported in mode `report`.
    """
    refused = Result.REPORT if rules.reports else Result.DENY
    if (pattern := _first(rules.denied, host)) is not None:
        return Decision(refused, f"deniedHosts: {pattern.written}")
    if rules.allowed is None:
        return Decision(Result.ALLOW, "deniedHosts: no match")
    if (pattern := _first(rules.allowed, host)) is not None:
        return Decision(Result.ALLOW, f"allowedHosts: {pattern.written}")
    return Decision(refused, "allowedHosts: no match")


def judge(outbound: worker_pb2.OutboundBinding, url: str) -> Decision | None:
    """The strictest of what the namespace's and the binding's policy say; None where none is set.

    Raises `INVALID_REQUEST` for a policy or a host that cannot be read.
    """
    policies = [
        (name, getattr(outbound, field))
        for name, field in (("namespace", "namespace_egress"), ("binding", "binding_egress"))
        if outbound.HasField(field)
    ]
    if not policies:
        return None
    host = Host.parse(host_of(url))
    said = []
    for name, policy in policies:
        result, reason = decide(_rules(policy.SerializeToString(), name), host)
        said.append(Decision(result, f"{name} {reason}"))
    strictest = max(decision.result for decision in said)
    reasons = (decision.reason for decision in said if decision.result is strictest)
    return Decision(strictest, "; ".join(reasons))


def refusal(url: str) -> SluiceError:
    """What the Worker sees: which host, and not what is on the platform's lists."""
    host = host_of(url)
    return SluiceError(
        Reason.DESTINATION_PROHIBITED,
        f"{host} is prohibited as a destination by the platform's policy",
        host=host,
    )


def _first(patterns: tuple[Pattern, ...], host: Host) -> Pattern | None:
    return next((pattern for pattern in patterns if pattern.matches(host)), None)


@lru_cache(maxsize=REMEMBERED)
def _rules(serialized: bytes, name: str) -> Rules:
    policy = worker_pb2.EgressPolicy.FromString(serialized)
    return egress.read(policy, f"subrequest.outbound.{name}_egress")
