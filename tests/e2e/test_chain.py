from __future__ import annotations

import asyncio
import io
import json
import random
import re

import pytest
from aiohttp import web

from tests.e2e.mesh import Mesh, dispatch_bundle, es_module
from tests.e2e.origin import Origin


async def test_request_crosses_the_mesh(mesh: Mesh, origin: Origin) -> None:
    """A subrequest reaches the origin with what the Outbound Worker made of its params."""
    await mesh.deploy(
        "acme",
        f"export default {{ fetch() {{ return fetch('{origin.url}/a?b=c') }} }}",
        "production",
    )
    assert await mesh.get("acme.example.com") == (200, "origin")
    (received,) = origin.received
    assert received.path_qs == "/a?b=c"
    assert received.headers["x-customer"] == "acme"
    line = await mesh.services["outbound"].line(event="subrequest")
    assert line["worker"] == "acme"
    assert line["dispatch_namespace"] == "production"
    assert line["outbound_worker"] == "outbound"
    assert line["url"] == f"{origin.url}/a"
    assert (line["decision"], line["reason"], line["status"]) == ("allow", None, 200)
    assert line["bytes_received"] == 6


async def test_unknown_worker_and_exception(mesh: Mesh) -> None:
    """An unknown name and an exception reach the dispatch Worker as the original says them."""
    await mesh.deploy(
        "faulty", "export default { fetch() { throw new RangeError('out of it') } }", "production"
    )
    assert await mesh.get("nobody.example.com") == (404, "")
    assert await mesh.get("faulty.example.com") == (500, "RangeError: out of it")


@pytest.mark.timeout(240)
async def test_params_never_mix(mesh: Mesh, origin: Origin) -> None:
    """10,000 requests, 64 at once, to one user Worker: each subrequest has its own request's params."""

    async def reflect(request: web.Request) -> web.StreamResponse:
        return web.Response(text=request.headers["x-customer"])

    origin.answer = reflect
    await mesh.deploy(
        "dispatch",
        dispatch_bundle("""export default { async fetch(request, env) {
            const name = request.headers.get('x-value');
            return env.dispatcher.get('acme', {}, { outbound: { params_object: { customer_name: name } } }).fetch(request) } }"""),
    )
    await mesh.deploy(
        "acme",
        f"""export default {{ async fetch(request) {{
            await scheduler.wait(Math.random() * 5);
            return fetch('{origin.url}/') }} }}""",
        "production",
    )
    numbers = iter(range(10_000))
    mismatches = 0

    async def client() -> None:
        nonlocal mismatches
        for number in numbers:
            value = f"{number}-{random.random()}"
            answer = await mesh.get("acme.example.com", headers={"x-value": value})
            mismatches += answer != (200, value)

    await asyncio.gather(*(client() for _ in range(64)))
    assert mismatches == 0
    assert len(origin.received) == 10_000


@pytest.mark.parametrize(
    ("outbound", "seen"),
    [
        ("{params_object: {a: 1, b: [true, null, 'é']}}", {"a": 1, "b": [True, None, "é"]}),
        ("{params_object: 'scalar'}", "scalar"),  # any JSON value
        ("{params_object: 1.5, other: 2}", 1.5),  # an undeclared key is dropped
        ("{params_object: undefined}", None),  # as if it were not there
        ("{}", None),  # a declared key that is omitted is absent
    ],
)
async def test_params(mesh: Mesh, outbound: str, seen: object) -> None:
    """The Outbound Worker sees each declared param with the JSON value that get() passed."""
    await mesh.deploy(
        "dispatch",
        dispatch_bundle(f"""export default {{ fetch(r, env) {{
            return env.dispatcher.get('acme', {{}}, {{ outbound: {outbound} }}).fetch(r) }} }}"""),
    )
    await mesh.deploy(
        "outbound",
        """export default { fetch(r, env) { return Response.json({
            seen: env.params_object ?? null, has: 'params_object' in env, other: env.other ?? null }) } }""",
    )
    await mesh.deploy(
        "acme", "export default { fetch() { return fetch('https://any.test/') } }", "production"
    )
    status, text = await mesh.get("acme.example.com")
    assert status == 200, text
    assert json.loads(text) == {"seen": seen, "has": seen is not None, "other": None}
    line = await mesh.services["outbound"].line(event="subrequest")
    assert line["decision"] == "answer"


@pytest.mark.parametrize(
    ("outbound", "says"),
    [
        ("{params_object: {f() {}}}", "params_object"),
        ("{params_object: 1n}", "params_object"),
        ("{params_object: (() => { const o = {}; o.o = o; return o })()}", "params_object"),
        ("{params_object: 'x'.repeat(17000)}", "params_object"),
        ("{params_object: JSON.parse('['.repeat(40) + ']'.repeat(40))}", "params_object"),
    ],
)
async def test_params_that_cannot_be_carried(mesh: Mesh, outbound: str, says: str) -> None:
    """A value that JSON cannot carry, or over the limit, fails the fetch() with a TypeError."""
    await mesh.deploy(
        "dispatch",
        dispatch_bundle(f"""export default {{ async fetch(r, env) {{
            const acme = env.dispatcher.get('acme', {{}}, {{ outbound: {outbound} }});
            try {{ return await acme.fetch(r) }}
            catch (e) {{ return new Response(e.name + ' ' + e.message, {{status: 500}}) }} }} }}"""),
    )
    await mesh.deploy("acme", "export default { fetch() { return new Response() } }", "production")
    status, text = await mesh.get("acme.example.com")
    assert status == 500
    assert text.startswith("TypeError")
    assert says in text


