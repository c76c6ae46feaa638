"""Header lists: `(lowercase name, bytes value)` in order, and what may not be in them.

Facts: a name may repeat, and repeats of `set-cookie` cannot be joined (RFC 9110 section 5.3).
Values are bytes; some are latin-1, some UTF-8, some neither. So headers are a list of pairs
everywhere inside Sluice, and nothing but this file knows which names are special.
"""

from __future__ import annotations

import re

from sluice.wire.errors import Reason, SluiceError

Header = tuple[str, bytes]

CONTROL_PREFIX = "x-sluice-"
"""Names of headers between Sluice and its isolates. Dropped from whatever comes from outside."""

HOPS = f"{CONTROL_PREFIX}hops"
"""On each request to a destination, and back from it: how many times it has left this platform."""

FRAMING = frozenset({"host", "content-length", "transfer-encoding"})
"""Fields that the message's own shape says, and that might contradict it."""

HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "upgrade",
        "http2-settings",
        "sec-websocket-accept",
        "sec-websocket-extensions",
        "sec-websocket-key",
        "sec-websocket-version",
    }
)
"""Fields of one connection (RFC 9110 section 7.6.1), a WebSocket's handshake among them."""

_NOT_CARRIED = FRAMING | HOP_BY_HOP
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]+")
_BAD_VALUE = re.compile(rb"[\r\n\0]")


def carried(headers: list[Header]) -> list[Header]:
    """The headers that go on to the next hop, in order.

    Drops framing, hop-by-hop fields, those that `connection` names, and Sluice's own.
    """
    named: set[str] = set()
    for name, value in headers:
        if name == "connection":
            named.update(t.strip() for t in value.decode("latin-1").lower().split(","))
    return [
        header
        for header in headers
        if header[0] not in _NOT_CARRIED
        and header[0] not in named
        and not header[0].startswith(CONTROL_PREFIX)
    ]


def find(headers: list[Header], name: str) -> bytes | None:
    """Value of the first header of that name."""
    for key, value in headers:
        if key == name:
            return value
    return None


def check(headers: list[Header]) -> None:
    """Raise `INVALID_REQUEST` for a name or value that HTTP/1.1 cannot carry."""
    for name, value in headers:
        if not _TOKEN.fullmatch(name):
            raise SluiceError(
                Reason.INVALID_REQUEST, f"headers: {name!r} is not a lowercase header name"
            )
        if _BAD_VALUE.search(value):
            raise SluiceError(
                Reason.INVALID_REQUEST, f"headers: the value of {name!r} has a CR, LF or NUL"
            )
        if name in FRAMING:
            raise SluiceError(
                Reason.INVALID_REQUEST, f"headers: {name!r} is said by the message, not by a header"
            )
