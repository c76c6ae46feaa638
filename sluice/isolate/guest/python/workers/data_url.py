"""`data:` URLs, which are answered in the isolate (https://fetch.spec.whatwg.org/#data-urls)."""

from __future__ import annotations

import binascii
import re
from urllib.parse import unquote_to_bytes

SCHEME = "data:"

_BASE64 = re.compile(r";\s*base64\s*$", re.IGNORECASE)
_TYPE = "text/plain;charset=US-ASCII"


def is_data(url: str) -> bool:
    """Whether it is one."""
    return url[: len(SCHEME)].lower() == SCHEME


def decode(url: str) -> tuple[str, bytes]:
    """Type and content of one. Raises `TypeError` where it has no comma."""
    head, comma, data = url[len(SCHEME) :].partition("#")[0].partition(",")
    if not comma:
        raise TypeError(f"Fetch API cannot load: {url[:200]}")
    kind, is_base64 = _BASE64.subn("", head.strip())
    content = unquote_to_bytes(data)
    if kind.startswith(";"):
        kind = "text/plain" + kind
    return kind or _TYPE, _from_base64(content) if is_base64 else content


def _from_base64(text: bytes) -> bytes:
    """What base64 means, empty where it means nothing, as in workerd."""
    bare = re.sub(rb"[\s=]", b"", text)
    try:
        return binascii.a2b_base64(bare + b"=" * (-len(bare) % 4), strict_mode=True)
    except binascii.Error:
        return b""
