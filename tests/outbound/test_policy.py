from __future__ import annotations

import socket
from typing import Any

import pytest
from aiohttp.abc import ResolveResult

from services.outbound import policy
from services.outbound.origin.client import ClientConfig, GuardedClient
from services.outbound.origin.destination import Guard
from services.outbound.origin.request_head import host_of
from services.outbound.origin.resolver import Resolver
from services.outbound.policy import Decision, Result
from sluice.pb.worker_pb2 import EgressPolicy, HostList, OutboundBinding
from sluice.wire.errors import Reason, SluiceError
from sluice.wire.hosts import Host
from sluice.wire.messages import Request
from tests.outbound.calls import ACME

ALLOW, REPORT, DENY = Result.ALLOW, Result.REPORT, Result.DENY


def lists(
    allowed: list[str] | None = None, denied: list[str] | None = None, *, report: bool = False
) -> EgressPolicy:
    """A policy."""
    return EgressPolicy(
        mode=EgressPolicy.MODE_REPORT if report else EgressPolicy.MODE_ENFORCE,
        allowed_hosts=None if allowed is None else HostList(patterns=allowed),
        denied_hosts=denied,
    )


EVIL = ["evil.example", "*.evil.example"]
ONE = [
    (lists(denied=EVIL), "https://api.example.com/", ALLOW, "deniedHosts: no match"),
    (lists(denied=EVIL), "https://evil.example/", DENY, "deniedHosts: evil.example"),
    (lists(denied=EVIL), "https://a.evil.example/", DENY, "deniedHosts: *.evil.example"),
    (lists(denied=EVIL), "https://evil.example:8443/x", DENY, "deniedHosts: evil.example"),
    (lists(["*.example"]), "https://api.example/", ALLOW, "allowedHosts: *.example"),
    (lists(["*.example"]), "https://example.com/", DENY, "allowedHosts: no match"),
    # An address is no way past the names.
    (lists(["*.example"]), "https://93.184.215.14/", DENY, "allowedHosts: no match"),
    # Set, though empty: nothing may be reached.
    (lists([]), "https://example.com/", DENY, "allowedHosts: no match"),
    # Denied beats allowed, however exact the other is.
    (
        lists(["a.evil.example"], EVIL),
        "http://a.evil.example/",
        DENY,
        "deniedHosts: *.evil.example",
    ),
    (lists(["*"], EVIL), "http://example.com/", ALLOW, "allowedHosts: *"),
    # A policy without lists refuses nothing.
    (lists(), "http://example.com/", ALLOW, "deniedHosts: no match"),
    (lists(denied=EVIL, report=True), "http://evil.example/", REPORT, "deniedHosts: evil.example"),
    (lists([], report=True), "http://example.com/", REPORT, "allowedHosts: no match"),
    (lists(denied=EVIL, report=True), "http://example.com/", ALLOW, "deniedHosts: no match"),
    # CIDR is for addresses.
    (lists(denied=["0.0.0.0/0"]), "http://0x7f.1/", DENY, "deniedHosts: 0.0.0.0/0"),
    (lists(denied=["0.0.0.0/0"]), "http://example.com/", ALLOW, "deniedHosts: no match"),
    (lists(denied=["2001:db8::/32"]), "http://[2001:DB8::1]/", DENY, "deniedHosts: 2001:db8::/32"),
]


@pytest.mark.parametrize(("rules", "url", "result", "reason"), ONE)
@pytest.mark.parametrize("whose", ["namespace", "binding"])
def test_one_policy(whose: str, rules: EgressPolicy, url: str, result: Result, reason: str) -> None:
    """A policy decides by its lists, and says which of its patterns it was."""
    outbound = OutboundBinding()
    getattr(outbound, f"{whose}_egress").CopyFrom(rules)
    assert policy.judge(outbound, url) == Decision(result, f"{whose} {reason}")


BOTH = [
    # A host has to pass both, whichever refuses it.
    (lists(denied=EVIL), lists(["*"]), DENY, "namespace deniedHosts: evil.example"),
    (lists(["*"]), lists(denied=EVIL), DENY, "binding deniedHosts: evil.example"),
    (
        lists(denied=EVIL),
        lists([]),
        DENY,
        "namespace deniedHosts: evil.example; binding allowedHosts: no match",
    ),
    # Neither can lift what the other says.
    (lists(["evil.example"]), lists([]), DENY, "binding allowedHosts: no match"),
    (lists([]), lists(["evil.example"]), DENY, "namespace allowedHosts: no match"),
    # One that reports does not soften one that enforces, and is heard where both let through.
    (lists([], report=True), lists(denied=EVIL), DENY, "binding deniedHosts: evil.example"),
    (lists(["*"]), lists([], report=True), REPORT, "binding allowedHosts: no match"),
    (
        lists(["*"]),
        lists(denied=["*.test"]),
        ALLOW,
        "namespace allowedHosts: *; binding deniedHosts: no match",
    ),
]


