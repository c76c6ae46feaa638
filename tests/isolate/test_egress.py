"""Subrequests of isolates that stand back."""

from __future__ import annotations

import asyncio
import sys

import pytest

from sluice.http1.server import Exchange
from sluice.isolate.invocation import Invocation
from sluice.wire.body import Whole
from sluice.wire.messages import Response
from tests.isolate.workers import MakeWorkers, Workers

SIX = """export default { async fetch() {
  const ask = async (n) => (await fetch("http://origin.test/" + n)).text();
  return new Response((await Promise.all([1, 2, 3, 4, 5, 6].map(ask))).join("")) } }"""


async def stand_back(workers: Workers) -> None:
    """Let the isolate of `SIX` be one that stands back."""
    workers.answer = None
    await workers.fetch(SIX)
    (isolate,) = workers.runner._pool._isolates.values()
    isolate.stand_back()


@pytest.mark.skipif(sys.platform != "linux", reason="SCHED_IDLE is Linux's")
async def test_they_come_one_after_another(make_workers: MakeWorkers) -> None:
    """Where each is answered soon, there is one at a time; all are answered."""
    workers = make_workers()
    await stand_back(workers)
    now, most = 0, 0

    async def answer(_: Invocation[str], __: Exchange) -> Response:
        nonlocal now, most
        now += 1
        most = max(most, now)
        for _turn in range(5):  # others may come meanwhile
            await asyncio.sleep(0)
        now -= 1
        return Response(200, body=Whole(b"x"))

    workers.answer = answer
    assert await workers.fetch(SIX) == (200, "xxxxxx")
    assert most == 1


@pytest.mark.skipif(sys.platform != "linux", reason="SCHED_IDLE is Linux's")
async def test_a_slow_origin_does_not_hold_the_others(make_workers: MakeWorkers) -> None:
    """All six are on their way before the first of them is answered, as without standing back."""
    workers = make_workers()
    await stand_back(workers)
    begun = 0
    all_there = asyncio.Event()

    async def answer(_: Invocation[str], __: Exchange) -> Response:
        nonlocal begun
        begun += 1
        if begun == 6:
            all_there.set()
        await all_there.wait()
        return Response(200, body=Whole(b"x"))

    workers.answer = answer
    assert await workers.fetch(SIX) == (200, "xxxxxx")
