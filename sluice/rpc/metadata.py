"""Metadata of a call, as header fields and back; and its deadline."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable
from typing import TypeAlias

from sluice.http2.fields import Fields

Metadata: TypeAlias = tuple[tuple[str, str | bytes], ...]
"""Names, lowercase, and values: bytes where the name ends in `-bin`, else text."""

_OURS = (b":", b"grpc-")
_KEPT = b"grpc-status-details-bin"
_HTTP = frozenset({b"content-type", b"te", b"user-agent"})
_TIMEOUT = re.compile(rb"([0-9]{1,8})([HMSmun])")
_UNITS = {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}


def to_fields(metadata: Iterable[tuple[str, str | bytes]]) -> list[tuple[bytes, bytes]]:
    """Metadata as header fields."""
    return [(name.encode("ascii"), _value(value)) for name, value in metadata]


def to_metadata(fields: Fields) -> Metadata:
    """What header fields say besides what gRPC and HTTP say by them."""
    return tuple(
        (name.decode("latin-1"), _parsed(name, value))
        for name, value in fields
        if name == _KEPT or not (name.startswith(_OURS) or name in _HTTP)
    )


def timeout(value: bytes) -> float | None:
    """Seconds that `grpc-timeout` gives a call; None where it has no such form."""
    match = _TIMEOUT.fullmatch(value)
    return int(match[1]) * _UNITS[match[2]] if match else None


def _value(value: str | bytes) -> bytes:
    if isinstance(value, bytes):
        return base64.b64encode(value).rstrip(b"=")
    return value.encode("latin-1", "replace")


def _parsed(name: bytes, value: bytes) -> str | bytes:
    if not name.endswith(b"-bin"):
        return value.decode("latin-1")
    try:
        return base64.b64decode(value + b"=" * (-len(value) % 4))
    except (binascii.Error, ValueError):
        return b""
