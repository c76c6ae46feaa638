"""The load generator, against a real server."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from bench import load
from sluice.http1.server import Exchange, Server
from sluice.wire.body import Whole
from sluice.wire.errors import SluiceError
from sluice.wire.messages import Response


class Site:
    """Answers with `status`; keeps the hosts that were asked for."""

    def __init__(self) -> None:
        self.status = 200
        self.hosts: set[str] = set()
        self.count = 0

    async def answer(self, exchange: Exchange) -> Response:
        """Answer one request."""
        self.count += 1
        self.hosts.add(exchange.request.url)
        return Response(self.status, [], Whole(b"hello"), 5)


def failed(error: SluiceError) -> Response:
    """Answer an error."""
    return Response(error.reason.http_status)


@pytest.fixture
def site() -> Site:
    """A site."""
    return Site()


@pytest.fixture
async def port(site: Site) -> AsyncIterator[int]:
    """Port of a server of that site."""
    server = Server(site.answer, on_error=failed)
    _, port = await server.listen_tcp("127.0.0.1", 0)
    yield port
    await server.close(1)


async def test_counts_what_was_answered(site: Site, port: int) -> None:
    """Every request is answered, counted and timed, and names the host that was given."""
    seen = await load.run(port, "acme.example.com", connections=3, seconds=0.2)
    assert seen.failed == 0
    assert seen.requests == site.count > 3
    assert site.hosts == {"http://acme.example.com/"}
    assert 0 < seen.p50 <= seen.p99 <= seen.seconds
    assert seen.seconds >= 0.2


async def test_counts_refusals_as_failures(site: Site, port: int) -> None:
    """An answer that is not 200 is a failure."""
    site.status = 503
    seen = await load.run(port, "acme.example.com", connections=2, seconds=0.1)
    assert seen.failed == seen.requests > 0
