"""Addresses that are not public, in every way to write them and to come by them: each is refused.

`127.0.0.1` itself is allowed, as for `sluice dev`: what only stands for it is not.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import pytest_asyncio

from services.outbound import config as outbound_config
from services.outbound.service import OutboundService
from sluice.mesh.channel import dial
from sluice.pb import outbound_pb2_grpc
from sluice.pb.outbound_pb2 import OutboundFetchRequest
from sluice.wire.errors import Reason, SluiceError
from sluice.wire.messages import Request
from tests.contract.failure import failure_of
from tests.e2e.mesh import Mesh, es_module
from tests.hostile.egress import HOARDER, MakeClient, text
from tests.outbound.calls import Scripted
from tests.outbound.origins import Recorder, Serve

METADATA = "a link-local (cloud metadata) address"

# What a Worker writes as a host, and what the guard takes it for. The runtime has read it before.
INSIDE = [
    ("169.254.169.254", METADATA),
    ("169.254.169.254.", METADATA),  # the root's dot
    ("2852039166", METADATA),
    ("0xa9fea9fe", METADATA),
    ("0xA9.0xFE.0xA9.0xFE", METADATA),
    ("0251.0376.0251.0376", METADATA),
    ("169.254.43518", METADATA),
    ("%31%36%39.254.169.254", METADATA),
    ("\\uff11\\uff16\\uff19.254.169.254", METADATA),  # fullwidth digits
    ("\\u2460\\u2465\\u2468.254.169.254", METADATA),  # circled ones
    ("169\\u3002254\\u3002169\\u3002254", METADATA),  # ideographic dots
    ("user:pass@169.254.169.254", METADATA),
    ("public.test@169.254.169.254", METADATA),
    ("169.254.170.2", METADATA),  # credentials of ECS tasks
    ("168.63.129.16", "the platform address of Azure"),
    ("100.100.100.200", "a shared (carrier-grade NAT) address"),  # metadata of Alibaba Cloud
    ("192.0.0.192", "an IETF protocol address"),  # metadata of Oracle Cloud
    ("127.0.0.2", "a loopback address"),  # next to the one that is allowed
    ("127.255.255.254", "a loopback address"),
    ("0", "an address of this network"),
    ("0.0.0.0", "an address of this network"),
    ("10.0.0.1", "a private address"),
    ("172.16.0.1", "a private address"),
    ("172.31.255.255", "a private address"),
    ("192.168.0.1", "a private address"),
    ("3232235521", "a private address"),  # 192.168.0.1
    ("100.64.0.1", "a shared (carrier-grade NAT) address"),
    ("192.0.2.1", "a documentation address"),
    ("198.18.0.1", "a benchmarking address"),
    ("224.0.0.1", "a multicast address"),
    ("240.0.0.1", "a reserved address"),
    ("255.255.255.255", "the broadcast address"),
    ("4294967295", "the broadcast address"),
    ("[::]", "the unspecified address"),
    ("[::1]", "a loopback address"),
    ("[0:0:0:0:0:0:0:1]", "a loopback address"),
    ("[::ffff:127.0.0.1]", "the IPv4-mapped form of a loopback address"),
    ("[::ffff:169.254.169.254]", f"the IPv4-mapped form of {METADATA}"),
    ("[0:0:0:0:0:ffff:a9fe:a9fe]", f"the IPv4-mapped form of {METADATA}"),
    ("[::ffff:1.1.1.1]", "the IPv4-mapped form of a public address"),
    ("[::127.0.0.1]", "an IPv4-compatible address"),
    ("[::ffff:0:127.0.0.1]", "an IPv4-translated address"),
    ("[64:ff9b::127.0.0.1]", "the NAT64 of a loopback address"),
    ("[64:ff9b::a9fe:a9fe]", f"the NAT64 of {METADATA}"),
    ("[64:ff9b::10.0.0.1]", "the NAT64 of a private address"),
    ("[64:ff9b:1::a9fe:a9fe]", "a local NAT64 address"),
    ("[2002:7f00:1::1]", "the 6to4 form of a loopback address"),
    ("[2002:a9fe:a9fe::]", f"the 6to4 form of {METADATA}"),
    ("[2001:0:4136:e378:8000:63bf:80ff:fffe]", "the Teredo form of a loopback address"),
    ("[fd00:ec2::254]", "a unique local address"),  # metadata of AWS
    ("[fc00::1]", "a unique local address"),
    ("[fe80::1]", "a link-local address"),
    ("[fec0::1]", "a site-local address"),
    ("[ff02::1]", "a multicast address"),
    ("[2001:db8::1]", "a documentation address"),
    ("[100::1]", "a discard address"),
    ("[4000::1]", "outside global unicast"),
]  # fmt: skip

# By what a Worker asks. The Outbound Worker passes each on.
WAYS = {
    "fetch": "await fetch('http://%s/')",
    "TLS": "await fetch('https://%s/')",
    "a body": "await fetch('http://%s/', { method: 'POST', body: 'x' })",
    "a WebSocket": "await fetch('http://%s/', { headers: { upgrade: 'websocket' } })",
    "node:http": "await new Promise((ok, no) => http.get('http://%s/', ok).on('error', no))",
}

ASKER = """import http from 'node:http';
const asks = [ %s ];
export default { async fetch(request) {
  try { await asks[new URL(request.url).pathname.slice(1)](); return new Response('got there') }
  catch (error) { return new Response(error.message) } } }"""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def asker(shared_mesh: Mesh) -> None:
    """The Worker that asks, by the number of its path."""
    asks = [WAYS["fetch"] % host for host, _ in INSIDE]
    asks += [way % "169.254.169.254" for way in WAYS.values()]
    listed = ",\n".join(f"async () => {{ {ask} }}" for ask in asks)
    bundle = es_module(ASKER % listed, compatibility_flags=["nodejs_compat"])
    await shared_mesh.deploy("asker", bundle, "production")


async def refused(mesh: Mesh, at: int, why: str) -> None:
    """The Worker is told why, and so is the log."""
    status, said = await mesh.get("asker.test", f"/{at}")
    assert status == 200
    assert said.endswith(f" is prohibited as a destination: it is {why}"), said
    line = await mesh.services["outbound"].line(event="subrequest")
    assert line["decision"] == "deny"
    assert line["detail"] == said


@pytest.mark.usefixtures("asker")
@pytest.mark.parametrize(
    ("at", "why"),
    [(at, why) for at, (_, why) in enumerate(INSIDE)],
    ids=[host for host, _ in INSIDE],
)
async def test_host_in_any_form(mesh: Mesh, at: int, why: str) -> None:
    """However it is written, it is refused for the address that it is."""
    await refused(mesh, at, why)


@pytest.mark.usefixtures("asker")
@pytest.mark.parametrize("way", WAYS)
async def test_way(mesh: Mesh, way: str) -> None:
    """However it is asked for, it is refused."""
    await refused(mesh, len(INSIDE) + list(WAYS).index(way), METADATA)


# What a name resolves to, and what it is refused for; the first of several.
ANSWERS = [
    (["169.254.169.254"], METADATA),
    (["10.0.0.1", "192.168.0.1"], "a private address"),
    (["::1"], "a loopback address"),
    (["::ffff:127.0.0.1"], "the IPv4-mapped form of a loopback address"),
    (["64:ff9b::7f00:1"], "the NAT64 of a loopback address"),
    (["64:ff9b:1::7f00:1"], "a local NAT64 address"),
    (["2002:7f00:1::1"], "the 6to4 form of a loopback address"),
    (["::127.0.0.1"], "an IPv4-compatible address"),
    (["fd00:ec2::254"], "a unique local address"),
    (["fe80::1"], "a link-local address"),
    (["0.0.0.0"], "an address of this network"),
]


@pytest.mark.parametrize(("answer", "why"), ANSWERS, ids=[row[0][0] for row in ANSWERS])
async def test_name(make_client: MakeClient, serve: Serve, answer: list[str], why: str) -> None:
    """A name of the attacker's own is refused for what it resolves to, at any port."""
    origin = Recorder()
    client = make_client(resolver=Scripted(answer))
    url = f"http://name.test:{await serve(origin)}/"
    with pytest.raises(SluiceError) as caught:
        await client.send(Request("GET", url), HOARDER)
    assert caught.value.reason is Reason.DESTINATION_PROHIBITED
    assert caught.value.message == f"name.test is prohibited as a destination: it is {why}"
    assert origin.connections == 0


