from __future__ import annotations

import asyncio

import pytest

from sluice.registry.flight import SingleFlight


class Reads:
    """Reads that end when they are told to."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.started = asyncio.Event()
        self.answers: dict[str, asyncio.Future[int]] = {}

    async def read(self, key: str) -> int:
        self.begun.append(key)
        self.answers[key] = asyncio.get_running_loop().create_future()
        self.started.set()
        return await self.answers[key]


async def test_many_who_want_the_same_share_one_read() -> None:
    """One read for all who wait at the same time, and a new one for who comes later."""
    reads = Reads()
    flight = SingleFlight(reads.read)
    waiting = [asyncio.create_task(flight.get("a")) for _ in range(5)]
    other = asyncio.create_task(flight.get("b"))
    await reads.started.wait()
    reads.answers["a"].set_result(1)
    assert await asyncio.gather(*waiting) == [1] * 5
    reads.answers["b"].set_result(2)
    assert await other == 2
    assert reads.begun == ["a", "b"]
    again = asyncio.create_task(flight.get("a"))
    reads.started.clear()
    await reads.started.wait()
    reads.answers["a"].set_result(3)
    assert await again == 3


async def test_an_error_reaches_all_who_wait() -> None:
    """A read that fails fails for each, and is not kept."""
    reads = Reads()
    flight = SingleFlight(reads.read)
    waiting = [asyncio.create_task(flight.get("a")) for _ in range(3)]
    await reads.started.wait()
    reads.answers["a"].set_exception(LookupError("gone"))
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert [str(result) for result in results] == ["gone"] * 3


async def test_who_goes_away_leaves_the_read_to_the_others() -> None:
    """A cancelled waiter does not cancel the read."""
    reads = Reads()
    flight = SingleFlight(reads.read)
    leaving, staying = (asyncio.create_task(flight.get("a")) for _ in range(2))
    await reads.started.wait()
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    reads.answers["a"].set_result(1)
    assert await staying == 1


async def test_nobody_joins_a_read_from_before_a_split() -> None:
    """After a write, what was being read before it is for those who waited already."""
    reads = Reads()
    flight = SingleFlight(reads.read)
    before = asyncio.create_task(flight.get("a"))
    await reads.started.wait()
    old = reads.answers["a"]
    flight.split()
    reads.started.clear()
    after = asyncio.create_task(flight.get("a"))
    await reads.started.wait()
    old.set_result(1)
    assert await before == 1
    joins = asyncio.create_task(flight.get("a"))
    reads.answers["a"].set_result(2)
    assert list(await asyncio.gather(after, joins)) == [2, 2]
    assert reads.begun == ["a", "a"]


async def test_closing_ends_what_is_under_way() -> None:
    """Nothing that was started goes on after `aclose`."""
    reads = Reads()
    flight = SingleFlight(reads.read)
    waiting = asyncio.create_task(flight.get("a"))
    await reads.started.wait()
    await flight.aclose()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert reads.answers["a"].cancelled()
