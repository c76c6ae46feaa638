"""Who stands back makes way, and has a turn all the same."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from sluice.http1.server import Exchange
from sluice.isolate.bystanders import Bystanders
from sluice.isolate.invocation import Invocation
from sluice.wire.body import Whole
from sluice.wire.messages import Response
from tests.isolate.workers import MakeWorkers


class Process:
    """Notes whether it runs."""

    def __init__(self) -> None:
        self.runs = asyncio.Event()
        self.runs.set()

    def pause(self) -> None:
        self.runs.clear()

    def go_on(self) -> None:
        self.runs.set()


async def test_they_make_way_and_go_on() -> None:
    """All stop when a request comes, and go on by themselves."""
    bystanders, processes = Bystanders(cores=2), [Process(), Process()]
    for process in processes:
        bystanders.add(process)
    bystanders.make_way()
    assert not any(process.runs.is_set() for process in processes)
    async with asyncio.timeout(5):
        await asyncio.gather(*(process.runs.wait() for process in processes))


@pytest.mark.parametrize(
    ("cores", "count", "stops"),
    [
        (1, 1, True),
        (2, 1, True),  # one of two cores may be half of one in the hardware
        (3, 1, False),  # the others have cores enough
        (4, 2, True),
        (64, 31, False),
    ],
)
async def test_where_there_are_cores_enough_nobody_stops(
    cores: int, count: int, stops: bool
) -> None:
    """They stop where they could keep half of the cores busy."""
    bystanders, processes = Bystanders(cores), [Process() for _ in range(count)]
    for process in processes:
        bystanders.add(process)
    bystanders.make_way()
    assert all(process.runs.is_set() is not stops for process in processes)
    bystanders.end()
    assert all(process.runs.is_set() for process in processes)


async def test_they_have_a_turn_under_constant_load() -> None:
    """However often requests come, who stands back runs again, and is left alone for a while."""
    bystanders, process = Bystanders(cores=1), Process()
    bystanders.add(process)
    async with asyncio.timeout(10):
        for _ in range(3):
            while process.runs.is_set():
                bystanders.make_way()
                await asyncio.sleep(0)
            while not process.runs.is_set():
                bystanders.make_way()
                await asyncio.sleep(0)
            bystanders.make_way()
            assert process.runs.is_set()
    bystanders.end()


async def test_whoever_is_no_more_goes_on() -> None:
    """One that is taken off the list is not left stopped: it has to be able to end."""
    bystanders, process = Bystanders(cores=1), Process()
    bystanders.add(process)
    bystanders.make_way()
    bystanders.discard(process)
    assert process.runs.is_set()
    bystanders.make_way()
    assert process.runs.is_set()
    bystanders.end()


def state(pid: int) -> str:
    """The state of a process, by proc_pid_stat(5): T is stopped."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
async def test_a_loop_stops_while_others_are_served(
    make_workers: MakeWorkers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A looping process is stopped when another Worker makes a subrequest, and loops on later."""
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1})
    workers = make_workers(wall_time=30)
    loop = "export default { fetch() { for (;;); } }"
    other = "export default { async fetch() { return fetch('http://origin.test/') } }"
    looping = asyncio.create_task(workers.fetch(loop))
    pool = workers.runner._pool
    async with asyncio.timeout(20):
        while not (found := [one for one in pool._isolates.values() if one.stands_back]):  # noqa: ASYNC110  # the pool says to nobody what it finds
            await asyncio.sleep(0.05)
    pid = found[0]._process.pid
    seen: list[str] = []

    async def answer(_: Invocation[str], __: Exchange) -> Response:
        seen.append(state(pid))
        return Response(200, body=Whole(b"x"))

    workers.answer = answer
    async with asyncio.timeout(20):
        while "T" not in seen:  # not in each: now and then it is the loop's turn
            assert await workers.fetch(other, name="other") == (200, "x")
        while state(pid) != "R":  # noqa: ASYNC110  # nor does the kernel
            await asyncio.sleep(0.01)
    looping.cancel()
    await asyncio.wait([looping])
