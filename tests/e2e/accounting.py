"""What the mesh holds at a time: processes, memory, descriptors. Read from /proc."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from tests.e2e.mesh import Mesh


def processes(mesh: Mesh) -> dict[int, str]:
    """The services and their isolates: process id to name."""
    found = {}
    for name, service in mesh.services.items():
        found[service.process.pid] = name
        for pid in _children(service.process.pid):
            found[pid] = f"isolate of {name}"
    return found


def resident(pid: int) -> int:
    """Bytes of memory that a process holds now."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return 0


def descriptors(mesh: Mesh) -> dict[str, int]:
    """Open files and sockets of each process."""
    return {
        f"{name} {pid}": len(list(Path(f"/proc/{pid}/fd").iterdir()))
        for pid, name in processes(mesh).items()
    }


class Watch:
    """The most memory that each process was seen to hold, over what it held first."""

    def __init__(self, mesh: Mesh) -> None:
        self._first = {pid: resident(pid) for pid in processes(mesh)}
        self._names = processes(mesh)
        self._most = dict(self._first)

    async def __aenter__(self) -> Watch:
        self._task = asyncio.create_task(self._look())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    def growth(self) -> dict[str, int]:
        """Bytes that each process grew by."""
        return {f"{self._names[p]} {p}": self._most[p] - self._first[p] for p in self._first}

    async def _look(self) -> None:
        while True:
            for pid in self._first:
                self._most[pid] = max(self._most[pid], resident(pid))
            await asyncio.sleep(0.05)


async def settles(condition: Callable[[], bool], within: float) -> bool:
    """Whether something becomes so in time."""
    try:
        async with asyncio.timeout(within):
            while not condition():  # noqa: ASYNC110 — /proc tells nobody when it changes
                await asyncio.sleep(0.1)
    except TimeoutError:
        return False
    return True


def _children(pid: int) -> list[int]:
    return [
        int(child)
        for task in Path(f"/proc/{pid}/task").iterdir()
        for child in (task / "children").read_text().split()
    ]
