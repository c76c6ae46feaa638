"""Header lists: `(lowercase name, bytes value)` in order, and what may not be in them.

Facts: a name may repeat, and repeats of `set-cookie` cannot be joined (RFC 9110 section 5.3).
Values are bytes; some are latin-1, some UTF-8, some neither. So headers are a list of pairs
everywhere inside Sluice, and nothing but this file knows which names are special.
"""

from __future__ import annotations

import re
from functools import lru_cache

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

MAX_HEADERS = 256
"""Most headers of a message."""

MAX_NAME = 256
"""Most bytes of a header's name."""

MAX_BYTES = 128 * 1024
"""Most bytes of a header list as HTTP/1.1 writes it: four more a header than it has."""

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


def check_carried(headers: list[Header], reason: Reason = Reason.INVALID_REQUEST) -> None:
    """Raise `reason` for a list that `carried` could not have made, or that is over a limit.

    For what a peer service sends: all of it has been through `carried` there.
    """
    if len(headers) > MAX_HEADERS:
        raise SluiceError(reason, f"headers: {len(headers)}, over {MAX_HEADERS}")
    size = 4 * len(headers)
    for name, value in headers:
        try:
            _check_name(name)
        except ValueError as error:
            raise SluiceError(reason, f"headers: {error}") from None
        size += len(name) + len(value)
    if size > MAX_BYTES:
        raise SluiceError(reason, f"headers: {size} bytes, over {MAX_BYTES}")
    if _BAD_VALUE.search(b" ".join([value for _, value in headers])):
        name = next(name for name, value in headers if _BAD_VALUE.search(value))
        raise SluiceError(reason, f"headers: the value of {name!r} has a CR, LF or NUL")


@lru_cache(maxsize=1024)
def _check_name(name: str) -> None:
    """Raise `ValueError` for a name that is not carried. Only good names are cached."""
    if not _TOKEN.fullmatch(name):
        raise ValueError(f"{name[:100]!r} is not a lowercase header name")
    if len(name) > MAX_NAME:
        raise ValueError(f"{name[:100]!r}... is a name of {len(name)} bytes, over {MAX_NAME}")
    if name in FRAMING:
        raise ValueError(f"{name!r} is said by the message, not by a header")
    if name in HOP_BY_HOP:
        raise ValueError(f"{name!r} is of one connection, and never carried")
    if name.startswith(CONTROL_PREFIX):
        raise ValueError(f"{name!r} is Sluice's own, and never carried")


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
