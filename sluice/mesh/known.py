"""The `SLUICE_*` variables that not every service reads.

Services are often started from one environment, such as an `.env` file: each then finds variables
there that are for others. They are no mistake, and a test holds this list to what is read.
"""

from __future__ import annotations

ELSEWHERE = frozenset(
    f"SLUICE_{name}"
    for name in (
        # the dispatcher
        "API_TOKEN",
        "CLIENT_GRACE",
        "CLIENT_RATE",
        "DATABASE_URL",
        "DISPATCH_WORKER",
        "HTTP_LISTEN",
        # two of the three
        "OUTBOUND",
        "REGISTRY",
        "USERWORKER",
        # the outbound service
        "ALLOW_ADDRESS",
        "ALLOW_PORTS",
        "BODY_IDLE_TIMEOUT",
        "CONNECT_TIMEOUT",
        "CONNECT_TO",
        "DENY_ADDRESS",
        "DNS_TIMEOUT",
        "FIRST_BYTE_TIMEOUT",
        "MAX_CONNECTIONS",
        "MAX_CONNECTIONS_PER_HOST",
        "MAX_CONNECTIONS_PER_WORKER",
        "MAX_LOOKUPS",
        "MAX_LOOKUPS_PER_WORKER",
        "MAX_WEBSOCKETS",
        "MAX_WEBSOCKETS_PER_WORKER",
        "TLS_TIMEOUT",
        # the `sluice` command
        "DISPATCHER",
        # docker-compose.yml
        "BUILD_NETWORK",
        "GRPC_PORT",
        "HTTP_PORT",
        "IMAGE",
        "USERWORKER_CPUS",
        "USERWORKER_MEMORY",
    )
)
"""Their names."""
