"""Workers that were greedy of late: their processes begin where others of theirs ended. No I/O."""

from __future__ import annotations

from sluice.isolate.version import Version


class Probation:
    """Remembers for `length` seconds who was greedy.

    By the Worker, not by its version: who loops for ever is killed, asked again, and would have a
    second of everybody's time in each new process.
    """

    def __init__(self, length: float) -> None:
        self._length = length
        self._ends: dict[tuple[str, str], float] = {}

    def note(self, version: Version, now: float) -> None:
        """It is greedy at `now`, in seconds."""
        self._ends[version.dispatch_namespace, version.name] = now + self._length

    def holds(self, version: Version, now: float) -> bool:
        """Whether it was, so lately."""
        return self._ends.get((version.dispatch_namespace, version.name), now) > now

    def forget(self, now: float) -> None:
        """Forget those for whom it is over."""
        self._ends = {worker: end for worker, end in self._ends.items() if end > now}
