"""A request through all three Workers and back."""

from __future__ import annotations

import json

from tests.e2e.chain import Chain
from tests.e2e.origin import Origin


async def test_request_crosses_the_mesh(chain: Chain, origin: Origin) -> None:
    """A subrequest reaches the origin with what the Outbound Worker made of its params."""
    await chain.user("asks")
    assert await chain.ask(f"{origin.url}/a?b=c") == (200, "origin")
    (received,) = origin.received
    assert received.path_qs == "/a?b=c"
    assert received.headers["x-customer"] == "acme"
    line = await chain.line(event="subrequest")
    assert line["worker"] == "acme"
    assert line["dispatch_namespace"] == "production"
    assert line["outbound_worker"] == "outbound"
    assert line["url"] == f"{origin.url}/a"
    assert (line["decision"], line["reason"], line["status"]) == ("allow", None, 200)
    assert line["bytes_received"] == 6


async def test_unknown_worker(chain: Chain) -> None:
    """An unknown name is the error that the seed's dispatch Worker makes a 404 of."""
    assert await chain.get("nobody.example.com") == (404, "")


async def test_exceptions(chain: Chain) -> None:
    """What a user Worker throws, its dispatch Worker catches: same name, same message."""
    await chain.user("throws")
    for kind in ("TypeError", "QuotaError"):
        assert await chain.get(x_kind=kind) == (500, f"{kind}: out of it")


async def test_outbound_worker_that_throws(chain: Chain) -> None:
    """What the Outbound Worker throws, the user's fetch() throws: same name, same message."""
    await chain.outbound("throws")
    await chain.user("catches", URL="https://any.test/")
    status, text = await chain.get()
    assert (status, json.loads(text)) == (200, ["TypeError", "out of it", True])


async def test_props(chain: Chain) -> None:
    """The props that get() is given are in the user Worker's `ctx`."""
    props = {"plan": "gold", "seats": [1, None, "é"]}
    await chain.dispatch("chosen")
    await chain.user("props")
    status, text = await chain.get(x_chosen=json.dumps({"args": {"props": props}}))
    assert (status, json.loads(text)) == (200, props)


async def test_binding_without_outbound(chain: Chain, origin: Origin) -> None:
    """Without `outbound` a subrequest goes straight to the guarded client, and is logged."""
    await chain.dispatch("to_acme", outbound_service="", outbound_parameters=[])
    await chain.user("asks")
    assert await chain.ask(origin.url) == (200, "origin")
    assert "x-customer" not in origin.received[0].headers
    line = await chain.line(event="subrequest")
    assert (line["worker"], line["outbound_worker"]) == ("acme", "")


async def test_private_address_is_refused(chain: Chain) -> None:
    """A destination at an address that is not public is refused, and the log says why."""
    await chain.user("asks_each")
    (said,) = await chain.ask_each("http://169.254.169.254/latest/")
    assert said.startswith("Error: 169.254.169.254 is prohibited as a destination")
    for event in ("subrequest", "fetch"):
        line = await chain.line(event=event)
        assert (line["decision"], line["reason"]) == ("deny", "DESTINATION_PROHIBITED")
        assert line["detail"].endswith("it is a link-local (cloud metadata) address")


async def test_own_ports_stay_closed(chain: Chain) -> None:
    """An address that is allowed does not open the mesh's own gRPC ports to Workers."""
    await chain.user("asks_each")
    (said,) = await chain.ask_each(f"http://{chain.mesh.grpc['outbound']}/")
    assert said.startswith("Error: ")
    line = await chain.line(event="fetch")
    assert (line["decision"], line["reason"]) == ("deny", "DESTINATION_PROHIBITED")


async def test_work_after_the_response(chain: Chain, origin: Origin) -> None:
    """What waitUntil() was given goes on when the client has its answer, in both roles."""
    await chain.user("asks_after")
    assert await chain.get(x_url=f"{origin.url}/of-user") == (200, "answered")
    await origin.until(1)
    await chain.outbound("logs")
    await chain.user("asks")
    headers = {"x-log": f"{origin.url}/of-outbound"}
    assert await chain.ask("https://any.test/", headers=headers) == (200, "answered")
    await origin.until(2)
    assert [request.path for request in origin.received] == ["/of-user", "/of-outbound"]
