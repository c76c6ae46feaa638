from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from sluice.wire.body import Whole
from sluice.wire.bounded import bound
from sluice.wire.errors import Reason, SluiceError
from sluice.wire.messages import Request
from tests.bodies import read_all


class Pieces:
    """A body of some pieces, the first at hand."""

    def __init__(self, *pieces: bytes) -> None:
        self._pieces = list(pieces)
        self.closed = False

    def take(self) -> tuple[bytes, bool]:
        return self._pieces.pop(0), not self._pieces

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while self._pieces:
            yield self._pieces.pop(0)

    async def aclose(self) -> None:
        self.closed = True


@pytest.mark.parametrize("pieces", [(b"abcde",), (b"", b"abcde"), (b"ab", b"cd", b"e")])
async def test_body_of_the_limit_passes(pieces: tuple[bytes, ...]) -> None:
    """As many bytes as the limit are none too many."""
    request = Request("POST", "http://a.test/", body=Pieces(*pieces))
    bound(request, 5, "body")
    assert await read_all(request.body, 100) == b"abcde"


@pytest.mark.parametrize("pieces", [(b"abcdef",), (b"", b"abcdef"), (b"ab", b"cd", b"ef")])
async def test_longer_body_fails(pieces: tuple[bytes, ...]) -> None:
    """One byte more fails its reader with the limit in words, and closes the body with it."""
    body = Pieces(*pieces)
    request = Request("POST", "http://a.test/", body=body)
    bound(request, 5, "request's body")
    with pytest.raises(SluiceError, match="request's body is larger than 5 bytes") as raised:
        await read_all(request.body, 100)
    assert raised.value.reason is Reason.BODY_TOO_LARGE
    await request.body.aclose()
    assert body.closed


def test_length_is_believed() -> None:
    """A body that says its length is refused before a byte is read, and not counted again."""
    body = Whole(b"abcde")
    request = Request("POST", "http://a.test/", body=body, content_length=5)
    bound(request, 5, "body")
    assert request.body is body
    with pytest.raises(SluiceError, match="larger than 4 bytes"):
        bound(request, 4, "body")


def test_no_limit() -> None:
    """Without a limit nothing is counted."""
    body = Whole(b"abcde")
    request = Request("POST", "http://a.test/", body=body)
    bound(request, None, "body")
    assert request.body is body