async def test_params_spread_never_hides_a_binding(mesh: Mesh) -> None:
    """Members of a param that is an object are in env too, but never in place of a binding."""
    outbound = es_module(
        "export default { fetch(r, env) { return Response.json([env.customer_name, env.KEY]) } }"
    )
    outbound.secrets["KEY"] = "its own"
    await mesh.deploy("outbound", outbound)
    await mesh.deploy(
        "dispatch",
        dispatch_bundle("""export default { fetch(r, env) { return env.dispatcher.get('acme', {}, {
            outbound: { params_object: { customer_name: 'acme', KEY: 'stolen' } } }).fetch(r) } }"""),
    )
    await mesh.deploy(
        "acme", "export default { fetch() { return fetch('https://any.test/') } }", "production"
    )
    assert json.loads((await mesh.get("acme.example.com"))[1]) == ["acme", "its own"]


async def test_binding_without_outbound(mesh: Mesh, origin: Origin) -> None:
    """Without `outbound` a subrequest goes straight to the guarded client, and is logged."""
    await mesh.deploy(
        "dispatch",
        dispatch_bundle(
            "export default { fetch(r, env) { return env.dispatcher.get('acme').fetch(r) } }",
            outbound_service="",
            outbound_parameters=[],
        ),
    )
    await mesh.deploy(
        "acme", f"export default {{ fetch() {{ return fetch('{origin.url}/') }} }}", "production"
    )
    assert await mesh.get("acme.example.com") == (200, "origin")
    assert "x-customer" not in origin.received[0].headers
    line = await mesh.services["outbound"].line(event="subrequest")
    assert (line["worker"], line["outbound_worker"]) == ("acme", "")


async def test_outbound_worker_that_throws(mesh: Mesh) -> None:
    """What the Outbound Worker throws, the user's fetch() throws: same name, same message."""
    await mesh.deploy(
        "outbound", "export default { fetch() { throw new TypeError('blocked by policy') } }"
    )
    await mesh.deploy(
        "acme",
        """export default { async fetch() {
            try { await fetch('https://any.test/') }
            catch (e) { return new Response([e.name, e.message, e instanceof TypeError]) } } }""",
        "production",
    )
    assert await mesh.get("acme.example.com") == (200, "TypeError,blocked by policy,true")


async def test_private_address_is_refused(mesh: Mesh) -> None:
    """A destination at an address that is not public is refused, and the log says why."""
    await mesh.deploy(
        "acme",
        """export default { async fetch() {
            try { await fetch('http://169.254.169.254/latest/') }
            catch (e) { return new Response(e.message) } } }""",
        "production",
    )
    _, text = await mesh.get("acme.example.com")
    assert "169.254.169.254" in text
    line = await mesh.services["outbound"].line(event="subrequest")
    assert line["reason"] is not None
    fetched = await mesh.services["outbound"].line(event="fetch")
    assert (fetched["decision"], fetched["reason"]) == ("deny", "DESTINATION_PROHIBITED")


async def test_loop_is_detected(mesh: Mesh) -> None:
    """A Worker that fetches itself through the public listener is stopped after 16 hops."""
    await mesh.deploy(
        "acme",
        f"""export default {{ async fetch(r) {{
            try {{ return await fetch('{mesh.http}/', {{headers: {{host: 'x'}}}}) }}
            catch (e) {{ return new Response(e.message) }} }} }}""",
        "production",
    )
    await mesh.deploy(
        "dispatch",
        dispatch_bundle(
            "export default { fetch(r, env) { return env.dispatcher.get('acme').fetch(r) } }"
        ),
    )
    status, text = await mesh.get("acme.example.com")
    assert status == 200
    assert re.search("16 times", text)


async def test_streamed_upload(mesh: Mesh, origin: Origin) -> None:
    """A long request body passes through every hop, and its answer comes back."""

    async def count(request: web.Request) -> web.StreamResponse:
        size = 0
        async for chunk in request.content.iter_any():
            size += len(chunk)
        return web.Response(text=str(size))

    origin.answer = count
    await mesh.deploy(
        "acme",
        f"""export default {{ fetch(r) {{
            return fetch('{origin.url}/', {{ method: 'POST', body: r.body }}) }} }}""",
        "production",
    )
    size = 5_000_000
    async with mesh.session.post(
        mesh.http, headers={"host": "acme.example.com"}, data=io.BytesIO(b"x" * size)
    ) as response:
        assert (response.status, await response.text()) == (200, str(size))


async def test_own_ports_stay_closed(mesh: Mesh) -> None:
    """An address that is allowed does not open the mesh's own gRPC ports to Workers."""
    await mesh.deploy(
        "acme",
        f"""export default {{ async fetch() {{
            try {{ await fetch('http://{mesh.grpc["outbound"]}/'); return new Response('reached') }}
            catch (e) {{ return new Response(e.message) }} }} }}""",
        "production",
    )
    _, text = await mesh.get("acme.example.com")
    assert "reached" not in text
    line = await mesh.services["outbound"].line(event="fetch")
    assert (line["decision"], line["reason"]) == ("deny", "DESTINATION_PROHIBITED")
