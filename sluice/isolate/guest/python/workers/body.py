"""The body of a request or a response: bytes that are at hand, or a stream of them."""

from __future__ import annotations

import asyncio
import zlib
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator
from typing import Any

MAX_BUFFERED = 128 * 1024 * 1024
"""Most bytes of a stream that are held at once, to be read whole or a second time."""

USED = "Body already used"

_GZIP = 31
_PIECE = 64 * 1024


class Buffer(bytes):
    """Bytes with the names that Pyodide's `ArrayBuffer` and `Uint8Array` have for them."""

    def to_bytes(self) -> bytes:
        """Return the bytes."""
        return bytes(self)

    def to_py(self) -> memoryview:
        """Return a view of the bytes."""
        return memoryview(self)

    def to_string(self) -> str:
        """Return the bytes as UTF-8 text."""
        return self.decode()


class Body:
    """A body, which is read once: iterated, or by `read()`.

    It stands where Cloudflare has a `ReadableStream`. `coding` is `gzip` where the bytes came that
    way from the network: who reads them gets them decoded, as in JavaScript; who sends them on
    sends them as they are.
    """

    def __init__(
        self,
        content: bytes | AsyncIterable[Any],
        *,
        length: int | None = None,
        coding: str | None = None,
    ) -> None:
        self.is_used = False
        self.coding = coding
        self.content: bytes | AsyncIterable[Any] | None = content
        self.length = len(content) if isinstance(content, bytes) else length
        """How many bytes, coded, if it is known."""

    @property
    def locked(self) -> bool:
        """Whether it has a reader."""
        return self.is_used

    def take(self) -> bytes | AsyncIterable[Any]:
        """Become used, and give the content as it is. Raises `OSError` the second time."""
        if self.is_used or self.content is None:
            raise OSError(USED)
        self.is_used = True
        content, self.content = self.content, None
        return content

    def sent(self) -> bytes | AsyncGenerator[bytes, None]:
        """Become used, and give what goes on the wire."""
        content = self.take()
        return content if isinstance(content, bytes) else _checked(content)

    async def __aiter__(self) -> AsyncGenerator[Buffer, None]:
        content = self.take()
        chunks = _one(content) if isinstance(content, bytes) else _checked(content)
        async for chunk in _decoded(chunks, self.coding):
            if chunk:
                yield Buffer(chunk)

    async def read(self) -> bytes:
        """Return all of it. Raises `OSError` where that is more than `MAX_BUFFERED` bytes."""
        if isinstance(self.content, bytes) and self.coding is None:
            return bytes(self.take())  # type: ignore[arg-type] # what was just seen
        chunks, size = [], 0
        async for chunk in self:
            size += len(chunk)
            if size > MAX_BUFFERED:
                raise OSError(f"The body is larger than {MAX_BUFFERED} bytes: read it as a stream.")
            chunks.append(chunk)
        return b"".join(chunks)

    def tee(self) -> tuple[Body, Body]:
        """Become used, and give two bodies with the same content."""
        content = self.take()
        if isinstance(content, bytes):
            pair = content, content
        else:
            source = _Tee(_checked(content))
            pair = source.branch(0), source.branch(1)  # type: ignore[assignment]
        first, second = (Body(each, length=self.length, coding=self.coding) for each in pair)
        return first, second


class _Tee:
    """One stream for two readers. What the slower one has yet to read is kept."""

    def __init__(self, source: AsyncIterator[bytes]) -> None:
        self._source = source
        self._waiting: tuple[deque[bytes], deque[bytes]] = (deque(), deque())
        self._held = 0
        self._is_over = False
        self._failure: Exception | None = None
        self._lock = asyncio.Lock()

    async def branch(self, number: int) -> AsyncIterator[bytes]:
        waiting = self._waiting[number]
        while True:
            async with self._lock:
                if not waiting and not self._is_over:
                    await self._pull()
            if not waiting:
                break
            chunk = waiting.popleft()
            self._held -= len(chunk)
            yield chunk
        if self._failure is not None:
            raise self._failure

    async def _pull(self) -> None:
        try:
            chunk = await anext(self._source, None)
        except Exception as failure:
            self._failure, chunk = failure, None
        if chunk is None:
            self._is_over = True
            return
        self._held += 2 * len(chunk)
        if self._held > MAX_BUFFERED:
            raise OSError(
                f"One of two clones of a body is more than {MAX_BUFFERED // 2} bytes ahead."
            )
        for waiting in self._waiting:
            waiting.append(chunk)


async def _one(content: bytes) -> AsyncIterator[bytes]:
    yield content


async def _checked(content: AsyncIterable[Any]) -> AsyncGenerator[bytes, None]:
    """Chunks of a stream that a Worker may have made."""
    async for chunk in content:
        if isinstance(chunk, str):
            yield chunk.encode()
        elif isinstance(chunk, bytes | bytearray | memoryview):
            yield bytes(chunk)
        else:
            raise TypeError(f"A body's chunks must be bytes or str, not {type(chunk).__name__}")


async def _decoded(chunks: AsyncIterator[bytes], coding: str | None) -> AsyncIterator[bytes]:
    if coding is None:
        async for chunk in chunks:
            yield chunk
        return
    decoder = zlib.decompressobj(_GZIP)
    async for chunk in chunks:
        rest = chunk
        while rest:
            if decoder.eof:  # The next member (RFC 1952 section 2.2).
                decoder = zlib.decompressobj(_GZIP)
            # A piece at a time: a small body may stand for a very large one.
            try:
                piece = decoder.decompress(rest, _PIECE)
            except zlib.error as error:
                raise TypeError("Gzip decompression failed.") from error
            yield piece
            rest = decoder.unconsumed_tail or decoder.unused_data
    yield decoder.flush()
    if not decoder.eof:
        raise OSError("The gzip stream of the body was cut short.")
