"""Blocks of header fields, which may come in several frames (RFC 9113 section 4.3)."""

from __future__ import annotations

from sluice.http2 import frames
from sluice.http2.failure import Code, ConnectionFailure
from sluice.http2.limits import Limits


class Block:
    """A block that is coming, of stream `id`; `ended`: with it the stream's far side ends."""

    __slots__ = ("_parts", "_size", "ended", "id")

    def __init__(self, number: int, *, ended: bool) -> None:
        self.id = number
        self.ended = ended
        self._parts: list[bytes] = []
        self._size = 0

    def add(self, part: bytes, limits: Limits) -> None:
        """Take a part. Raises `ConnectionFailure` where it is one too many (CVE-2024-27316)."""
        self._parts.append(part)
        self._size += len(part)
        if self._size > limits.fields or len(self._parts) > limits.continuations:
            raise ConnectionFailure(Code.ENHANCE_YOUR_CALM, "too many header fields")

    def whole(self) -> bytes:
        """All of it."""
        return self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)


def in_frames(stream: int, block: bytes, most: int, *, end: bool) -> bytes:
    """A block as it is sent, in frames of at most `most` bytes."""
    flags = frames.END_STREAM if end else 0
    if len(block) <= most:
        return frames.frame(frames.HEADERS, flags | frames.END_HEADERS, stream, block)
    out = [frames.frame(frames.HEADERS, flags, stream, block[:most])]
    for at in range(most, len(block), most):
        last = frames.END_HEADERS if at + most >= len(block) else 0
        out.append(frames.frame(frames.CONTINUATION, last, stream, block[at : at + most]))
    return b"".join(out)
