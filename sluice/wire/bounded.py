"""The most bytes that a body may have."""

from __future__ import annotations

from collections.abc import AsyncIterator

from sluice.wire.body import Body
from sluice.wire.errors import Reason, SluiceError
from sluice.wire.messages import Request, Response


class Bounded:
    """A body that fails with `BODY_TOO_LARGE` once it is longer than `limit` bytes."""

    __slots__ = ("_body", "_left", "_limit", "_what")

    def __init__(self, body: Body, limit: int, what: str) -> None:
        self._body = body
        self._left = self._limit = limit
        self._what = what

    def take(self) -> tuple[bytes, bool]:
        """Bytes at hand. Those over the limit are left to the reader, who fails."""
        data, complete = self._body.take()
        self._left -= len(data)
        return (data, complete) if self._left >= 0 else (b"", False)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """The bytes not yet taken. Raises `BODY_TOO_LARGE`."""
        if self._left < 0:
            raise _too_large(self._what, self._limit)
        async for chunk in self._body:
            self._left -= len(chunk)
            if self._left < 0:
                raise _too_large(self._what, self._limit)
            yield chunk

    async def aclose(self) -> None:
        """Close the body."""
        await self._body.aclose()


def bound(message: Request | Response, limit: int | None, what: str) -> None:
    """Let the body of `message` have at most `limit` bytes; None: as many as it likes.

    Raises `BODY_TOO_LARGE` where it says that it has more. A body whose length is said has that
    length, by the rules of what carries it; any other is counted as it comes.
    """
    if limit is None:
        return
    if message.content_length is None:
        message.body = Bounded(message.body, limit, what)
    elif message.content_length > limit:
        raise _too_large(what, limit)


async def bound_response(response: Response, limit: int | None) -> Response:
    """`response`, its body bounded. One that says that it is too long is closed."""
    try:
        bound(response, limit, "response's body")
    except SluiceError:
        await response.aclose()
        raise
    return response


def _too_large(what: str, limit: int) -> SluiceError:
    return SluiceError(Reason.BODY_TOO_LARGE, f"The {what} is larger than {limit} bytes.")