async def test_rebinding(make_client: MakeClient, serve: Serve) -> None:
    """A name that resolves to something else at each look is judged for each connection of its own.

    What was checked is what is connected: there is no second look in between.
    """
    origin = Recorder(close=True)
    there, inside = ["127.0.0.1"], ["169.254.169.254"]
    resolver = Scripted(there, inside, there, ["64:ff9b::a9fe:a9fe"], there)
    client = make_client(resolver=resolver, dns_ttl=0)
    request = Request("GET", f"http://rebind.test:{await serve(origin)}/")
    for turn in range(5):
        if turn % 2 == 0:
            assert await text(client, request, HOARDER) == b"ok"
            continue
        with pytest.raises(SluiceError) as caught:
            await client.send(request, HOARDER)
        assert caught.value.reason is Reason.DESTINATION_PROHIBITED
    assert (resolver.asked, origin.connections) == (5, 3)


async def test_rebinding_within_an_answer(make_client: MakeClient, serve: Serve) -> None:
    """Of the addresses of one answer those that are refused are never tried, in any order."""
    origin = Recorder(close=True)
    mixed = ["169.254.169.254", "127.0.0.1", "::1", "10.0.0.1"]
    client = make_client(resolver=Scripted(mixed))
    request = Request("GET", f"http://mixed.test:{await serve(origin)}/")
    for _ in range(4):  # each begins with another one
        assert await text(client, request, HOARDER) == b"ok"
    assert origin.connections == 4


async def test_redirect_of_a_name(make_client: MakeClient, serve: Serve) -> None:
    """A service follows no redirect, so that each hop is judged as a request of its own."""
    inside = Recorder()
    answer = b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:%d/\r\ncontent-length: 0\r\n\r\n"
    port = await serve(Recorder(answer % await serve(inside)))
    response = await make_client().send(Request("GET", f"http://127.0.0.1:{port}/"), HOARDER)
    assert response.status == 302
    await response.aclose()
    assert inside.connections == 0


async def test_own_port_that_the_system_chose(run_folder: Path) -> None:
    """The service's own listener stays closed to Workers, also at a port that nobody named."""
    folder = run_folder / "own"
    folder.mkdir()
    settings = {
        "PATH": os.environ["PATH"],
        "SLUICE_GRPC_LISTEN": "127.0.0.1:0",
        "SLUICE_ALLOW_ADDRESS": "127.0.0.1/32",
        "SLUICE_RUN_DIR": str(folder),
    }
    service = OutboundService(outbound_config.read(settings))
    address = await service.start()
    request = OutboundFetchRequest(
        subrequest={"worker": {"name": "acme"}},
        head={"method": "GET", "url": f"http://{address}/"},
    )
    try:
        async with dial(address) as channel:
            stub = outbound_pb2_grpc.OutboundServiceStub(channel)
            _, reason, message = await failure_of(stub.OutboundFetch(request))
    finally:
        await service.stop()
    assert reason == "DESTINATION_PROHIBITED"
    assert message.endswith("it is a listener of this service")
