"""What both ends here know of a message's head: fields that are no Worker's to say, and bounds."""

from __future__ import annotations

HOP_BY_HOP = frozenset(
    {
        "connection",
        "content-length",
        "keep-alive",
        "proxy-connection",
        "sec-websocket-accept",
        "sec-websocket-extensions",
        "sec-websocket-key",
        "sec-websocket-version",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""Fields that aiohttp writes for each connection. The host takes the same ones out, and more."""

MAX_HEAD = 128 * 1024
"""Most bytes of a line of a head, as the host bounds all of it."""

MAX_HEADERS = 256
"""Most fields of a head, as the host has it."""
