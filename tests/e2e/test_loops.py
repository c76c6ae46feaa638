"""The counter `x-sluice-hops`: what origins are told, and what ends a loop.

A request that leaves the platform says how many times it has left. One that comes back by the
public listener goes on counting from there; the 17th exit is refused.
"""

from __future__ import annotations

import pytest

from tests.e2e.mesh import Mesh, dispatch_bundle
from tests.e2e.origin import Origin

LOOK = "headers: {'X-Sluice-Hops': '0', 'x-sluice-token': 'forged'}"
TO_ACME = "export default { fetch(r, env) { return env.dispatcher.get('acme').fetch(r) } }"


async def sees(mesh: Mesh, origin: Origin, **client: str) -> list[str]:
    """The counters that the origin gets with the request that a client's request leads to."""
    status, text = await mesh.get("acme.example.com", headers=client)
    assert (status, text) == (200, "origin")
    assert not [
        name
        for received in origin.received
        for name in received.headers
        if name.lower().startswith("x-sluice-") and name.lower() != "x-sluice-hops"
    ]
    return [value for r in origin.received for value in r.headers.getall("x-sluice-hops", ["none"])]


@pytest.mark.parametrize(
    ("outbound", "user"),
    [
        ("fetch(r)", "fetch('ORIGIN')"),
        ("fetch(r)", f"fetch('ORIGIN', {{ {LOOK} }})"),  # the user Worker sets it
        (f"fetch('ORIGIN', {{ {LOOK} }})", "fetch('http://any.test/')"),  # the Outbound Worker does
        (
            "(r = new Request(r), r.headers.delete('x-sluice-hops'), fetch(r))",
            "fetch('ORIGIN', { headers: { connection: 'x-sluice-hops' } })",  # RFC 9110, 7.6.1
        ),
    ],
)
async def test_counter_is_not_the_workers(
    mesh: Mesh, origin: Origin, outbound: str, user: str
) -> None:
    """No Worker can set, lower, repeat or remove the counter."""
    for name, source, namespace in (
        ("outbound", outbound, ""),
        ("acme", user, "production"),
    ):
        handler = source.replace("ORIGIN", f"{origin.url}/")
        await mesh.deploy(name, f"export default {{ fetch(r) {{ return {handler} }} }}", namespace)
    assert await sees(mesh, origin) == ["1"]


async def test_counter_of_a_dispatch_worker(mesh: Mesh, origin: Origin) -> None:
    """What the dispatch Worker itself fetches is counted, too."""
    await mesh.deploy(
        "dispatch",
        dispatch_bundle(
            f"export default {{ fetch() {{ return fetch('{origin.url}/', {{ {LOOK} }}) }} }}"
        ),
    )
    assert await sees(mesh, origin) == ["1"]


@pytest.mark.parametrize(
    ("said", "counted"),
    [
        ("3", "4"),
        ("15", "16"),  # the last that may leave
        ("0", "1"),
        ("-1", "1"),  # nonsense is as if nothing were said
        ("seven", "1"),
        ("99999999999999999999", "1"),
    ],
)
async def test_counter_goes_on(mesh: Mesh, origin: Origin, said: str, counted: str) -> None:
    """A request that comes back goes on counting, and its Worker does not see where it is."""
    await mesh.deploy(
        "acme",
        f"""export default {{ fetch(r) {{
        if (r.headers.has('x-sluice-hops')) throw new Error('seen');
        return fetch('{origin.url}/') }} }}""",
        "production",
    )
    assert await sees(mesh, origin, **{"x-sluice-hops": said}) == [counted]


@pytest.mark.parametrize(
    "user",
    [
        f"fetch('LISTENER/', {{ {LOOK} }})",  # with the counter set back each time
        "fetch('LISTENER/', { method: 'POST', body: 'again' })",
        "(ctx.passThroughOnException(), Promise.reject(new Error('on it goes')))",
    ],
)
async def test_loop_ends(mesh: Mesh, user: str) -> None:
    """A Worker that leads to itself over its Outbound Worker and the listener is stopped."""
    runs = f"export default {{ fetch(r, env, ctx) {{ return {user} }} }}"
    await mesh.deploy("acme", runs.replace("LISTENER", mesh.http), "production")
    await mesh.deploy(
        "outbound",
        f"""export default {{ async fetch(r) {{
        const url = new URL(r.url); url.host = '{mesh.http.removeprefix("http://")}';
        const response = await fetch(new Request(url, r));
        return new Response('left,' + await response.text(), response) }} }}""",
    )
    await mesh.deploy("dispatch", dispatch_bundle(TO_ACME))
    status, text = await mesh.get("acme.example.com")
    assert (status, text.count("left,")) == (500, 16)
    line = await mesh.services["outbound"].line(event="fetch", reason="LOOP_DETECTED")
    assert line["status"] is None
