"""Request targets and absolute URLs (RFC 9112 section 3.2)."""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache

from sluice.http1.malformed import MalformedError
from sluice.wire.errors import Reason, SluiceError

_PORT = r"[0-5]?[0-9]{1,4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]"
_HOST = rf"(?:[A-Za-z0-9._-]{{1,255}}|\[(?P<v6>[0-9A-Fa-f:.]{{2,45}})\])(?::(?:{_PORT}))?"
_AUTHORITY = re.compile(_HOST)
_ABSOLUTE = re.compile(rf"https?://(?P<host>{_HOST})(?:[/?][\x21\x22\x24-\x7e]*)?")
_ORIGIN = re.compile(r"/[\x21\x22\x24-\x7e]*")


def url_of(target: str, hosts: list[bytes], scheme: str) -> str:
    """The absolute URL that a request asks for.

    A target in absolute form overrides `Host`, which may be missing there: workerd sends none.
    """
    if len(hosts) > 1:
        raise MalformedError(400, f"{len(hosts)} Host headers")
    host = _checked(hosts[0]) if hosts else None
    target = target.partition("#")[0]  # Some clients send the fragment, which is theirs to keep.
    if host and _ORIGIN.fullmatch(target):
        return f"{scheme}://{host}{target}"
    if not _is_host(_ABSOLUTE.fullmatch(target)):
        raise MalformedError(400, "neither a path with a Host header nor an absolute http(s) URL")
    return target


def authority(url: str) -> str:
    """Host and port of an absolute URL, for `Host`. Raises `INVALID_REQUEST` for any other text."""
    match = _ABSOLUTE.fullmatch(url)
    if match is None or not _is_host(match):
        raise SluiceError(Reason.INVALID_REQUEST, f"url: {url[:100]!r} cannot be asked for")
    return match["host"]


@lru_cache(maxsize=256)
def _checked(host: bytes) -> str:
    """The text of a `Host` header, checked. Cached, because nearly all are the same few."""
    text = host.decode("latin-1")
    if not _is_host(_AUTHORITY.fullmatch(text)):
        raise MalformedError(400, "the Host header is not a host")
    return text


def _is_host(match: re.Match[str] | None) -> bool:
    """Whether it matched, and what it has in brackets is an address."""
    if match is None:
        return False
    address = match["v6"]
    if address is None:
        return True
    try:
        ipaddress.IPv6Address(address)
    except ValueError:
        return False
    return True
