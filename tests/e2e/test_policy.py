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
from tests.e2e.mesh import Mesh, dispatch_bundle
from tests.e2e.origin import Origin

FETCHER = """export default { async fetch(request) {
  const said = [];
  for (const url of JSON.parse(request.headers.get('x-ask'))) {
    try { const r = await fetch(url); said.push(`${r.status} ${await r.text()}`) }
    catch (error) { said.push(`${error.name}: ${error.message}`) }
  }
  return Response.json(said); } }"""
OUTBOUND = (
    "export default { fetch(request) { console.log('outbound ran'); return fetch(request) } }"
)

EVIL = EgressPolicy(denied_hosts=["evil.test", "*.evil.test"])
NOTHING = EgressPolicy(allowed_hosts=HostList())
HERE = EgressPolicy(allowed_hosts=HostList(patterns=["127.0.0.1"]))

_namespaces = (f"guarded-{number}" for number in count())


def refused(host: str) -> str:
    """What the user Worker's `fetch()` throws."""
    return f"Error: {host} is prohibited as a destination by the platform's policy"


class Guarded:
    """A dispatch namespace of the test's own, with the Worker `acme` in it."""

    def __init__(self, mesh: Mesh) -> None:
        self.mesh = mesh
        self.name = next(_namespaces)

    async def create(
        self,
        namespace: EgressPolicy | None = None,
        binding: EgressPolicy | None = None,
        *,
        outbound: str = OUTBOUND,
        acme: str = FETCHER,
        **more: Any,
    ) -> None:
        """Set it up, with these policies."""
        mesh = self.mesh
        request = CreateNamespaceRequest(name=self.name, egress=namespace)
        await mesh.registry.CreateNamespace(request)
        bundle = dispatch_bundle(dispatch_namespace=self.name, egress=binding, **more)
        await mesh.deploy("dispatch", bundle)
        await mesh.deploy("outbound", outbound)
        await mesh.deploy("acme", acme, self.name)

    async def update(self, policy: EgressPolicy | None) -> None:
        """Change the namespace's policy."""
        request = UpdateNamespaceRequest(name=self.name, egress=policy)
        await self.mesh.registry.UpdateNamespace(request)

    async def ask(self, *urls: str) -> list[str]:
        """What each of the Worker's fetches came to."""
        status, text = await self.mesh.get(
            "acme.example.com", headers={"x-ask": json.dumps(list(urls))}
        )
        assert status == 200, text
        found: list[str] = json.loads(text)
        return found

    async def line(self, **fields: Any) -> dict[str, Any]:
        """The egress line with these fields."""
        service = self.mesh.services["outbound"]
        return await service.line(event="subrequest", dispatch_namespace=self.name, **fields)


@pytest.fixture
def guarded(mesh: Mesh) -> Guarded:
    """A namespace that is not there yet."""
    return Guarded(mesh)


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
    assert not [
        line for line in guarded.mesh.services["outbound"].lines if "outbound ran" in str(line)
    ]


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
    elsewhere = f"export default {{ fetch: () => fetch('{origin.url}/log') }}"
    policy = EgressPolicy(allowed_hosts=HostList(patterns=["api.test"]))
    await guarded.create(policy, outbound=elsewhere)
    assert await guarded.ask("https://api.test/") == ["200 origin"]
    assert await guarded.ask(origin.url) == [refused("127.0.0.1")]


async def test_report(guarded: Guarded, origin: Origin) -> None:
    """In mode report everything goes its way, and the log says what would not have."""
    policy = EgressPolicy(mode=EgressPolicy.MODE_REPORT, denied_hosts=["127.0.0.1"])
    await guarded.create(policy)
    assert await guarded.ask(f"{origin.url}/a") == ["200 origin"]
    line = await guarded.line(decision="report", status=200)
    assert (line["reason"], line["policy"]) == (None, "namespace deniedHosts: 127.0.0.1")
    assert "outbound ran" in str(guarded.mesh.services["outbound"].lines)


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
async def test_other_ways_to_ask(guarded: Guarded, opens: str) -> None:
    """WebSockets and event sources are subrequests like any."""
    acme = f"export default {{ async fetch() {{ try {{ {opens} }} catch (e) {{ return new Response('thrown') }} }} }}"
    await guarded.create(EVIL, acme=acme)
    assert await guarded.mesh.get("acme.example.com") == (200, "thrown")
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
    bundle = dispatch_bundle(dispatch_namespace=guarded.name, egress=HERE)
    await guarded.mesh.deploy("dispatch", bundle)
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
    source = """export default { fetch(request, env) {
      const name = new URL(request.url).host.split('.')[0];
      return env[name].get('acme').fetch(request); } }"""
    await guarded.create()
    bundle = dispatch_bundle(
        source, binding="strict", dispatch_namespace=guarded.name, egress=NOTHING
    )
    bundle.dispatch_namespaces.add(binding="open", dispatch_namespace=guarded.name)
    await guarded.mesh.deploy("dispatch", bundle)
    headers = {"x-ask": json.dumps([origin.url])}
    for host, said in [("strict", refused("127.0.0.1")), ("open", "200 origin")]:
        _, text = await guarded.mesh.get(f"{host}.example.com", headers=headers)
        assert json.loads(text) == [said]
