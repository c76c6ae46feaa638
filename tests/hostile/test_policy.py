"""Ways to write a host so that an egress policy takes it for another: each is judged as what it is.

`evil.test`, loopback and a few others are denied, or `ok.test` alone is allowed. No name here
resolves, so a subrequest that slips through fails with another error.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import pytest_asyncio

from services.outbound import policy
from services.outbound.policy import Result
from sluice.http1.malformed import MalformedError
from sluice.http1.target import url_of
from sluice.mesh.channel import dial
from sluice.pb import outbound_pb2_grpc
from sluice.pb.outbound_pb2 import OutboundFetchRequest
from sluice.pb.registry_pb2 import CreateNamespaceRequest
from sluice.pb.worker_pb2 import EgressPolicy, HostList, OutboundBinding
from tests.contract.failure import failure_of
from tests.e2e.mesh import Mesh, dispatch_bundle, es_module

DENIED = EgressPolicy(
    denied_hosts=["evil.test", "*.evil.test", "b\u00fccher.test", "127.0.0.0/8", "2001:db8::/32"]
)
ALLOWED = EgressPolicy(allowed_hosts=HostList(patterns=["ok.test", "*.ok.test"]))

REFUSED = "is prohibited as a destination by the platform's policy"
INVALID_URL = "TypeError: Fetch API cannot load"

ATTACKER = """import http from 'node:http';
const attacks = { %s };
export default { async fetch(request) {
  try { const response = await attacks[new URL(request.url).pathname.slice(1)]();
    return new Response(`got ${response.status}`) }
  catch (error) { return new Response(`${error.name}: ${error.message}`) } } }"""

# What a Worker writes, and the host that it is refused for. Its URLs have been through the runtime.
AGAINST_DENIED = [
    ("upper case", "fetch('http://EVIL.Test/')", "evil.test"),
    ("upper case scheme", "fetch('HTTP://EVIL.TEST')", "evil.test"),
    ("the root's dot", "fetch('http://evil.test./')", "evil.test."),
    ("below", "fetch('http://a.b.evil.test/')", "a.b.evil.test"),
    ("a port", "fetch('http://evil.test:8080/')", "evil.test"),
    ("https", "fetch('https://evil.test/')", "evil.test"),
    ("userinfo", "fetch('http://ok.test@evil.test/')", "evil.test"),
    ("userinfo with a port", "fetch('http://ok.test:80@evil.test/')", "evil.test"),
    ("userinfo, encoded", "fetch('http://ok.test%2f@evil.test/')", "evil.test"),
    ("backslashes", "fetch('http:\\\\\\\\evil.test\\\\')", "evil.test"),
    ("a backslash before @", "fetch('http://evil.test\\\\@ok.test/')", "evil.test"),
    ("one slash", "fetch('http:/evil.test')", "evil.test"),
    ("no slash", "fetch('http:evil.test')", "evil.test"),
    ("four slashes", "fetch('http:////evil.test')", "evil.test"),
    ("a tab in the name", "fetch('http://ev\\til.test/')", "evil.test"),
    ("a line feed in the name", "fetch('http://ev\\nil.test/')", "evil.test"),
    ("percent-encoding", "fetch('http://%65vil.test/')", "evil.test"),
    ("an encoded dot", "fetch('http://evil%2etest/')", "evil.test"),
    ("fullwidth letters", "fetch('http://\\uff45vil.test/')", "evil.test"),
    ("a fullwidth dot", "fetch('http://evil\\uff0etest/')", "evil.test"),
    ("an ideographic dot", "fetch('http://evil\\u3002test/')", "evil.test"),
    ("a soft hyphen", "fetch('http://e\\u00advil.test/')", "evil.test"),
    ("a circled letter", "fetch('http://\\u24d4vil.test/')", "evil.test"),
    ("a name in Unicode", "fetch('http://b\\u00fccher.test/')", "xn--bcher-kva.test"),
    ("the same, decomposed", "fetch('http://bu\\u0308cher.test/')", "xn--bcher-kva.test"),
    ("the same, punycode", "fetch('http://XN--BCHER-KVA.test/')", "xn--bcher-kva.test"),
    ("a fragment", "fetch('http://evil.test#@ok.test/')", "evil.test"),
    ("a query", "fetch('http://evil.test?@ok.test/')", "evil.test"),
    ("a path", "fetch('http://evil.test/@ok.test/')", "evil.test"),
    ("IPv4, short", "fetch('http://127.1/')", "127.0.0.1"),
    ("IPv4, one number", "fetch('http://2130706433/')", "127.0.0.1"),
    ("IPv4, hexadecimal", "fetch('http://0x7f.1/')", "127.0.0.1"),
    ("IPv4, octal", "fetch('http://0177.0.0.1/')", "127.0.0.1"),
    ("IPv4, with the root's dot", "fetch('http://127.0.0.1./')", "127.0.0.1"),
    ("IPv4, fullwidth digits", "fetch('http://\\uff11\\uff12\\uff17.0.0.1/')", "127.0.0.1"),
    ("IPv4 in IPv6", "fetch('http://[::ffff:127.0.0.1]/')", "::ffff:7f00:1"),
    ("IPv6, written out", "fetch('http://[2001:0DB8:0::0:1]/')", "2001:db8::1"),
    ("a Host header", "fetch('http://evil.test/', { headers: { host: 'ok.test' } })", "evil.test"),
    ("a Request with another Host", "fetch(new Request('http://evil.test/', { headers: { Host: 'ok.test' } }))", "evil.test"),
    ("resolveOverride", "fetch('http://evil.test/', { cf: { resolveOverride: 'ok.test' } })", "evil.test"),
    ("a policy of its own", "fetch('http://evil.test/', { headers: { 'x-sluice-egress': '{}', 'x-sluice-token': 'x' } })", "evil.test"),
    ("node:http", "new Promise((ok, no) => http.get({ host: 'evil.test', headers: { host: 'ok.test' } }, ok).on('error', no))", "evil.test"),
]  # fmt: skip

AGAINST_ALLOWED = [
    ("a name below another", "fetch('http://ok.test.evil.test/')", "ok.test.evil.test"),
    ("a name that ends alike", "fetch('http://evilok.test/')", "evilok.test"),
    ("a path", "fetch('http://evil.test/.ok.test')", "evil.test"),
    ("a query", "fetch('http://evil.test?.ok.test')", "evil.test"),
    ("a fragment", "fetch('http://evil.test#.ok.test')", "evil.test"),
    ("userinfo", "fetch('http://ok.test@evil.test/')", "evil.test"),
    ("a port as userinfo", "fetch('http://ok.test:443@evil.test/')", "evil.test"),
    ("a backslash", "fetch('http://evil.test\\\\.ok.test/')", "evil.test"),
    ("an encoded dot", "fetch('http://ok.test%2eevil.test/')", "ok.test.evil.test"),
    ("an encoded slash", "fetch('http://evil.test%2f.ok.test/')", None),
    ("an encoded NUL", "fetch('http://evil.test%00.ok.test/')", None),
    ("an encoded @", "fetch('http://ok.test%40evil.test/')", None),
    ("a space", "fetch('http://evil.test .ok.test/')", None),
    ("an address", "fetch('http://127.0.0.1/')", "127.0.0.1"),
    ("a Host header", "fetch('http://evil.test/', { headers: { host: 'ok.test' } })", "evil.test"),
    ("a letter that looks alike", "fetch('http://\\u043ek.test/')", "xn--k-0tb.test"),
]  # fmt: skip


async def _attacked(mesh: Mesh, name: str, egress: EgressPolicy, attacks: Sequence[Any]) -> str:
    """A dispatch namespace with that policy, and the Worker that runs the attacks in it."""
    await mesh.registry.CreateNamespace(CreateNamespaceRequest(name=name, egress=egress))
    listed = ",\n".join(f"{at}: () => {row[1]}" for at, row in enumerate(attacks))
    bundle = es_module(ATTACKER % listed, compatibility_flags=["nodejs_compat"])
    await mesh.deploy("acme", bundle, name)
    return name


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def denied(shared_mesh: Mesh) -> str:
    """A namespace that may not reach what `DENIED` says."""
    return await _attacked(shared_mesh, "denied", DENIED, AGAINST_DENIED)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def allowed(shared_mesh: Mesh) -> str:
    """A namespace that may reach only what `ALLOWED` says."""
    return await _attacked(shared_mesh, "allowed", ALLOWED, AGAINST_ALLOWED)


@pytest_asyncio.fixture(loop_scope="session")
async def denying(mesh: Mesh, denied: str) -> Mesh:
    """The mesh, dispatching to `denied`."""
    await mesh.deploy("dispatch", dispatch_bundle(dispatch_namespace=denied))
    return mesh


@pytest_asyncio.fixture(loop_scope="session")
async def allowing(mesh: Mesh, allowed: str) -> Mesh:
    """The mesh, dispatching to `allowed`."""
    await mesh.deploy("dispatch", dispatch_bundle(dispatch_namespace=allowed))
    return mesh


@pytest.mark.parametrize(
    ("at", "host"),
    [(at, row[2]) for at, row in enumerate(AGAINST_DENIED)],
    ids=[row[0] for row in AGAINST_DENIED],
)
async def test_denied_however_it_is_written(denying: Mesh, at: int, host: str) -> None:
    """A denied host is refused in every way to write it, and the log says by which pattern."""
    assert await denying.get("acme.example.com", f"/{at}") == (200, f"Error: {host} {REFUSED}")
    line = await denying.services["outbound"].line(event="subrequest")
    assert (line["decision"], line["reason"]) == ("deny", "DESTINATION_PROHIBITED")
    assert line["policy"].startswith("namespace deniedHosts: ")


@pytest.mark.parametrize(
    ("at", "host"),
    [(at, row[2]) for at, row in enumerate(AGAINST_ALLOWED)],
    ids=[row[0] for row in AGAINST_ALLOWED],
)
async def test_only_what_is_allowed(allowing: Mesh, at: int, host: str | None) -> None:
    """A host that only looks like an allowed one is refused, or is no host to the runtime."""
    status, text = await allowing.get("acme.example.com", f"/{at}")
    assert status == 200
    if host is None:
        assert text.startswith("TypeError: "), text
    else:
        assert text == f"Error: {host} {REFUSED}"
        line = await allowing.services["outbound"].line(event="subrequest")
        assert line["policy"] == "namespace allowedHosts: no match"


# URLs as no runtime writes them, by whoever speaks gRPC, or owns a runner's process.
BY_HAND = [
    ("http://EVIL.TEST./", "DESTINATION_PROHIBITED"),
    ("http://evil.test../", "DESTINATION_PROHIBITED"),  # aiohttp takes these dots for one
    ("http://evil.test:/", "DESTINATION_PROHIBITED"),  # an empty port
    ("http://evil.test:00080/", "DESTINATION_PROHIBITED"),
    ("http://127.1/", "DESTINATION_PROHIBITED"),
    ("http://0x7F000001/", "DESTINATION_PROHIBITED"),
    ("http://017700000001/", "DESTINATION_PROHIBITED"),
    ("http://127.0.0.1./", "DESTINATION_PROHIBITED"),
    ("http://[::ffff:127.0.0.1]/", "DESTINATION_PROHIBITED"),
    ("http://[0:0:0:0:0:ffff:7f00:0001]/", "DESTINATION_PROHIBITED"),
    ("http://[2001:db8::1]:443/", "DESTINATION_PROHIBITED"),
    ("http://xn--bcher-kva.test/", "DESTINATION_PROHIBITED"),
    ("http://ok.test@evil.test/", "INVALID_REQUEST"),
    ("http://ok.test\\@evil.test/", "INVALID_REQUEST"),  # parsers disagree
    ("http://evil.test\\.ok.test/", "INVALID_REQUEST"),
    ("http://evil.test#@ok.test/", "INVALID_REQUEST"),
    ("http://ok.test/\r\nhost: evil.test", "INVALID_REQUEST"),
    ("http://ok.test /", "INVALID_REQUEST"),
    ("http://\uff45vil.test/", "INVALID_REQUEST"),  # fullwidth: nobody here maps it
    ("http://evil\u3002test/", "INVALID_REQUEST"),
    ("http://[::1/", "INVALID_REQUEST"),
    ("http://[evil.test]/", "INVALID_REQUEST"),  # brackets are for addresses
    ("http://evil.test:99999/", "INVALID_REQUEST"),
    ("//evil.test/", "INVALID_REQUEST"),
    ("evil.test", "INVALID_REQUEST"),
]


async def _by_hand(mesh: Mesh, **head: Any) -> tuple[str, str]:
    """Reason and message of an OutboundFetch that is made by hand."""
    request = OutboundFetchRequest(
        subrequest={
            "worker": {"dispatch_namespace": "production", "name": "acme"},
            "outbound": OutboundBinding(namespace_egress=DENIED),
        },
        head={"method": "GET", **head},
    )
    async with dial(mesh.grpc["outbound"]) as channel:
        stub = outbound_pb2_grpc.OutboundServiceStub(channel)
        _, reason, message = await failure_of(stub.OutboundFetch(request))
    return reason, message


@pytest.mark.parametrize(("url", "reason"), BY_HAND)
async def test_by_hand(mesh: Mesh, url: str, reason: str) -> None:
    """A URL is judged for the host that would be connected to, or is refused as no URL."""
    got, message = await _by_hand(mesh, url=url)
    assert got == reason, message
    if reason == "DESTINATION_PROHIBITED":
        assert message.endswith(REFUSED)  # by the policy, before the guard saw an address


async def test_host_header_by_hand(mesh: Mesh) -> None:
    """There is no second host to be told apart from the first: a Host header is refused."""
    headers = [{"name": "host", "value": b"evil.test"}]
    reason, message = await _by_hand(mesh, url="http://ok.test/", headers=headers)
    assert (reason, "host" in message) == ("INVALID_REQUEST", True)


@pytest.mark.parametrize(
    ("target", "hosts", "result"),
    [
        ("/", [b"evil.test"], Result.DENY),
        ("http://evil.test/", [b"ok.test"], Result.DENY),  # the target overrides Host
        ("http://ok.test/", [b"evil.test"], Result.ALLOW),  # and goes to ok.test, Host and all
        ("/http://ok.test/", [b"evil.test"], Result.DENY),
        ("//ok.test/", [b"evil.test"], Result.DENY),  # a path of two slashes
        ("/", [b"ok.test", b"evil.test"], None),
        ("/", [b"ok.test, evil.test"], None),
        ("/", [b"ok.test@evil.test"], None),
        ("http://ok.test@evil.test/", [], None),
        ("@evil.test/", [b"ok.test"], None),
        ("evil.test:80", [b"ok.test"], None),  # a CONNECT's
    ],
)
async def test_egress_socket(target: str, hosts: list[bytes], result: Result | None) -> None:
    """A process that speaks HTTP by itself is judged by the one URL that its request is for."""
    outbound = OutboundBinding(namespace_egress=DENIED)
    if result is None:
        with pytest.raises(MalformedError):
            url_of(target, hosts, "http")
        return
    decision = policy.judge(outbound, url_of(target, hosts, "http"))
    assert decision is not None
    assert decision.result is result


async def test_user_code_sees_no_list(denying: Mesh) -> None:
    """A refusal tells the Worker its own host, and nothing of the lists."""
    _, text = await denying.get("acme.example.com", "/3")
    assert text == f"Error: a.b.evil.test {REFUSED}"
    assert "*" not in text
