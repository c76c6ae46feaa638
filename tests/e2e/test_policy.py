"""Egress policies of namespaces and bindings, through the three services."""

from __future__ import annotations

import asyncio
import json
from itertools import count
from typing import Any

import pytest
from aiohttp import web

from sluice.pb.registry_pb2 import CreateNamespaceRequest, UpdateNamespaceRequest
from sluice.pb.worker_pb2 import EgressPolicy, HostList
from tests.e2e.chain import Chain
from tests.e2e.languages import JAVASCRIPT
from tests.e2e.mesh import Mesh
from tests.e2e.origin import Origin
from tests.e2e.twin import twin

EVIL = EgressPolicy(denied_hosts=["evil.test", "*.evil.test"])
NOTHING = EgressPolicy(allowed_hosts=HostList())
HERE = EgressPolicy(allowed_hosts=HostList(patterns=["127.0.0.1"]))

_namespaces = (f"guarded-{number}" for number in count())


def refused(host: str) -> str:
    """What the user Worker's `fetch()` throws."""
    return f"Error: {host} is prohibited as a destination by the platform's policy"


class Guarded:
    """A dispatch namespace of the test's own, with the Worker `acme` in it."""

    def __init__(self, chain: Chain) -> None:
        self.chain = chain
        self.name = next(_namespaces)

    async def create(
        self,
        namespace: EgressPolicy | None = None,
        binding: EgressPolicy | None = None,
        **more: Any,
    ) -> None:
        """Set it up, with these policies."""
        request = CreateNamespaceRequest(name=self.name, egress=namespace)
        await self.chain.mesh.registry.CreateNamespace(request)
        await self.bind("by_host", egress=binding, **more)
        await self.chain.outbound("forwards")
        await self.chain.user("asks_each", namespace=self.name)

    async def bind(self, dispatch: str, **binding: Any) -> None:
        """Deploy the dispatch Worker, with a binding to the namespace."""
        await self.chain.dispatch(dispatch, dispatch_namespace=self.name, **binding)

    async def ask(self, *urls: str) -> list[str]:
        """What each of the Worker's fetches came to."""
        return await self.chain.ask_each(*urls)

    async def update(self, policy: EgressPolicy | None) -> None:
        """Change the namespace's policy."""
        request = UpdateNamespaceRequest(name=self.name, egress=policy)
        await self.chain.mesh.registry.UpdateNamespace(request)

    async def line(self, **fields: Any) -> dict[str, Any]:
        """The egress line with these fields."""
        return await self.chain.line(event="subrequest", dispatch_namespace=self.name, **fields)

    def outbound_ran(self) -> bool:
        """Whether the Outbound Worker said so."""
        return "outbound ran" in str(self.chain.mesh.services["outbound"].lines)


@pytest.fixture
def guarded(chain: Chain) -> Guarded:
    """A namespace that is not there yet."""
    return Guarded(chain)


@pytest.mark.parametrize(
    ("namespace", "binding", "why"),
    [
        (EVIL, None, "namespace deniedHosts: *.evil.test"),
        (None, EVIL, "binding deniedHosts: *.evil.test"),
        (NOTHING, None, "namespace allowedHosts: no match"),
        (HERE, EVIL, "namespace allowedHosts: no match; binding deniedHosts: *.evil.test"),
    ],
)
async def test_refused_before_the_outbound_worker(
    guarded: Guarded, namespace: EgressPolicy | None, binding: EgressPolicy | None, why: str
) -> None:
    """A refused subrequest throws the host at the user, the pattern into the log, and runs nothing."""
    await guarded.create(namespace, binding)
    assert await guarded.ask("https://a.evil.test/x") == [refused("a.evil.test")]
    line = await guarded.line(decision="deny")
    assert (line["reason"], line["policy"]) == ("DESTINATION_PROHIBITED", why)
    assert (line["worker"], line["url"]) == ("acme", "https://a.evil.test/x")
    assert not guarded.outbound_ran()


async def test_host_passes_both(guarded: Guarded, origin: Origin) -> None:
    """What both policies let through goes its way, and the line says what let it."""
    await guarded.create(EVIL, HERE)
    assert await guarded.ask(origin.url, "https://other.test/") == [
        "200 origin",
        refused("other.test"),
    ]
    line = await guarded.line(decision="allow")
    assert line["policy"] == "namespace deniedHosts: no match; binding allowedHosts: 127.0.0.1"


async def test_without_an_outbound_worker(guarded: Guarded, origin: Origin) -> None:
    """Policies hold for bindings without `outbound`, too."""
    await guarded.create(EVIL, HERE, outbound_service="", outbound_parameters=[])
    asked = [origin.url, "http://evil.test/", "http://other.test/"]
    assert await guarded.ask(*asked) == ["200 origin", refused("evil.test"), refused("other.test")]


async def test_own_fetch_of_the_outbound_worker(guarded: Guarded, origin: Origin) -> None:
    """Policies are for customers: what the Outbound Worker asks for itself is the platform's."""
    policy = EgressPolicy(allowed_hosts=HostList(patterns=["api.test"]))
    await guarded.create(policy)
    await guarded.chain.user("asks", namespace=guarded.name)
    await guarded.chain.outbound("asks")
    elsewhere = {"x-ask": json.dumps({"url": f"{origin.url}/log"})}
    assert await guarded.chain.ask("https://api.test/", headers=elsewhere) == (200, "origin")
    await guarded.chain.user("asks_each", namespace=guarded.name)
    assert await guarded.ask(origin.url) == [refused("127.0.0.1")]


