"""The seed's platform in Python, and in both languages mixed."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from examples.quickstart.origin import JWT_KEY, Origin, Received, verified
from examples.quickstart.sluice_dev import sluice_dev
from tests.examples.conftest import EXAMPLES, Example

pytestmark = pytest.mark.asyncio(loop_scope="module")

LANGUAGES = {"python": "", "javascript": "../quickstart/"}
"""Where the Workers of a language are, seen from examples/python."""

MIXES = [
    ("python", "python"),  # as the README has it
    ("python", "javascript"),
    ("javascript", "python"),
]
"""Dispatch Worker and Outbound Worker. The customers are of both languages."""

HEADLINES = ("Rain stops", "Bread costs less", "Cat comes home")


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=MIXES, ids=" and ".join)
async def example(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Example]:
    """The example, with a dispatch Worker and an Outbound Worker of those languages."""
    dispatch, outbound = (LANGUAGES[language] for language in request.param)
    ca_file = tmp_path_factory.mktemp("python") / "ca.pem"
    async with (
        Origin(ca_file) as origin,
        sluice_dev(
            EXAMPLES / "python",
            ca_file,
            origin.options,
            (f"{dispatch}dispatch/wrangler.toml", f"{outbound}outbound/wrangler.toml"),
        ) as dev,
    ):
        yield Example(dev, origin)
    assert dev.exit_code == 0


async def logged(origin: Origin, customer: str) -> Received:
    """What the log service was told of a customer's subrequest."""
    count = 0
    while True:
        count += 1
        *_, last = await origin.wait("logs.example.com", count)
        if json.loads(last.body)["customer_name"] == customer:
            return last


async def test_the_platforms_api_gets_a_token(example: Example) -> None:
    """The API receives a JWT that names the customer, whose Worker has no credentials."""
    answer = await example.dev.get("api.example.com")
    assert answer.status == 200
    assert json.loads(answer.body) == {"customer": "api", "plan": "pro"}
    (received,) = example.origin.to("api.example.com")
    scheme, _, token = (received.authorization or "").partition(" ")
    assert scheme == "Bearer"
    assert verified(token, JWT_KEY)["sub"] == "api"


@pytest.mark.parametrize("customer", ["acme", "api", "news"])
async def test_the_log_service_is_told(example: Example, customer: str) -> None:
    """Each subrequest is logged with its customer and the client's URL, in JS as in Python."""
    await example.dev.get(f"{customer}.example.com")
    record = json.loads((await logged(example.origin, customer)).body)
    url = f"http://{customer}.example.com/"
    assert record == {"customer_name": customer, "original_url": url}


@pytest.mark.parametrize("customer", ["acme", "news"])
async def test_other_hosts_get_no_token(example: Example, customer: str) -> None:
    """A subrequest of another customer is sent on as it is, by `fetch()` and by `urllib`."""
    answer = await example.dev.get(f"{customer}.example.com")
    assert answer.status == 200
    assert all(headline in answer.body for headline in HEADLINES)
    assert example.origin.to("news.example.com")[-1].authorization is None


async def test_files_and_vars_of_a_worker(example: Example) -> None:
    """A Python Worker reads the page in its bundle and its vars, and imports its other module."""
    page = (await example.dev.get("news.example.com")).body
    assert page.startswith("<!doctype html>\n<title>The News</title>\n")
    await example.dev.line(lambda line: line.endswith("production/news | 3 headlines"))


async def test_unknown_name(example: Example) -> None:
    """A name that no customer has is 404, with an empty body."""
    assert await example.dev.get("unknown.example.com") == (404, "")


async def test_worker_that_raises(example: Example) -> None:
    """What a customer's Worker raises is 500 with its message; the traceback is in the output."""
    assert await example.dev.get("faulty.example.com") == (500, "there is no price for today")
    await example.dev.line(lambda line: 'production/faulty |   File "faulty.py", line 7' in line)
