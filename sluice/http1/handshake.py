"""The opening handshake of a WebSocket (RFC 6455 section 4). Pure.

The subprotocol is a header like any other; extensions are never offered and never accepted.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import secrets
from collections.abc import Mapping

from sluice.http1.malformed import MalformedError

WEBSOCKET = "websocket"
"""What `Upgrade` says."""

VERSION = b"13"

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_KEY_BYTES = 16


def new_key() -> bytes:
    """A key for one request."""
    return base64.b64encode(secrets.token_bytes(_KEY_BYTES))


def accept_of(key: bytes) -> bytes:
    """What the answer to a request with `key` must say."""
    return base64.b64encode(hashlib.sha1(key + _GUID, usedforsecurity=False).digest())


def request_lines(key: bytes) -> bytes:
    """Lines of the head that asks for a WebSocket."""
    return (
        b"connection: Upgrade\r\nupgrade: websocket\r\n"
        b"sec-websocket-version: %b\r\nsec-websocket-key: %b\r\n" % (VERSION, key)
    )


def response_lines(key: bytes) -> bytes:
    """Lines of the head that opens it."""
    accept = accept_of(key)
    return b"connection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: %b\r\n" % accept


def key_of(own: Mapping[str, list[bytes]]) -> bytes:
    """The key of a request that asks for a WebSocket. Raises `MalformedError` for a bad one."""
    if own.get("sec-websocket-version") != [VERSION]:
        raise MalformedError(426, "sec-websocket-version is not 13")
    keys = own.get("sec-websocket-key", [])
    try:
        sizes = [len(base64.b64decode(key, validate=True)) for key in keys]
    except binascii.Error:
        sizes = []
    if sizes != [_KEY_BYTES]:
        raise MalformedError(400, "sec-websocket-key is not 16 bytes in base64")
    return keys[0]


def is_accepted(key: bytes, own: Mapping[str, list[bytes]]) -> bool:
    """Whether the hop-by-hop headers of a 101 response open the WebSocket that `key` asked for."""
    upgrades = [value.lower() for value in own.get("upgrade", [])]
    options = b",".join(own.get("connection", [])).lower().split(b",")
    return (
        upgrades == [b"websocket"]
        and b"upgrade" in [option.strip() for option in options]
        and own.get("sec-websocket-accept") == [accept_of(key)]
        and not own.get("sec-websocket-extensions")
    )
