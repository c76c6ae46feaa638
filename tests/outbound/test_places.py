"""Places: who may have one, who waits, and whose turn it is."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from math import inf

import pytest

from services.outbound import places
from services.outbound.places import Places
from sluice.wire.errors import Reason, SluiceError


async def take(shared: Places[str], holder: str, count: int) -> None:
    """Take that many at once, without waiting."""
    for _ in range(count):
        assert await shared.take(holder, inf) is False


def queue(shared: Places[str], holder: str, order: list[str]) -> asyncio.Task[None]:
    """Wait for a place, and note the holder when it comes."""

    async def wait() -> None:
        assert await shared.take(holder, inf)
        order.append(holder)

    return asyncio.ensure_future(wait())


async def refusal(shared: Places[str], holder: str, deadline: float = 0) -> str:
    """What a holder is told that gets no place."""
    with pytest.raises(SluiceError) as caught:
        await shared.take(holder, deadline)
    assert caught.value.reason is Reason.LOAD_SHED
    return caught.value.message


@pytest.mark.parametrize(
    ("total", "each", "one_alone"),
    [
        (1, 1, 1),
        (2, 2, 1),  # the other is a newcomer's
        (1000, 100, 91),
        (10, 10, 5),
        (10, 3, 3),
        (10, 1, 1),
        (100, 10, 10),
    ],
)
async def test_one_holder_may_have(total: int, each: int, one_alone: int) -> None:
    """One holder alone has its share, less what its own use takes from it."""
    shared = Places[str]("place", total, each)
    await take(shared, "a", one_alone)
    assert (
        await refusal(shared, "a")
        == f"no place is free: this Worker has {one_alone}, and none became free in time"
    )


async def test_few_do_not_use_it_up() -> None:
    """It takes many holders, each with all that it may take, until a newcomer finds no place."""
    shared, greedy = Places[int]("place", 1000, 100), 0
    while True:
        try:
            await shared.take(greedy, 0)
        except SluiceError:
            break
        with suppress(SluiceError):
            while True:
                await shared.take(greedy, 0)
        greedy += 1
    assert greedy > 50


async def test_holders_take_turns() -> None:
    """One with many requests that wait gets one place for each that others get."""
    shared, order = Places[str]("place", 1, 1), list[str]()
    await take(shared, "x", 1)
    waiting = [queue(shared, holder, order) for holder in "aaabc"]
    await asyncio.sleep(0)
    shared.give_back("x")
    for _ in waiting:
        await asyncio.sleep(0)
        shared.give_back(order[-1])
    await asyncio.gather(*waiting)
    assert order == ["a", "b", "c", "a", "a"]
    assert shared.unused


async def test_who_may_not_have_it_holds_up_nobody() -> None:
    """A place goes past the one who has its share to the next who waits."""
    shared, order = Places[str]("place", 4, 1), list[str]()
    await take(shared, "a", 1)
    await take(shared, "b", 1)
    waiting = [queue(shared, holder, order) for holder in "aab"]
    await asyncio.sleep(0)
    assert await shared.take("c", inf) is False  # past all three
    shared.give_back("b")
    await asyncio.gather(waiting[2])
    assert order == ["b"]
    for _ in range(2):
        shared.give_back("a")
        await asyncio.sleep(0)
    assert order == ["b", "a", "a"]


async def test_who_gives_up_leaves_no_trace() -> None:
    """Cancelled or out of time, a request takes no place and holds up none behind it."""
    shared, order = Places[str]("place", 1, 1), list[str]()
    await take(shared, "x", 1)
    late = asyncio.ensure_future(refusal(shared, "a", asyncio.get_running_loop().time() + 0.05))
    gone, next_one = queue(shared, "a", order), queue(shared, "a", order)
    await asyncio.sleep(0)
    gone.cancel()
    await late
    shared.give_back("x")
    await next_one
    assert order == ["a"]
    shared.give_back("a")
    assert shared.unused


async def test_place_that_comes_too_late_goes_on() -> None:
    """Where a request is cancelled just as it gets its place, the next one gets it."""
    shared, order = Places[str]("place", 1, 1), list[str]()
    await take(shared, "x", 1)
    gone, next_one = queue(shared, "a", order), queue(shared, "b", order)
    await asyncio.sleep(0)
    shared.give_back("x")
    gone.cancel()
    await next_one
    assert order == ["b"]
    shared.give_back("b")
    assert shared.unused


async def test_turn_that_was_cancelled_is_passed_over() -> None:
    """A request that was cancelled, and has not yet run, is not given the place."""
    shared, order = Places[str]("place", 1, 1), list[str]()
    await take(shared, "x", 1)
    gone, next_one = queue(shared, "a", order), queue(shared, "a", order)
    await asyncio.sleep(0)
    gone.cancel()
    shared.give_back("x")
    await next_one
    shared.give_back("a")
    assert shared.unused


async def test_queue_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the bound a request is refused at once; the bound is each holder's own."""
    monkeypatch.setattr(places, "MAX_WAITING", 2)
    shared, order = Places[str]("place", 1, 1), list[str]()
    await take(shared, "x", 1)
    waiting = [queue(shared, holder, order) for holder in "aab"]
    await asyncio.sleep(0)
    told = await refusal(shared, "a", inf)
    assert told == "no place is free: this Worker has 0, and 2 requests wait for one"
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    shared.give_back("x")
    assert shared.unused