async def test_report(guarded: Guarded, origin: Origin) -> None:
    """In mode report everything goes its way, and the log says what would not have."""
    policy = EgressPolicy(mode=EgressPolicy.MODE_REPORT, denied_hosts=["127.0.0.1"])
    await guarded.create(policy)
    assert await guarded.ask(f"{origin.url}/a") == ["200 origin"]
    line = await guarded.line(decision="report", status=200)
    assert (line["reason"], line["policy"]) == (None, "namespace deniedHosts: 127.0.0.1")
    assert guarded.outbound_ran()


async def test_report_does_not_open_the_guard(guarded: Guarded) -> None:
    """What the guard refuses stays refused, whatever a policy says."""
    policy = EgressPolicy(
        mode=EgressPolicy.MODE_REPORT, allowed_hosts=HostList(patterns=["10.0.0.1"])
    )
    await guarded.create(policy, outbound_service="", outbound_parameters=[])
    (said,) = await guarded.ask("http://10.0.0.1/")
    assert said.startswith(
        "Error: 10.0.0.1 is prohibited as a destination: it is a private address"
    )
    line = await guarded.line(decision="deny")
    assert line["policy"] == "namespace allowedHosts: 10.0.0.1"


async def test_redirect_to_a_denied_host(guarded: Guarded, origin: Origin) -> None:
    """A redirect hop is a subrequest of its own: an allowed host cannot lead on to a denied one."""

    async def away(_: web.Request) -> web.StreamResponse:
        raise web.HTTPFound("http://evil.test/prize")

    origin.answer = away
    await guarded.create(EVIL)
    assert await guarded.ask(origin.url) == [refused("evil.test")]
    assert len(origin.received) == 1
    assert (await guarded.line(decision="allow"))["status"] == 302
    assert (await guarded.line(decision="deny"))["url"] == "http://evil.test/prize"


@pytest.mark.parametrize(
    "opens",
    [
        "await fetch('http://evil.test/', { headers: { upgrade: 'websocket' } })",
        "await new Promise((_, no) => { new WebSocket('ws://evil.test/').onerror = no })",
        "await new Promise((_, no) => { new EventSource('http://evil.test/').onerror = no })",
    ],
)
async def test_other_ways_to_ask(mesh: Mesh, opens: str) -> None:
    """WebSockets and event sources, which only JavaScript has, are subrequests like any."""
    guarded = Guarded(Chain(mesh, JAVASCRIPT))
    await guarded.create(EVIL)
    acme = f"export default {{ async fetch() {{ try {{ {opens} }} catch (e) {{ return new Response('thrown') }} }} }}"
    await mesh.deploy("acme", acme, guarded.name)
    assert await guarded.chain.get() == (200, "thrown")
    line = await guarded.line(decision="deny")
    assert line["policy"] == "namespace deniedHosts: evil.test"


async def test_change_while_running(guarded: Guarded, origin: Origin) -> None:
    """A policy holds from the next request on, without a deploy or a restart."""
    await guarded.create()
    for policy, said in [
        (NOTHING, refused("127.0.0.1")),
        (HERE, "200 origin"),
        (EgressPolicy(denied_hosts=["*"]), refused("127.0.0.1")),
        (None, "200 origin"),
    ]:
        await guarded.update(policy)
        assert await guarded.ask(origin.url) == [said]


async def test_change_of_the_binding(guarded: Guarded, origin: Origin) -> None:
    """A binding's policy is the dispatch Worker's: a deploy of that changes it."""
    await guarded.create(binding=NOTHING)
    assert await guarded.ask(origin.url) == [refused("127.0.0.1")]
    await guarded.bind("by_host", egress=HERE)
    assert await guarded.ask(origin.url) == ["200 origin"]


async def test_request_in_flight_keeps_its_policy(guarded: Guarded, origin: Origin) -> None:
    """An invocation finishes under the policy that it began with."""
    go = asyncio.Event()

    async def hold(_: web.Request) -> web.StreamResponse:
        await go.wait()
        return web.Response(text="origin")

    origin.answer = hold
    await guarded.create()
    old = asyncio.create_task(guarded.ask(f"{origin.url}/1", f"{origin.url}/2"))
    await origin.until(1)
    await guarded.update(NOTHING)
    assert await guarded.ask(origin.url) == [refused("127.0.0.1")]
    go.set()
    assert await old == ["200 origin", "200 origin"]


async def test_bindings_side_by_side(guarded: Guarded, origin: Origin) -> None:
    """Two bindings to one namespace have a policy each, and neither holds for the other."""
    await guarded.create()
    name, mesh = guarded.name, guarded.chain.mesh
    bundle = twin("by_binding", guarded.chain.languages.dispatch)
    bundle.dispatch_namespaces.add(binding="strict", dispatch_namespace=name, egress=NOTHING)
    bundle.dispatch_namespaces.add(binding="open", dispatch_namespace=name)
    await mesh.deploy("dispatch", bundle)
    headers = {"x-ask": json.dumps([origin.url])}
    for host, said in [("strict", refused("127.0.0.1")), ("open", "200 origin")]:
        _, text = await mesh.get(f"{host}.example.com", headers=headers)
        assert json.loads(text) == [said]
