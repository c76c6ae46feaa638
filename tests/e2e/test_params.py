"""Params: what `get()` passes, the Outbound Worker finds, and nobody else's."""

from __future__ import annotations

import asyncio
import json
import random

import pytest
from aiohttp import web

from tests.e2e.chain import HOST, Chain
from tests.e2e.languages import JAVASCRIPT, Languages
from tests.e2e.mesh import Mesh, dispatch_bundle
from tests.e2e.origin import Origin
from tests.e2e.twin import twin

AT_ONCE = 64


def requests_of(languages: Languages) -> int:
    """How many requests tell params apart: fewer in Python, which takes longer for each."""
    return 10_000 if languages == JAVASCRIPT else 200


@pytest.mark.timeout(240)
async def test_params_never_mix(chain: Chain, origin: Origin) -> None:
    """10,000 requests, 64 at once, to one user Worker: each subrequest has its own request's params."""

    async def reflect(request: web.Request) -> web.StreamResponse:
        return web.Response(text=request.headers["x-customer"])

    origin.answer = reflect
    await chain.dispatch("params_of_header")
    await chain.user("asks_later")
    count = requests_of(chain.languages)
    numbers = iter(range(count))
    mismatches = 0

    async def client() -> None:
        nonlocal mismatches
        for number in numbers:
            value = f"{number}-{random.random()}"
            mismatches += await chain.get(x_value=value, x_url=origin.url) != (200, value)

    await asyncio.gather(*(client() for _ in range(AT_ONCE)))
    assert mismatches == 0
    assert len(origin.received) == count


@pytest.mark.parametrize(
    ("outbound", "seen"),
    [
        ({"params_object": {"a": 1, "b": [True, None, "é"]}}, {"a": 1, "b": [True, None, "é"]}),
        ({"params_object": "scalar"}, "scalar"),  # any JSON value
        ({"params_object": 1.5, "other": 2}, 1.5),  # an undeclared key is dropped
        ({}, None),  # a declared key that is omitted is absent
    ],
)
async def test_params(chain: Chain, outbound: object, seen: object) -> None:
    """The Outbound Worker sees each declared param with the JSON value that get() passed."""
    await chain.dispatch("chosen")
    await chain.outbound("says_params")
    await chain.user("asks")
    chosen = json.dumps({"args": {}, "options": {"outbound": outbound}})
    status, text = await chain.get(x_chosen=chosen, x_ask='{"url": "https://any.test/"}')
    assert status == 200, text
    assert json.loads(text) == {"seen": seen, "has": seen is not None, "other": None}
    line = await chain.line(event="subrequest")
    assert line["decision"] == "answer"


async def test_undefined_is_as_if_it_were_not_there(mesh: Mesh) -> None:
    """JavaScript has two values for nothing: `undefined` is not passed, `null` is."""
    await mesh.deploy("outbound", twin("says_params", JAVASCRIPT.outbound))
    await mesh.deploy("acme", twin("asks", JAVASCRIPT.user), "production")
    found = []
    for value in ("undefined", "null"):
        source = f"""export default {{ fetch(r, env) {{ return env.dispatcher.get(
            'acme', {{}}, {{ outbound: {{ params_object: {value} }} }}).fetch(r) }} }}"""
        await mesh.deploy("dispatch", dispatch_bundle(source))
        headers = {"x-ask": '{"url": "https://any.test/"}'}
        found.append(json.loads((await mesh.get(HOST, headers=headers))[1])["has"])
    assert found == [False, True]


@pytest.mark.parametrize("value", ["function", "number", "cycle", "long", "deep"])
async def test_params_that_cannot_be_carried(chain: Chain, value: str) -> None:
    """A value that JSON cannot carry, or over the limit, fails the fetch() with a TypeError."""
    await chain.dispatch("uncarriable")
    await chain.user("props")
    status, text = await chain.get(x_value=value)
    assert status == 500
    assert text.startswith("TypeError")
    assert "params_object" in text


async def test_both_spellings(chain: Chain) -> None:
    """Members of a param that is an object are in env too, but never in place of a binding."""
    await chain.dispatch("chosen")
    await chain.outbound("spells", secrets={"KEY": "its own"})
    await chain.user("asks")
    params = {"customer_name": "acme", "KEY": "stolen"}
    chosen = json.dumps({"args": {}, "options": {"outbound": {"params_object": params}}})
    _, text = await chain.get(x_chosen=chosen, x_ask='{"url": "https://any.test/"}')
    assert json.loads(text) == ["acme", "acme", "its own"]
