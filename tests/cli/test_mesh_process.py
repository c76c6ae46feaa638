from __future__ import annotations

import asyncio
import gc
import os
import select
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from sluice.cli import mesh_process
from sluice.cli.mesh_process import MeshProcess, ServiceFailedError


@dataclass
class Output:
    """What services printed, and how often one was started again."""

    lines: list[str] = field(default_factory=list)
    restarts: list[str] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def service(self, script: str, grace: float = mesh_process.GRACE) -> MeshProcess:
        """A service that runs a Python script."""
        return MeshProcess(
            "outbound",
            [sys.executable, "-c", script],
            {},
            on_line=lambda name, line: self._add(self.lines, f"{name}: {line}"),
            on_restart=lambda message: self._add(self.restarts, message),
            backoff=0.001,
            grace=grace,
        )

    def _add(self, where: list[str], text: str) -> None:
        where.append(text)
        self.changed.set()

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait until the condition holds."""
        async with asyncio.timeout(20):
            while not condition():
                self.changed.clear()
                await self.changed.wait()


@pytest.fixture
def output() -> Output:
    """What the services of one test printed."""
    return Output()


def open_files() -> int:
    """How many file descriptors this process has."""
    return len(list(Path("/proc/self/fd").iterdir()))


def alive(pid: int) -> bool:
    """Whether the process runs; one that nobody has reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


STAYS = "import signal; print('up', flush=True); signal.pause()"

POLITE = """
import os, signal, sys
def stop(*_):
    os.write(1, b"bye\\n")
    sys.exit(0)
signal.signal(signal.SIGTERM, stop)
print("up", flush=True)
signal.pause()
"""

STUBBORN = """
import signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("up", flush=True)
while True:
    signal.pause()
"""

PARENT = """
import signal, subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
print(child.pid, flush=True)
signal.pause()
"""


async def cancel(task: asyncio.Task[None]) -> None:
    """Cancel a task that then ends by nothing else."""
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_end_before_it_served_is_final(output: Output) -> None:
    """A service that cannot start fails with its exit code and last lines, standard error too."""
    service = output.service("import sys; print('one'); sys.exit('SLUICE_X is wrong')")
    with pytest.raises(ServiceFailedError, match=r"^the outbound service exited with 1$") as caught:
        await service.run()
    assert sorted(caught.value.last_lines) == ["SLUICE_X is wrong", "one"]
    assert output.restarts == []


async def test_cancelled_service_may_finish(output: Output) -> None:
    """A cancelled service gets SIGTERM, and what it prints then is still read."""
    service = output.service(POLITE)
    task = asyncio.create_task(service.run())
    await output.until(lambda: output.lines)
    await cancel(task)
    assert output.lines == ["outbound: up", "outbound: bye"]


async def test_stubborn_service_is_killed(output: Output) -> None:
    """A service that does not stop in its grace period is killed."""
    service = output.service(STUBBORN, grace=0.05)
    task = asyncio.create_task(service.run())
    await output.until(lambda: output.lines)
    pid = service.pid
    assert pid
    await cancel(task)
    assert not alive(pid)


async def test_kill_ends_the_wait_for_a_stubborn_service(output: Output) -> None:
    """`kill` cuts the grace period short."""
    service = output.service(STUBBORN, grace=3600)
    task = asyncio.create_task(service.run())
    await output.until(lambda: output.lines)
    task.cancel()
    service.kill()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_killed_service_is_started_again(output: Output) -> None:
    """A service that dies after it served is started again, which is said."""
    service = output.service(STAYS)
    service.settled = True
    task = asyncio.create_task(service.run())
    await output.until(lambda: output.lines)
    assert service.pid
    os.kill(service.pid, signal.SIGKILL)
    await output.until(lambda: len(output.lines) == 2)
    await cancel(task)
    assert output.restarts == ["the outbound service was killed by SIGKILL; starting it again"]


async def test_fast_deaths_are_the_end(output: Output) -> None:
    """After five deaths in a row, each soon after the start, it is not started again."""
    service = output.service("raise SystemExit('no')")
    service.settled = True
    with pytest.raises(ServiceFailedError) as caught:
        await service.run()
    assert len(output.restarts) == mesh_process.FAST_DEATHS - 1
    assert "no" in caught.value.last_lines


async def test_nothing_is_left_of_a_dead_service(output: Output) -> None:
    """What a service started dies with it, even when the service had no time to stop it."""
    service = output.service(PARENT)
    task = asyncio.create_task(service.run())
    await output.until(lambda: output.lines)
    child = int(output.lines[0].removeprefix("outbound: "))
    ended = os.pidfd_open(child)
    assert service.pid
    os.kill(service.pid, signal.SIGKILL)
    with pytest.raises(ServiceFailedError, match="killed by SIGKILL"):
        await task
    readable, _, _ = await asyncio.to_thread(select.select, [ended], [], [], 10)
    os.close(ended)
    assert readable == [ended]


async def test_last_words_are_read(output: Output) -> None:
    """What a service has printed is read also where it is gone before that."""
    service = output.service("print('first', flush=True); print('word ' * 10_000); print('last')")
    add = service.on_line

    def slowly(name: str, line: str) -> None:
        if not output.lines and service.pid:
            ended = os.pidfd_open(service.pid)
            select.select([ended], [], [], 10)
            os.close(ended)
        add(name, line)

    service.on_line = slowly
    with pytest.raises(ServiceFailedError, match="exited with 0"):
        await service.run()
    assert [len(line) for line in output.lines] == [15, 50_010, 14]


async def test_line_over_the_limit_is_dropped(output: Output) -> None:
    """A line that is too long costs that line, not those after it."""
    size = mesh_process.MAX_LINE * 3
    service = output.service(f"print('a'); print('x' * {size}); print('b')")
    with pytest.raises(ServiceFailedError, match="exited with 0"):
        await service.run()
    assert output.lines[0] == "outbound: a"
    assert output.lines[-1] == "outbound: b"
    assert sum(map(len, output.lines)) < mesh_process.MAX_LINE * 2


async def test_failure_to_start_the_program_leaks_nothing(output: Output) -> None:
    """A program that cannot be started is an error, and the pipe is closed."""
    gc.collect()  # what earlier tests left to it is not counted
    before = open_files()
    service = MeshProcess("x", ["null\0byte"], {}, lambda *_: None, lambda _: None)
    with pytest.raises(ValueError, match="null byte"):
        await service.run()
    await asyncio.sleep(0)
    assert open_files() == before
