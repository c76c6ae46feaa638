"""What a header field may be (RFC 9110 section 5)."""

from __future__ import annotations

import re
from typing import Any

_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_ILLEGAL = re.compile(r"[\x00\r\n]")
_SPACE = "\t\n\r "


def name(text: Any) -> str:
    """The name of a field. Raises `TypeError` for what is none."""
    if not isinstance(text, str) or not _NAME.fullmatch(text):
        raise TypeError(f"Invalid header name: {text!r}")
    return text


def token(given: Any, what: str) -> str:
    """The text of a token, such as a method. Raises `TypeError` that says `what` is none."""
    text = str(given)
    if not _NAME.fullmatch(text):
        raise TypeError(f"Invalid {what}: {text!r}")
    return text


def value(of: str, given: Any) -> str:
    """The value of a field, as text. Raises `TypeError` for what no field can hold."""
    text = given.decode("latin-1") if isinstance(given, bytes) else str(given)
    text = text.strip(_SPACE)
    if _ILLEGAL.search(text):
        raise TypeError(f"Invalid header value: {of} has a line break or a NUL")
    return text
