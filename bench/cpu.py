"""CPU time of other processes, to the nanosecond."""

from __future__ import annotations

import time


def seconds(pid: int) -> float:
    """CPU time of all threads of a process, user and system. `OSError` where it is gone."""
    # The clock id of another process's CPU clock: clock_getcpuclockid(3).
    return time.clock_gettime((~pid) << 3 | 2)
