"""Lines to a descriptor whose reader may stall: a log must not stop the service that writes it."""

from __future__ import annotations

import os
import select
import threading
import time
from collections.abc import Callable

PATIENCE = 0.1
"""Seconds that a line waits for a reader that is slow."""

_IMPATIENT = 10.0  # times as long as was waited nothing waits again, so a tenth of all time at most


class LineWriter:
    """Writes lines whole and in order. Where the reader takes none, they are dropped and counted.

    `notice` makes the line that says how many were, which comes before the next one. The descriptor
    may be in blocking mode, and shared: whether there is room is asked before each write.
    """

    def __init__(self, descriptor: int, notice: Callable[[int], bytes]) -> None:
        self._descriptor = descriptor
        self._notice = notice
        self._lock = threading.Lock()
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLOUT)
        self._rest = b""
        self._dropped = 0
        self._patient_from = 0.0

    def write(self, line: bytes) -> None:
        """Write a line, with its end. Waits `PATIENCE` seconds at most. Raises `OSError`."""
        with self._lock:
            if not (self._send() and self._has_room()):
                self._dropped += 1
                return
            if self._dropped:
                line, self._dropped = self._notice(self._dropped) + line, 0
            self._rest = line
            self._send()

    def _send(self) -> bool:
        """Write what was begun. Returns whether all of it is written."""
        try:
            while self._rest and self._has_room():
                # A pipe that has room takes so much at once (pipe(7)); more could block.
                sent = os.write(self._descriptor, self._rest[: select.PIPE_BUF])
                self._rest = self._rest[sent:]
        except OSError:
            self._rest = b""
            raise
        return not self._rest

    def _has_room(self) -> bool:
        if self._poll.poll(0):
            return True
        start = time.monotonic()
        if start < self._patient_from:
            return False
        has_room = bool(self._poll.poll(PATIENCE * 1000))
        now = time.monotonic()
        self._patient_from = now + _IMPATIENT * (now - start)
        return has_room
