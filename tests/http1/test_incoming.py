"""A body while it arrives."""

from __future__ import annotations

import asyncio
import sys

import pytest

from sluice.http1.incoming import HIGH_WATER, Incoming
from sluice.wire.errors import Reason, SluiceError
from tests.http1.conftest import CUT, until


class Tap:
    """A source that counts what it is asked."""

    def __init__(self) -> None:
        self.holds = 0
        self.asked = 0
        self.dropped = 0

    def hold(self) -> None:
        """Count it."""
        self.holds += 1

    def release(self) -> None:
        """Count it."""
        self.holds -= 1

    def wanted(self) -> None:
        """Count it."""
        self.asked += 1

    def unwanted(self) -> None:
        """Count it."""
        self.dropped += 1


@pytest.fixture
def tap() -> Tap:
    """A source."""
    return Tap()


async def test_what_is_at_hand_is_taken_whole(tap: Tap) -> None:
    """`take` joins what came, and says whether it is all."""
    body = Incoming(tap)
    assert body.take() == (b"", False)
    body.feed(b"a")
    body.feed(b"b")
    assert body.take() == (b"ab", False)
    body.feed(b"c")
    body.finish()
    assert body.take() == (b"c", True)
    assert [piece async for piece in body] == []
    assert tap.asked == 0


async def test_iteration_waits_and_ends_cleanly(tap: Tap) -> None:
    """A reader gets what comes while it waits, and then the end."""
    body = Incoming(tap)
    pieces: list[bytes] = []

    async def read() -> None:
        pieces.extend([piece async for piece in body])

    reading = asyncio.create_task(read())
    await until(lambda: body.waiting)
    body.feed(b"a")
    await until(lambda: tap.asked == 2)
    body.finish()
    await reading
    assert pieces == [b"a"]
    assert not body.waiting


async def test_it_is_held_while_full(tap: Tap) -> None:
    """Above the mark the source is held once, and released when the reader takes."""
    body = Incoming(tap)
    body.feed(bytes(HIGH_WATER))
    assert tap.holds == 0
    body.feed(b"a")
    body.feed(b"b")
    assert tap.holds == 1
    body.take()
    assert tap.holds == 0


@pytest.mark.parametrize("end", ["finish", "fail", "aclose"])
async def test_the_end_releases(tap: Tap, end: str) -> None:
    """However it ends, the connection may go on."""
    body = Incoming(tap)
    body.feed(bytes(HIGH_WATER + 1))
    assert tap.holds == 1
    if end == "finish":
        body.finish()
    elif end == "fail":
        body.fail(CUT)
    else:
        await body.aclose()
    assert tap.holds == 0


async def test_cut_short(tap: Tap) -> None:
    """What arrived can be read; then the error is raised, as often as one asks."""
    body = Incoming(tap)
    body.feed(b"a")
    body.fail(CUT)
    body.feed(b"too late")
    assert await anext(body) == b"a"
    for _ in range(2):
        with pytest.raises(SluiceError) as raised:
            await anext(body)
        assert raised.value is CUT
    assert body.take() == (b"", False)


async def test_cut_short_wakes_the_reader(tap: Tap) -> None:
    """A reader that waits is told."""
    body = Incoming(tap)
    reading = asyncio.ensure_future(anext(body))
    await until(lambda: body.waiting)
    body.fail(CUT)
    with pytest.raises(SluiceError):
        await reading


async def test_a_failure_after_the_end_changes_nothing(tap: Tap) -> None:
    """A body that is complete stays so."""
    body = Incoming(tap)
    body.feed(b"a")
    body.finish()
    body.fail(CUT)
    assert [piece async for piece in body] == [b"a"]


async def test_closed_early(tap: Tap) -> None:
    """The source is told once, what is at hand is dropped, and no clean end can be read."""
    body = Incoming(tap)
    body.feed(b"a")
    await body.aclose()
    await body.aclose()
    assert tap.dropped == 1
    with pytest.raises(SluiceError) as raised:
        await anext(body)
    assert raised.value.reason is Reason.BODY_CUT_SHORT


async def test_closed_after_the_end(tap: Tap) -> None:
    """The source need not know."""
    body = Incoming(tap)
    body.finish()
    await body.aclose()
    assert tap.dropped == 0


async def test_a_cancelled_reader_leaves_no_trace(tap: Tap) -> None:
    """The next reader reads on."""
    body = Incoming(tap)
    reading = asyncio.ensure_future(anext(body))
    await until(lambda: body.waiting)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert not body.waiting
    body.feed(b"a")
    assert await anext(body) == b"a"


def test_crumbs_cost_no_more_than_their_bytes() -> None:
    """A body that comes by two bytes at a time, in chunks, is not kept as so many objects."""
    body = Incoming(Tap())
    for number in range(50_000):
        body.feed(b"%02d" % (number % 100))
    assert sum(sys.getsizeof(piece) for piece in body._pieces) < 2 * 100_000
    assert body.take()[0] == b"".join(b"%02d" % (number % 100) for number in range(50_000))
