from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from tests.examples.conftest import Example

EXAMPLE = "allow-and-block-lists"
CONFIGS = ("without-code/wrangler.toml",)

pytestmark = pytest.mark.asyncio(loop_scope="module")

ALLOWED = [
    ("preview", "https://news.example.com/headlines"),  # the platform's *.example.com
    ("kiosk", "https://news.example.com/headlines"),  # its own list names it
    ("partner", "https://partner.example.net/"),  # its own list goes beyond the platform's
]
REFUSED = [
    ("preview", "https://partner.example.net/", "allowedHosts: no match"),
    ("preview", "https://example.com/", "allowedHosts: no match"),  # not below itself
    ("preview", "https://127.0.0.1/", "allowedHosts: no match"),
    ("preview", "https://TRACKER.example.net./", "deniedHosts: tracker.example.net"),
    ("preview", "https://cdn.malware.example/", "deniedHosts: *.malware.example"),
    ("kiosk", "https://api.example.com/", "allowedHosts: no match"),
    ("partner", "https://mail.example.com/", "deniedHosts: mail.example.com"),
]


@pytest.mark.parametrize(("customer", "url"), ALLOWED)
async def test_allowed(example: Example, customer: str, url: str) -> None:
    """A subrequest to an allowed host gets there."""
    before = len(example.origin.received)
    assert (await example.dev.get(f"{customer}.example.com", f"/?of={url}")).status == 200
    assert [received.url for received in example.origin.received[before:]] == [url]


@pytest.mark.parametrize(("customer", "url", "why"), REFUSED)
async def test_refused(example: Example, customer: str, url: str, why: str) -> None:
    """A subrequest to any other host goes nowhere, and the line says by which pattern."""
    before = len(example.origin.received)
    answer = await example.dev.get(f"{customer}.example.com", f"/?of={url}")
    host = (urlsplit(url).hostname or "").lower()
    said = f"{host} is prohibited as a destination by the platform's policy\n"
    assert (answer.status, answer.body) == (500, said)
    assert example.origin.received[before:] == []
    shown = f"production/{customer} -> GET https://{host}/ deny DESTINATION_PROHIBITED"
    await example.dev.line(lambda line: f"{shown} (binding {why})" in line)


async def test_redirect(example: Example) -> None:
    """An allowed host that redirects to a blocked one does not get a subrequest there."""
    answer = await example.dev.get("preview.example.com", "/?of=https://links.example.com/away")
    assert answer.body.startswith("tracker.example.net is prohibited")
    assert example.origin.to("tracker.example.net") == []


async def test_unknown_customer(example: Example) -> None:
    """A name that no customer has is answered with 404, also where it is a property's."""
    for name in ("nobody", "constructor"):
        assert (await example.dev.get(f"{name}.example.com")).status == 404
