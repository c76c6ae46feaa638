from __future__ import annotations

import json
import re
from typing import Any

import pytest

from examples.quickstart.origin import Origin
from tests.examples.conftest import Example

EXAMPLE = "log-every-subrequest"

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def logged(origin: Origin, customer: str, count: int) -> list[dict[str, Any]]:
    """The records of a customer at the log service, by URL, once there are `count`."""

    def records() -> list[dict[str, Any]]:
        every = [json.loads(received.body) for received in origin.to("logs.example.com")]
        return [record for record in every if record["customer"] == customer]

    while len(records()) < count:
        await origin.wait("logs.example.com", len(origin.to("logs.example.com")) + 1)
    return sorted(records(), key=lambda record: str(record["url"]))


async def test_every_subrequest(example: Example) -> None:
    """Each subrequest of a request has a record: whose, of which request, where to, what came."""
    answer = await example.dev.get("shop.example.com")
    assert json.loads(answer.body) == {"news": 200, "click": 200}
    click, news = await logged(example.origin, "shop", 2)
    assert click.pop("request_id") == news.pop("request_id") != ""
    assert click.pop("milliseconds") >= 0 <= news.pop("milliseconds")
    same = {"customer": "shop", "watched": False, "status": 200}
    assert click == same | {"method": "POST", "url": "https://links.example.com/clicks"}
    assert news == same | {"method": "GET", "url": "https://news.example.com/headlines"}


async def test_watched_domain(example: Example) -> None:
    """Traffic with a watched domain is marked for the log service and shown to the operator."""
    await example.dev.get("miner.example.com")
    (record,) = await logged(example.origin, "miner", 1)
    assert record["watched"] is True
    await example.dev.line(re.compile("outbound | miner talks to pool.miner.example").search)


async def test_subrequest_that_fails(example: Example) -> None:
    """A subrequest without a response is logged with the error that the customer's fetch() got."""
    answer = await example.dev.get("unlucky.example.com")
    (record,) = await logged(example.origin, "unlucky", 1)
    assert answer == (502, record["error"])
    assert "gone.example.com" in record["error"]
    assert "status" not in record


async def test_egress_log(example: Example) -> None:
    """Sluice prints a line for each subrequest by itself, without the query."""
    await example.dev.get("shop.example.com")
    line = (
        r" production/shop -> GET https://news\.example\.com/headlines allow 200 .* via outbound$"
    )
    await example.dev.line(re.compile(line).search)
