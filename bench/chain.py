"""One way from a client to the origin and back, running."""

from __future__ import annotations

import http.client
from collections.abc import Callable
from dataclasses import dataclass

from bench.child import HOST

CUSTOMER = "api"
AUTHORITY = f"{CUSTOMER}.example.com"
"""Host of each request: its first label names the user Worker."""

ANSWER = b"hello, Bearer ey"
"""How the origin's answer begins to a request that came through the Outbound Worker: with a JWT."""


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
        if response.status != 200 or not body.startswith(ANSWER):
            raise RuntimeError(f"the {self.name} chain answers {response.status} {body!r}")
