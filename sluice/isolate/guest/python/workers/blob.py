"""Immutable bytes with a type, and files."""

from __future__ import annotations

import time
from collections.abc import Iterable
from enum import StrEnum
from typing import Any

from workers.body import Buffer


class BlobEnding(StrEnum):
    """What becomes of line breaks in text parts."""

    TRANSPARENT = "transparent"
    NATIVE = "native"


class Blob:
    """Bytes with a MIME type.

    `blob_parts` is one part, or an iterable of parts: `str`, `bytes` and the like, or a `Blob`. A
    single `Blob` also gives its type. https://developer.mozilla.org/en-US/docs/Web/API/Blob
    """

    def __init__(
        self,
        blob_parts: Any,
        content_type: str | None = None,
        endings: BlobEnding | str | None = None,
    ) -> None:
        if isinstance(blob_parts, Blob):
            content_type = content_type or blob_parts.content_type
        is_native = endings is not None and BlobEnding(endings) is BlobEnding.NATIVE
        self._content = b"".join(_bytes_of(part, is_native) for part in _parts(blob_parts))
        self._content_type = (content_type or "").lower()

    @property
    def size(self) -> int:
        """How many bytes it has."""
        return len(self._content)

    @property
    def content_type(self) -> str:
        """Its MIME type; empty where nobody said one."""
        return self._content_type

    type = content_type
    """JavaScript's name of `content_type`."""

    async def text(self) -> str:
        """Return it as UTF-8 text."""
        return self._content.decode(errors="replace")

    async def bytes(self) -> Buffer:
        """Return its bytes."""
        return Buffer(self._content)

    def slice(
        self, start: int | None = None, end: int | None = None, content_type: str | None = None
    ) -> Blob:
        """Copy part of it, as a Python slice does."""
        return Blob([self._content[start:end]], content_type)

    def getvalue(self) -> Buffer:
        """Return its bytes at once. Not in Cloudflare's API."""
        return Buffer(self._content)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(size={self.size}, content_type={self.content_type!r})"


class File(Blob):
    """A `Blob` with a name. `last_modified` is in milliseconds since 1970."""

    name: str
    last_modified: int

    def __init__(
        self,
        blob_parts: Any,
        filename: str,
        content_type: str | None = None,
        endings: BlobEnding | str | None = None,
        last_modified: int | None = None,
    ) -> None:
        super().__init__(blob_parts, content_type, endings)
        if last_modified is None and isinstance(blob_parts, File):
            last_modified = blob_parts.last_modified
        self.name = filename
        self.last_modified = time.time_ns() // 1_000_000 if last_modified is None else last_modified


def _parts(given: Any) -> Iterable[Any]:
    single = isinstance(given, str | bytes | bytearray | memoryview | Blob)
    return [given] if single else given


def _bytes_of(part: Any, is_native: bool) -> bytes:
    if isinstance(part, Blob):
        return part.getvalue()
    if isinstance(part, str):
        return (part.replace("\r\n", "\n") if is_native else part).encode()
    try:
        return bytes(memoryview(part))
    except TypeError:
        raise TypeError(f"Don't know how to handle {type(part)} for Blob()") from None
