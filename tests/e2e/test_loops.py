"""The counter `x-sluice-hops`: what origins are told, and what ends a loop.

A request that leaves the platform says how many times it has left. One that comes back by the
public listener goes on counting from there; the 17th exit is refused.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.e2e.chain import Chain
from tests.e2e.origin import Origin

LOOK = {"X-Sluice-Hops": "0", "x-sluice-token": "forged"}


async def sees(chain: Chain, origin: Origin, **client: str) -> list[str]:
    """The counters that the origin gets with the request that a client's request leads to."""
    assert await chain.get(**client) == (200, "origin")
    assert not [
        name
        for received in origin.received
        for name in received.headers
        if name.lower().startswith("x-sluice-") and name.lower() != "x-sluice-hops"
    ]
    return [value for r in origin.received for value in r.headers.getall("x-sluice-hops", ["none"])]


def ask(url: str, **options: Any) -> str:
    """What the twin `asks` is told."""
    return json.dumps({"url": url, **options})


@pytest.mark.parametrize(
    ("outbound", "headers"),
    [
        ("forwards", {}),
        ("forwards", LOOK),  # the user Worker sets it
        ("strips", {"connection": "x-sluice-hops"}),  # RFC 9110, 7.6.1
    ],
)
async def test_counter_is_not_the_workers(
    chain: Chain, origin: Origin, outbound: str, headers: dict[str, str]
) -> None:
    """No user Worker can set, lower, repeat or remove the counter."""
    await chain.outbound(outbound)
    await chain.user("asks")
    assert await sees(chain, origin, x_ask=ask(origin.url, headers=headers)) == ["1"]


async def test_counter_is_not_the_outbound_workers(chain: Chain, origin: Origin) -> None:
    """Nor can an Outbound Worker, in a request of its own."""
    await chain.outbound("asks")
    await chain.user("asks")
    asked = {"x-ask": ask(origin.url, headers=LOOK)}
    assert await sees(chain, origin, x_ask=ask("http://any.test/", headers=asked)) == ["1"]


async def test_counter_of_a_dispatch_worker(chain: Chain, origin: Origin) -> None:
    """What the dispatch Worker itself fetches is counted, too."""
    await chain.dispatch("asks")
    assert await sees(chain, origin, x_ask=ask(origin.url, headers=LOOK)) == ["1"]


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
async def test_counter_goes_on(chain: Chain, origin: Origin, said: str, counted: str) -> None:
    """A request that comes back goes on counting, and its Worker does not see where it is."""
    await chain.user("sees_no_counter")
    assert await sees(chain, origin, x_url=origin.url, x_sluice_hops=said) == [counted]


@pytest.mark.parametrize(
    ("user", "variables"),
    [
        ("loops", {"WITH": "headers"}),  # with the counter set back each time
        ("loops", {"WITH": "body"}),
        ("fails_open", {}),
    ],
)
async def test_loop_ends(chain: Chain, user: str, variables: dict[str, str]) -> None:
    """A Worker that leads to itself over its Outbound Worker and the listener is stopped."""
    listener = chain.mesh.http
    await chain.user(user, LISTENER=listener, **variables)
    await chain.outbound("leads_back", LISTENER=listener.removeprefix("http://"))
    await chain.dispatch("to_acme")
    status, text = await chain.get()
    assert (status, text.count("left,")) == (500, 16)
    line = await chain.line(event="fetch", reason="LOOP_DETECTED")
    assert line["status"] is None


async def test_loop_without_an_outbound_worker_ends(chain: Chain) -> None:
    """So is one that fetches itself by the listener, which is told after how many times."""
    await chain.dispatch("to_acme", outbound_service="", outbound_parameters=[])
    await chain.user("catches", URL=chain.mesh.http)
    status, text = await chain.get()
    assert status == 200
    assert "16 times" in text
