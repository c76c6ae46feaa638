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
