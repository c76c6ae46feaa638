"""The head of a request, byte for byte.

aiohttp's own writer is not used: it encodes values as UTF-8, so that other bytes cannot be sent;
it makes methods upper case; and `yarl` drops a `?` that nothing follows.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from yarl import URL

from sluice.wire import headers as header_list
from sluice.wire.errors import Reason, SluiceError
from sluice.wire.messages import Request

_URL = re.compile(r"((?i:https?))://([A-Za-z0-9._~!$&'()*+,;=%:\[\]-]+)([/?][\x21\x22\x24-\x7e]*)?")
_METHOD = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_NOT_SENT = frozenset({"expect"})
"""The body follows at once, so nothing may be asked first (RFC 9110 section 10.1.1)."""

MAX_AUTHORITY = 300
"""Most bytes of a URL's host and port: 255 of a name, and a port."""

CHUNKED = b"transfer-encoding: chunked\r\n"
_LENGTH_EXPECTED = frozenset({"POST", "PUT"})
"""Methods whose requests say `content-length: 0` where there is no body (Fetch, 4.6)."""


class Location(NamedTuple):
    """The parts of a URL, as they are written there."""

    scheme: str
    authority: str
    target: str
    """Path and query, never normalised."""


def locate(url: str) -> Location:
    """The parts of an absolute URL. Raises `INVALID_REQUEST`.

    One parse serves the socket, the `Host` header and the request line: they cannot disagree.
    """
    match = _URL.fullmatch(url)
    if match is None:
        raise SluiceError(Reason.INVALID_REQUEST, "the URL is not absolute, http(s) and ASCII")
    scheme, authority, target = match.groups()
    if not target:
        target = "/"
    elif target[0] == "?":
        target = f"/{target}"
    return Location(scheme.lower(), authority, target)


class Origin(NamedTuple):
    """Where a URL's requests go."""

    url: URL
    host: str
    """Lower case, IPv6 without brackets."""
    port: int


def origin(scheme: str, authority: str) -> Origin:
    """The origin that parts of a `Location` name. Raises `INVALID_REQUEST`.

    The one reading of a host: the client connects to it, and the egress policy judges it.
    """
    if len(authority) > MAX_AUTHORITY:
        raise SluiceError(Reason.INVALID_REQUEST, "the URL's host is too long")
    try:
        url = URL(f"{scheme}://{authority.lower()}/", encoded=True)
        host, port = url.raw_host, url.port
    except ValueError as error:
        raise SluiceError(Reason.INVALID_REQUEST, f"the URL's host: {error}") from error
    if not host or port is None:
        raise SluiceError(Reason.INVALID_REQUEST, "the URL has no host")
    return Origin(url, host, port)


def host_of(url: str) -> str:
    """The host that a request for `url` is sent to. Raises `INVALID_REQUEST`."""
    location = locate(url)
    return origin(location.scheme, location.authority).host


def head(request: Request, location: Location, framing: bytes) -> bytes:
    """Request line and headers, in order. Raises `INVALID_REQUEST` for what HTTP cannot carry."""
    if not _METHOD.fullmatch(request.method) or request.method == "CONNECT":
        raise SluiceError(Reason.INVALID_REQUEST, f"{request.method[:64]!r} is not carried")
    header_list.check(request.headers)
    start = f"{request.method} {location.target} HTTP/1.1\r\nhost: {location.authority}\r\n"
    lines = [
        b"%b: %b\r\n" % (name.encode("ascii"), value)
        for name, value in request.headers
        if name not in _NOT_SENT
    ]
    return b"".join((start.encode("ascii"), *lines, framing, b"\r\n"))


def framing(request: Request, data: bytes, complete: bool) -> bytes:
    """The header line that tells the end of a body of which `data` is at hand, or nothing."""
    said = request.content_length
    if said is not None:
        if said < len(data) or (complete and said != len(data)):
            raise SluiceError(
                Reason.INVALID_REQUEST, f"the body has {len(data)} bytes; its head says {said}"
            )
        return b"content-length: %d\r\n" % said
    if not complete:
        return CHUNKED
    if data or request.method in _LENGTH_EXPECTED:
        return b"content-length: %d\r\n" % len(data)
    return b""
