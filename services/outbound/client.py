"""The guarded HTTP client: the only way from a Worker to the internet."""

from __future__ import annotations

from dataclasses import dataclass

from services.outbound.connect_to import ConnectTo
from services.outbound.destination import Guard
from sluice.wire.messages import Request, Response


@dataclass(frozen=True, slots=True)
class ClientConfig:
    """Limits of the client. Times are in seconds."""

    connect_timeout: float = 10.0
    """From the request to an open connection: a free place in the pool, DNS, TCP and TLS."""
    first_byte_timeout: float = 60.0
    """From the request's last byte to the whole response head."""
    idle_timeout: float = 60.0
    """Between two pieces of a body, either way."""
    max_connections: int = 1000
    max_connections_per_host: int = 100
    max_response_head: int = 128 * 1024
    """Most bytes of a response's headers."""
    dns_ttl: int = 10
    """How long an answer of the resolver is used."""
    ca_file: str | None = None
    """PEM file with the only roots to trust. None: the system's."""


class GuardedClient:
    """Sends requests to origins. Made inside the running loop; closed with `aclose`."""

    def __init__(
        self, config: ClientConfig, guard: Guard, connect_to: tuple[ConnectTo, ...] = ()
    ) -> None:
        self._config = config
        self._guard = guard
        self._connect_to = connect_to

    async def send(self, request: Request) -> Response:
        """The response to `request`, its body still to come."""
        raise NotImplementedError

    async def aclose(self) -> None:
        """Close all connections."""
