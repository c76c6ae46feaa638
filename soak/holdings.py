"""What the mesh holds at a time: processes, memory, descriptors, files. Read from /proc."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from bench.processes import descendants

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
