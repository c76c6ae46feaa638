"""What every isolate of a service shares, in whichever language its Worker is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sluice.isolate.sandbox.posture import Posture

_BASE = 614 * 1024 * 1024  # what workerd holds at rest, 512 MiB of it address space for code


@dataclass(frozen=True, slots=True)
class Runtime:
    """How a service runs its isolates."""

    executable: Path
    """workerd."""

    folder: Path
    """Where isolates keep their sockets and configs, a folder each."""

    posture: Posture
    """How each process is confined."""

    heap_bytes: int = 128 * 1024 * 1024
    """Most JavaScript heap of an isolate, or memory of a Python Worker."""

    python_once: bool = False
    """Whether each invocation of a Python Worker has a process of its own."""

    @property
    def data_bytes(self) -> int:
        """Most private memory of a process: its base, the heap, and as much again outside it."""
        return _BASE + 2 * self.heap_bytes
