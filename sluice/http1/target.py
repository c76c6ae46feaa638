"""Request targets and absolute URLs (RFC 9112 section 3.2)."""

from __future__ import annotations

import re

from sluice.http1.malformed import MalformedError
from sluice.wire.errors import Reason, SluiceError

_HOST = r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?"
_AUTHORITY = re.compile(_HOST.encode())
_ABSOLUTE = re.compile(rf"https?://({_HOST})(?:[/?][\x21\x22\x24-\x7e]*)?")
_ORIGIN = re.compile(rb"/[\x21\x22\x24-\x7e]*")


def url_of(target: bytes, hosts: list[bytes], scheme: str) -> str:
    """The absolute URL that a request asks for.

    A target in absolute form overrides `Host`, which may be missing there: workerd sends none.
    """
    if len(hosts) > 1 or not (hosts or target.startswith(b"http")):
        raise MalformedError(400, f"{len(hosts)} Host headers")
    if hosts and not _AUTHORITY.fullmatch(hosts[0]):
        raise MalformedError(400, "the Host header is not a host")
    if _ORIGIN.fullmatch(target):
        return f"{scheme}://{hosts[0].decode()}{target.decode()}"
    url = target.decode("latin-1")
    if not _ABSOLUTE.fullmatch(url):
        raise MalformedError(400, "the target is neither a path nor an absolute http(s) URL")
    return url


def authority(url: str) -> str:
    """Host and port of an absolute URL, for `Host`. Raises `INVALID_REQUEST` for any other text."""
    match = _ABSOLUTE.fullmatch(url)
    if match is None:
        raise SluiceError(Reason.INVALID_REQUEST, f"url: {url[:100]!r} cannot be asked for")
    return match[1]
