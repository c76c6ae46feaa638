"""Bodies: bytes that are at hand, or still to come.

The rule that everything here serves: a body that was cut short is never ended cleanly further on.
Iteration that ends is a clean end; a body that was cut short raises `SluiceError` with
`BODY_CUT_SHORT` (or with the reason that ended it).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Protocol

from sluice.wire.errors import SluiceError

CHUNK = 64 * 1024
"""Most bytes of one body chunk in one protobuf message."""

WHOLE = 256 * 1024
"""Most bytes of a body that goes in the same message as its head."""


class Body(Protocol):
    """The body of a message, read once, by one reader."""

    def take(self) -> tuple[bytes, bool]:
        """Bytes at hand without waiting, and whether they complete the body. Takes them out."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        """The bytes not yet taken, as they come, none empty. Raises where they are cut short."""

    async def aclose(self) -> None:
        """Want no more of it. Before the end, this cuts the body short for its sender.

        Whoever reads a body closes it, after the end too: what the body holds is given back here.
        """


class Whole:
    """A body that is all at hand."""

    __slots__ = ("_data",)

    def __init__(self, data: bytes = b"") -> None:
        self._data = data

    def take(self) -> tuple[bytes, bool]:
        """All of it."""
        data, self._data = self._data, b""
        return data, True

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """All of it, in one piece."""
        if self._data:
            yield self.take()[0]

    async def aclose(self) -> None:
        """Nothing to give back."""


class Watched:
    """A body that counts its bytes, and calls `closed` once with itself when it is over."""

    __slots__ = ("_body", "_closed", "count", "failure")

    def __init__(self, body: Body, closed: Callable[[Watched], None] | None = None) -> None:
        self._body = body
        self._closed = closed
        self.count = 0
        self.failure: SluiceError | None = None
        """What cut it short."""

    def take(self) -> tuple[bytes, bool]:
        """Bytes at hand."""
        data, complete = self._body.take()
        self.count += len(data)
        return data, complete

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """The bytes not yet taken."""
        try:
            async for chunk in self._body:
                self.count += len(chunk)
                yield chunk
        except SluiceError as error:
            self.failure = error
            raise

    async def aclose(self) -> None:
        """Close the body, then say so."""
        closed, self._closed = self._closed, None
        try:
            await self._body.aclose()
        finally:
            if closed is not None:
                closed(self)


def chunks(data: bytes) -> list[bytes]:
    """`data` in pieces of at most `CHUNK` bytes; none for no bytes."""
    if len(data) <= CHUNK:
        return [data] if data else []
    return [data[at : at + CHUNK] for at in range(0, len(data), CHUNK)]
