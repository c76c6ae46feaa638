"""One way from a client to the origin and back, running."""

from __future__ import annotations

import http.client
from collections.abc import Callable
from dataclasses import dataclass

from bench.child import HOST

CUSTOMER = "acme"
AUTHORITY = f"{CUSTOMER}.example.com"
"""Host of each request: its first label names the user Worker."""

ANSWER = f"hello, Bearer {CUSTOMER}\n".encode()
"""What the origin says to a request that came through the Outbound Worker."""


@dataclass(frozen=True, slots=True)
class Chain:
    """A running chain. `processes` are those that it is made of, by what they are called here."""

    name: str
    port: int
    processes: Callable[[], dict[str, int]]

    def check(self) -> None:
        """Send one request. Raises `RuntimeError` unless it went all the way."""
        connection = http.client.HTTPConnection(HOST, self.port, timeout=60)
        connection.request("GET", "/", headers={"host": AUTHORITY})
        response = connection.getresponse()
        body = response.read()
        connection.close()
        if response.status != 200 or body != ANSWER:
            raise RuntimeError(f"the {self.name} chain answers {response.status} {body!r}")
