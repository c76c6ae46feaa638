from __future__ import annotations

import json

import pytest
from dotenv import dotenv_values

from tests.examples.conftest import EXAMPLES, Example

EXAMPLE = "hidden-credentials"

pytestmark = pytest.mark.asyncio(loop_scope="module")

SECRETS = dotenv_values(EXAMPLES / EXAMPLE / "outbound" / ".dev.vars")

BEARER = "Bearer demo-payments-token"
BASIC = "Basic cGxhdGZvcm06ZGVtby1tYWlsLXBhc3N3b3Jk"  # platform:demo-mail-password

CREDENTIALS = [
    ("payments.example.com", "authorization", BEARER),
    ("mail.example.com", "authorization", BASIC),
    ("maps.example.com", "x-api-key", "demo-maps-key"),
]


@pytest.mark.parametrize(("host", "header", "value"), CREDENTIALS)
async def test_each_api(example: Example, host: str, header: str, value: str) -> None:
    """Each API gets its own credential, and the customer's name, from a Worker that has neither."""
    answer = await example.dev.get("shop.example.com")
    assert json.loads(answer.body) == {"payments": 200, "mail": 200, "maps": 200}
    headers = example.origin.to(host)[-1].headers
    assert headers[header] == value
    assert headers["x-customer"] == "shop"


async def test_header_of_the_customers_own(example: Example) -> None:
    """What a customer sets in place of a credential, or of its name, is replaced."""
    await example.dev.get("sneaky.example.com", "/own")
    headers = example.origin.to("payments.example.com")[-1].headers
    assert headers["authorization"] == BEARER
    assert headers["x-customer"] == "sneaky"


NO_CREDENTIALS = [
    ("/plain", "http://payments.example.com/charge"),  # anybody on the way could read it
    ("/lookalike", "https://payments.example.com.attacker.example.net/"),  # begins like the API
    ("/redirect", "https://attacker.example.net/"),  # where the API itself sends the customer
]


@pytest.mark.parametrize(("attempt", "url"), NO_CREDENTIALS)
async def test_exact_origins(example: Example, attempt: str, url: str) -> None:
    """A request to anything but the very origin of an API carries no credential."""
    await example.dev.get("sneaky.example.com", attempt)
    received = example.origin.received[-1]
    assert received.url == url
    assert not received.headers.keys() & {"authorization", "x-api-key", "x-customer"}


async def test_customers_see_nothing(example: Example) -> None:
    """No secret is in a customer's env, in what it gets back, or in what `sluice dev` prints."""
    assert await example.dev.get("sneaky.example.com", "/env") == (200, "{}")
    attempts = ["/own", *(attempt for attempt, _ in NO_CREDENTIALS)]
    seen = [(await example.dev.get("sneaky.example.com", path)).body for path in attempts]
    for secret in (SECRETS["PAYMENTS_TOKEN"], SECRETS["MAPS_KEY"], SECRETS["MAIL_PASSWORD"]):
        assert secret
        assert secret not in "\n".join([*seen, *example.dev.lines])
