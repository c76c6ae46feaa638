"""Places: none is lost, none is given twice, and no key takes another's share."""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress

import pytest

from sluice.wire.errors import Reason, SluiceError
from sluice.wire.places import Bounds, Places


def places(**bounds: float) -> Places[str]:
    """Places with these bounds."""
    return Places(Bounds(**bounds), Reason.LOAD_SHED, "places")  # type: ignore[arg-type]


async def started(*takes: asyncio.Task[None]) -> None:
    """Let tasks run until they wait."""
    await asyncio.wait(takes, timeout=0)


async def refused(take: Places[str], key: str | None) -> str:
    """Why a place is refused."""
    with pytest.raises(SluiceError) as raised:
        await take.take(key)
    assert raised.value.reason is Reason.LOAD_SHED
    return raised.value.message


async def test_takes_at_once_where_there_is_one() -> None:
    """Places are given until the total is taken; one that is given back can be taken again."""
    free = places(total=2, queue=0)
    await free.take("a")
    await free.take("b")
    assert await refused(free, "c") == "all 2 places are taken, and as many wait as may"
    free.give("a")
    await free.take("c")
    assert (free.taken, free.queued) == (2, 0)


async def test_one_key_has_its_share_only() -> None:
    """A key that has its share gets no more, while others do."""
    free = places(total=3, each=1, queue=0)
    await free.take("a")
    assert await refused(free, "a") == "all 1 places of one are taken, and as many wait as may"
    await free.take("b")
    await free.take("c")


async def test_nobody_has_no_share() -> None:
    """The key None is bounded by the total alone."""
    free = places(total=3, each=1, queue=0)
    for _ in range(3):
        await free.take(None)
    await refused(free, None)


async def test_first_come_first_served() -> None:
    """Those of one key who wait are served in their order."""
    free = places(total=1, wait=10)
    await free.take("a")
    order: list[int] = []

    async def one(number: int) -> None:
        await free.take("a")
        order.append(number)
        free.give("a")

    waiting = [asyncio.create_task(one(number)) for number in range(5)]
    await started(*waiting)
    assert free.queued == 5
    free.give("a")
    await asyncio.gather(*waiting)
    assert order == [0, 1, 2, 3, 4]
    assert (free.taken, free.queued) == (0, 0)


async def test_keys_take_turns() -> None:
    """A key with a hundred who wait keeps one of another waiting for one turn, not for a hundred."""
    free = places(total=1, wait=10)
    await free.take("a")
    order: list[str] = []

    async def one(key: str) -> None:
        await free.take(key)
        order.append(key)
        free.give(key)

    waiting = [asyncio.create_task(one(key)) for key in [*("a" * 100), "b"]]
    await started(*waiting)
    free.give("a")
    await asyncio.gather(*waiting)
    assert order.index("b") <= 1


async def test_place_goes_to_a_key_with_room() -> None:
    """A place that comes free passes by those who wait for their own key's share."""
    free = places(total=2, each=1, wait=10)
    await free.take("a")
    await free.take("c")
    first = asyncio.create_task(free.take("a"))
    other = asyncio.create_task(free.take("b"))
    await started(first, other)
    free.give("c")
    await other
    assert not first.done()
    free.give("a")
    await first


async def test_share_that_comes_free_goes_to_its_key() -> None:
    """Where the total is not what is short, the key that gave a place back gets it."""
    free = places(total=100, each=1, wait=10)
    await free.take("a")
    waiting = asyncio.create_task(free.take("a"))
    await started(waiting)
    free.give("a")
    await waiting


async def test_queue_of_one_key_is_bounded() -> None:
    """One key fills its part of the queue, and leaves the rest of it to others."""
    free = places(total=1, queue=3, queue_each=2, wait=10)
    await free.take("a")
    waiting = [asyncio.create_task(free.take("a")) for _ in range(2)]
    await started(*waiting)
    await refused(free, "a")
    other = asyncio.create_task(free.take("b"))
    await started(other)
    await refused(free, "c")
    for task in (*waiting, other):
        task.cancel()
    await asyncio.wait([*waiting, other])
    assert (free.taken, free.queued) == (1, 0)