@pytest.mark.parametrize(("namespace", "binding", "result", "reason"), BOTH)
def test_both_policies(
    namespace: EgressPolicy, binding: EgressPolicy, result: Result, reason: str
) -> None:
    """Of two policies the stricter holds, and the reason is that of whoever said so."""
    outbound = OutboundBinding(namespace_egress=namespace, binding_egress=binding)
    assert policy.judge(outbound, "http://evil.example/") == Decision(result, reason)


def test_no_policy() -> None:
    """Where no policy is set there is nothing to judge, not even the URL."""
    assert policy.judge(OutboundBinding(), "no URL") is None


@pytest.mark.parametrize(
    ("outbound", "url", "says"),
    [
        ({"binding_egress": lists()}, "http://a.test\\@b.test/", "not absolute"),
        ({"binding_egress": lists()}, "http://[::1/", "host"),
        (
            {"binding_egress": lists(denied=["a:1"])},
            "http://a.test/",
            r"subrequest.outbound.binding_egress.denied_hosts\[0\]: 'a:1'",
        ),
        (
            {"namespace_egress": lists([""])},
            "http://a.test/",
            r"subrequest.outbound.namespace_egress.allowed_hosts.patterns\[0\]",
        ),
    ],
)
def test_what_cannot_be_read_is_refused(outbound: dict[str, Any], url: str, says: str) -> None:
    """A host or a policy that cannot be read is refused, not let through."""
    with pytest.raises(SluiceError, match=says) as raised:
        policy.judge(OutboundBinding(**outbound), url)
    assert raised.value.reason is Reason.INVALID_REQUEST


def test_refusal_names_the_host_alone() -> None:
    """What the Worker sees has the host, and nothing of the lists."""
    error = policy.refusal("https://Evil.Example:8443/path?query")
    assert error.reason is Reason.DESTINATION_PROHIBITED
    assert error.message == "evil.example is prohibited as a destination by the platform's policy"
    assert error.metadata == {"host": "evil.example"}


class Seen(Resolver):
    """Resolves addresses in odd forms, as the system does; of names it only notes which they are."""

    def __init__(self) -> None:
        self.hosts: list[str] = []

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        if Host.parse(host).address is not None:
            return await super().resolve(host, port, family)
        self.hosts.append(host)
        raise socket.gaierror(socket.EAI_NONAME, "a name")


class Watching(Guard):
    """Notes which addresses it is asked about, and refuses them all."""

    def __init__(self, seen: Seen) -> None:
        super().__init__()
        self._seen = seen

    def denial(self, host: str, port: int) -> str | None:
        self._seen.hosts.append(host)
        return "seen"


@pytest.mark.parametrize(
    ("url", "connected"),
    [
        ("http://Example.COM/", ["example.com"]),
        ("http://example.com./", ["example.com."]),
        ("http://example.com../", ["example.com."]),  # aiohttp takes the dots for one
        ("https://example.com:8443/@evil.example", ["example.com"]),
        ("http://a%2eb.example/", ["a%2eb.example"]),  # decoded by neither
        ("http://192.0.2.7:80/", ["192.0.2.7"]),
        ("http://0xc0.0x207/", ["192.0.2.7"]),
        ("http://0300.0.2.7/", []),  # more ways to write an address, which the client refuses
        ("http://3221225991/", []),
        ("http://[2001:DB8::7]/", ["2001:db8::7"]),
        ("http://[::ffff:192.0.2.7]/", ["::ffff:192.0.2.7"]),
    ],
)
async def test_what_is_judged_is_what_is_connected(url: str, connected: list[str]) -> None:
    """The host that the client looks up, or the address that it connects to, is the one judged."""
    seen = Seen()
    client = GuardedClient(ClientConfig(), Watching(seen), resolver=seen)
    with pytest.raises(SluiceError):
        await client.send(Request("GET", url), ACME)
    await client.aclose()
    judged = Host.parse(host_of(url))
    assert {Host.parse(host) for host in seen.hosts} <= {judged}
    assert seen.hosts == connected
