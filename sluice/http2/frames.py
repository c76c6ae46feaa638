"""Frames: bytes on the wire (RFC 9113 sections 4.1 and 6). No I/O."""

from __future__ import annotations

import struct

from sluice.http2.failure import Code, ConnectionFailure

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY = range(8)
WINDOW_UPDATE, CONTINUATION = 8, 9

END_STREAM = ACK = 0x1
END_HEADERS = 0x4
PADDED = 0x8
HAS_PRIORITY = 0x20

HEAD = struct.Struct(">HBBBI")
"""Length (16 and 8 bits), type, flags, stream."""

HEAD_SIZE = HEAD.size

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

MAX_NUMBER = 2**31 - 1
"""The last stream of a connection, and the largest window."""

_SETTING = struct.Struct(">HI")
_WORD = struct.Struct(">I")


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """One frame."""
    size = len(payload)
    return HEAD.pack(size >> 8, size & 0xFF, kind, flags, stream) + payload


def settings(values: dict[int, int]) -> bytes:
    """A SETTINGS frame."""
    return frame(SETTINGS, 0, 0, b"".join(_SETTING.pack(*item) for item in values.items()))


def read_settings(payload: bytes) -> dict[int, int]:
    """The settings in a SETTINGS frame. Of one that is there twice, the last."""
    return dict(_SETTING.iter_unpack(payload))


def word(value: int) -> bytes:
    """The payload of RST_STREAM and of WINDOW_UPDATE."""
    return _WORD.pack(value)


def read_word(payload: bytes) -> int:
    """The number in the first 32 bits."""
    number: int = _WORD.unpack_from(payload)[0]
    return number


def check(name: str, *, stream: bool, size: bool) -> None:
    """Raise `ConnectionFailure` for a frame whose stream or size is not right (section 6)."""
    if not stream:
        raise ConnectionFailure(Code.PROTOCOL_ERROR, f"{name} of the wrong stream")
    if not size:
        raise ConnectionFailure(Code.FRAME_SIZE_ERROR, f"{name} of no form")


def unpadded(flags: int, payload: bytes) -> bytes:
    """What a DATA or HEADERS frame carries, without padding and priority.

    Raises `ConnectionFailure` for padding that is longer than the frame.
    """
    if not flags & (PADDED | HAS_PRIORITY):
        return payload
    begin, end = 0, len(payload)
    if flags & PADDED:
        if not payload:
            raise ConnectionFailure(Code.PROTOCOL_ERROR, "a frame without a length of its padding")
        begin, end = 1, end - payload[0]
    if flags & HAS_PRIORITY:
        begin += 5
    if begin > end:
        raise ConnectionFailure(Code.PROTOCOL_ERROR, "a frame padded beyond its end")
    return payload[begin:end]
