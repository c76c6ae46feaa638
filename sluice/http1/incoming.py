"""The body of a message while it arrives."""

from __future__ import annotations

import asyncio
from typing import Protocol

from sluice.wire.errors import Reason, SluiceError

HIGH_WATER = 128 * 1024
"""Bytes at hand above which no more are read, until the reader takes them."""


CRUMBS = 4096
"""Bytes up to which pieces are kept as one: an object for each chunk of two bytes takes thirty."""


class Source(Protocol):
    """The connection that a body comes from."""

    def hold(self) -> None:
        """Stop reading."""

    def release(self) -> None:
        """Take back one `hold`."""

    def wanted(self) -> None:
        """A reader waits for bytes that are not at hand."""

    def unwanted(self) -> None:
        """The reader wants no more, before the end."""


class Incoming:
    """A `Body` that a connection feeds. It holds at most `HIGH_WATER` and one read."""

    __slots__ = (
        "_error",
        "_held",
        "_pieces",
        "_size",
        "_source",
        "_waiter",
        "complete",
        "received",
    )

    def __init__(self, source: Source) -> None:
        self.complete = False
        """Whether the end has arrived. Bytes may still be at hand."""
        self.received = 0
        """Bytes that have come so far."""
        self._source = source
        self._pieces: list[bytes] = []
        self._size = 0
        self._held = False
        self._error: SluiceError | None = None
        self._waiter: asyncio.Future[None] | None = None

    @property
    def waiting(self) -> bool:
        """Whether a reader waits for bytes."""
        return self._waiter is not None

    def feed(self, data: bytes) -> None:
        """More of it arrived."""
        if self._error is not None:
            return
        pieces = self._pieces
        if pieces and len(pieces[-1]) + len(data) <= CRUMBS:
            pieces[-1] += data
        else:
            pieces.append(data)
        self._size += len(data)
        self.received += len(data)
        if self._size > HIGH_WATER and not self._held:
            self._held = True
            self._source.hold()
        self._wake()

    def finish(self) -> None:
        """It ended cleanly."""
        self.complete = True
        self._let_go()
        self._wake()

    def fail(self, error: SluiceError) -> None:
        """It was cut short. What is at hand can still be read; then `error` is raised."""
        if not self.complete and self._error is None:
            self._error = error
            self._let_go()
            self._wake()

    def take(self) -> tuple[bytes, bool]:
        """Bytes at hand, and whether they complete the body."""
        pieces = self._pieces
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        self._size = 0
        self._let_go()
        return data, self.complete

    def __aiter__(self) -> Incoming:
        return self

    async def __anext__(self) -> bytes:
        while not self._pieces:
            if self.complete:
                raise StopAsyncIteration
            if self._error is not None:
                raise self._error
            await self._more()
        return self.take()[0]

    async def aclose(self) -> None:
        """Want no more of it."""
        self._pieces.clear()
        self._size = 0
        if not self.complete and self._error is None:
            self._error = SluiceError(Reason.BODY_CUT_SHORT, "the body was closed by its reader")
            self._wake()
            self._source.unwanted()
        self._let_go()

    async def _more(self) -> None:
        self._waiter = asyncio.get_running_loop().create_future()
        self._source.wanted()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _let_go(self) -> None:
        if self._held:
            self._held = False
            self._source.release()
