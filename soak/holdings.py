"""What the mesh holds at a time: processes, memory, descriptors, files. Read from /proc."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Holdings:
    """What one service holds."""

    processes: int
    """Its children, theirs, and so on."""
    descriptors: int
    """Its own open files and sockets."""
    resident: int
    """Its own memory in bytes."""


def of(pid: int) -> Holdings:
    """What the service `pid` holds. `OSError` where it is gone."""
    return Holdings(
        len(descendants(pid)), len(list(Path(f"/proc/{pid}/fd").iterdir())), resident(pid)
    )


def resident(pid: int) -> int:
    """Memory of a process in bytes. `OSError` where it is gone."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE


def descendants(pid: int) -> list[int]:
    """Children of a process, theirs, and so on; none where it is gone."""
    found: list[int] = []
    try:
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in map(int, (task / "children").read_text().split()):
                found += [child, *descendants(child)]
    except OSError:
        return found
    return found


def isolates(pid: int) -> list[int]:
    """The workerd processes among them."""
    return [child for child in descendants(pid) if program(child) == "workerd"]


def program(pid: int) -> str:
    """The program that a process runs; empty where it is gone or a zombie."""
    try:
        return Path(f"/proc/{pid}/exe").readlink().name
    except OSError:
        return ""
