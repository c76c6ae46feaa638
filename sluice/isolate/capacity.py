"""What Workers may cost the service that runs them."""

from __future__ import annotations

from dataclasses import dataclass, field

from sluice.wire.places import Bounds


@dataclass(frozen=True, slots=True)
class Capacity:
    """Bounds that hold for every Worker, whatever its own limits are."""

    invocations: Bounds = field(
        default_factory=lambda: Bounds(total=2000, each=500, queue=1000, queue_each=250, wait=5.0)
    )
    """Invocations at once, each customer having its share."""

    connections: int = 6
    """Subrequests of an invocation that wait for the head of their response, as at Cloudflare since
    April 2026: https://developers.cloudflare.com/changelog/2026-04-09-relaxed-connection-limiting"""

    connection_wait: float = 30.0
    """Seconds that a subrequest waits for its turn to connect."""

    open_subrequests: int = 1000
    """Subrequests of an invocation that are not over: those that wait, and those whose response or
    WebSocket is still open."""

    request_body: int | None = 100 * 1024 * 1024
    """Most bytes of a request's body, to a Worker and from one. None: no bound."""

    response_body: int | None = None
    """Most bytes of a response's body, likewise."""

    log_rate: int = 64 * 1024
    """Bytes a second of what an isolate prints that are passed on. What it did not use of the last
    four seconds it may use too."""
