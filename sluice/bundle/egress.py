"""The egress policy of a dispatch namespace binding, as a config has it.

Sluice's own key, for wrangler has none: `egress = {mode, allowedHosts, deniedHosts}`. The names are
those of Cloudflare's containers and, for the mode, of Stripe's smokescreen.
"""

from __future__ import annotations

from sluice.bundle.section import Section
from sluice.pb import worker_pb2
from sluice.wire.egress import MODES
from sluice.wire.hosts import Pattern


def read(egress: Section) -> worker_pb2.EgressPolicy:
    """The policy. Raises `ConfigError` that names the key."""
    mode = egress.name("mode") or "enforce"
    if mode not in MODES:
        raise egress.error("mode", f"expected one of {', '.join(MODES)}, got {mode!r}")
    policy = worker_pb2.EgressPolicy(mode=MODES[mode], denied_hosts=_hosts(egress, "deniedHosts"))
    if egress.has("allowedHosts"):
        patterns = _hosts(egress, "allowedHosts")
        policy.allowed_hosts.CopyFrom(worker_pb2.HostList(patterns=patterns))
    # A misspelled list would be a policy that allows everything.
    egress.finish(strict=True)
    return policy


def _hosts(egress: Section, key: str) -> tuple[str, ...]:
    hosts = egress.strings(key)
    for at, host in enumerate(hosts):
        try:
            Pattern.parse(host)
        except ValueError as error:
            raise egress.error(f"{key}[{at}]", f"{host!r}: {error}") from error
    return hosts