async def test_wait_is_bounded() -> None:
    """Who waited as long as may be is refused with how long that was, and leaves the queue."""
    free = places(total=1, wait=0.01)
    await free.take("a")
    assert await refused(free, "b") == "all 1 places are taken for 0.01 s"
    assert (free.taken, free.queued) == (1, 0)


async def test_place_that_comes_with_a_cancellation_is_not_lost() -> None:
    """A place handed to a task that is cancelled in the same moment goes on to the next."""
    free = places(total=1, wait=10)
    await free.take("a")
    first = asyncio.create_task(free.take("a"))
    second = asyncio.create_task(free.take("a"))
    await started(first, second)
    free.give("a")
    first.cancel()
    await second
    assert first.cancelled()
    assert (free.taken, free.queued) == (1, 0)


async def test_cancelled_one_is_passed_over() -> None:
    """A place is not handed to a task that was cancelled just before."""
    free = places(total=1, wait=10)
    await free.take("a")
    first = asyncio.create_task(free.take("a"))
    second = asyncio.create_task(free.take("a"))
    await started(first, second)
    first.cancel()
    free.give("a")
    await second
    assert (free.taken, free.queued) == (1, 0)


async def test_any_order_keeps_count() -> None:
    """Whatever comes and is cancelled in whatever order, no bound is passed and nothing is left."""
    chance = random.Random(1)
    free = places(total=5, each=2, queue=20, queue_each=8, wait=10)
    held: list[str] = []

    async def one(key: str) -> None:
        await free.take(key)
        held.append(key)
        try:
            assert len(held) <= 5
            assert held.count(key) <= 2
            for _ in range(chance.randrange(3)):
                await asyncio.sleep(0)
        finally:
            held.remove(key)
            free.give(key)

    tasks = []
    for _ in range(500):
        tasks.append(asyncio.create_task(one(chance.choice("abcd"))))
        if chance.random() < 0.3:
            chance.choice(tasks).cancel()
        await asyncio.sleep(0)
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert {type(result) for result in results} <= {
        type(None),
        SluiceError,
        asyncio.CancelledError,
    }
    assert (free.taken, free.queued, free._held, free._waiting) == (0, 0, {}, {})


@pytest.mark.parametrize(
    ("total", "each", "alone"),
    [
        (1, 1, 1),
        (2, 2, 1),  # the other one is for others
        (10, 10, 5),
        (10, 3, 3),
        (10, 1, 1),
        (100, 10, 10),
        (1000, 100, 91),
    ],
)
async def test_share_yields(total: int, each: int, alone: int) -> None:
    """A share that yields is less the more its own key takes."""
    free = places(total=total, each=each, yields=True, wait=0)
    for _ in range(alone):
        await free.take("a")
    await refused(free, "a")


async def test_few_do_not_use_up_shares_that_yield() -> None:
    """It takes many keys, each with all that it may have, until another one finds no place."""
    free, greedy = places(total=1000, each=100, yields=True, queue=0), 0
    while free.taken < 1000:
        with suppress(SluiceError):
            while True:
                await free.take(f"greedy {greedy}")
        greedy += 1
    assert greedy > 50


async def test_all_who_may_have_what_came_free_get_it() -> None:
    """Where shares yield, a place that is given back may be another's, and make room for its own."""
    free = places(total=3, each=3, yields=True)
    for key in "aab":
        await free.take(key)
    again, other = (asyncio.ensure_future(free.take(key)) for key in "bc")
    await started(again, other)
    free.give("a")
    await other
    assert not again.done()  # one of three, and none free
    free.give("a")
    free.give("c")
    await again
    assert (free.taken, free.queued) == (2, 0)


async def test_wait_of_one_may_be_its_own() -> None:
    """Who has less time than others waits less."""
    free = places(total=1, wait=20)
    await free.take("a")
    with pytest.raises(SluiceError, match=r"all 1 places are taken for 0\.01 s"):
        await free.take("b", 0.01)
