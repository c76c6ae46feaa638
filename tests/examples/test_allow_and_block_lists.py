from __future__ import annotations

import json
from urllib.parse import urlsplit

import pytest

from tests.examples.conftest import Example

EXAMPLE = "allow-and-block-lists"

pytestmark = pytest.mark.asyncio(loop_scope="module")

ALLOWED = [
    ("preview", "https://news.example.com/headlines"),  # the platform's *.example.com
    ("kiosk", "https://news.example.com/headlines"),  # its own list names it
    ("partner", "https://partner.example.net/"),  # its own list goes beyond the platform's
]

PLATFORM, CUSTOMER, MISSING = (
    "blocked by the platform",
    "blocked for this customer",
    "not on the allow list",
)
REFUSED = [
    ("preview", "https://partner.example.net/", MISSING),  # on no list at all
    ("preview", "https://example.com/", MISSING),  # *.example.com is what is below example.com
    ("preview", "https://example.com.evil.example/", MISSING),  # only looks like it
    ("preview", "https://127.0.0.1/", MISSING),  # an address is no way past the names
    ("preview", "https://tracker.example.net/", PLATFORM),  # blocked by name
    ("preview", "https://TRACKER.example.net/", PLATFORM),  # case does not count
    ("preview", "https://tracker.example.net./", PLATFORM),  # nor does the root's dot
    ("preview", "https://cdn.malware.example/", PLATFORM),  # blocked by pattern
    ("kiosk", "https://api.example.com/", MISSING),  # its own list has less than the platform's
    ("partner", "https://tracker.example.net/", PLATFORM),  # though its own list has it
    ("partner", "https://mail.example.com/", CUSTOMER),  # its own block list
]


@pytest.mark.parametrize(("customer", "url"), ALLOWED)
async def test_allowed(example: Example, customer: str, url: str) -> None:
    """A subrequest to an allowed host gets there."""
    before = len(example.origin.received)
    answer = await example.dev.get(f"{customer}.example.com", f"/?of={url}")
    assert answer.status == 200
    assert [received.url for received in example.origin.received[before:]] == [url]


@pytest.mark.parametrize(("customer", "url", "reason"), REFUSED)
async def test_refused(example: Example, customer: str, url: str, reason: str) -> None:
    """A subrequest to any other host is answered with 403 and the reason, and goes nowhere."""
    before = len(example.origin.received)
    answer = await example.dev.get(f"{customer}.example.com", f"/?of={url}")
    host = urlsplit(url).hostname
    refusal = {"error": "host refused", "host": host, "reason": reason}
    assert (answer.status, json.loads(answer.body)) == (403, refusal)
    assert example.origin.received[before:] == []


async def test_redirect(example: Example) -> None:
    """An allowed host that redirects to a blocked one does not get a subrequest there."""
    answer = await example.dev.get("preview.example.com", "/?of=https://links.example.com/away")
    assert answer.status == 403
    assert json.loads(answer.body)["host"] == "tracker.example.net"
    assert example.origin.to("tracker.example.net") == []


async def test_unknown_customer(example: Example) -> None:
    """A name that no customer has is answered with 404."""
    assert (await example.dev.get("nobody.example.com")).status == 404
