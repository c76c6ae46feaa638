"""One child process: started with nothing but its own, killed, reaped."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable
from pathlib import Path

_LINE = 8 * 1024


def dying_with_us(signal_name: str) -> list[str]:
    """A prefix that makes the kernel signal the child when we die, however we die: prctl(2).

    An exec, not a `preexec_fn`: gRPC's threads make code between fork and exec unsafe.
    """
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", signal_name, "--"] if setpriv else []


class ChildProcess:
    """A running child, its output read line by line.

    The child has an empty environment and no descriptor but its three and the socket it listens on.
    """

    def __init__(self, process: Process, on_line: Callable[[str], None]) -> None:
        self._process = process
        self._on_line = on_line
        self._reader = asyncio.create_task(self._read_output())
        self.pid = process.pid

    @classmethod
    async def start(
        cls,
        arguments: list[str],
        folder: Path,
        listener: socket.socket,
        on_line: Callable[[str], None],
    ) -> ChildProcess:
        """Start `arguments` in `folder`. `on_line` gets each line it prints, 8 KiB at most."""
        process = await asyncio.create_subprocess_exec(
            *dying_with_us("KILL"),
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=PIPE,
            stderr=asyncio.subprocess.STDOUT,
            cwd=folder,
            env={},
            pass_fds=[listener.fileno()],
            start_new_session=True,
            limit=2 * _LINE,
        )
        return cls(process, on_line)

    def cpu_seconds(self) -> float:
        """CPU time the process has used, by its CPU clock; 0 once it is gone."""
        try:
            # The clock id of another process's CPU clock: clock_getcpuclockid(3).
            return time.clock_gettime((~self.pid) << 3 | 2)
        except OSError:
            return 0.0

    def resident_bytes(self) -> int:
        """Resident memory; 0 once the process is gone."""
        try:
            pages = Path(f"/proc/{self.pid}/statm").read_text().split()[1]
        except (OSError, IndexError):
            return 0
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    def kill(self) -> None:
        """Send SIGKILL: a Worker that loops takes no other."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGKILL)

    async def wait(self) -> int:
        """Return the exit status once the process has ended and all it printed was read."""
        status = await self._process.wait()
        await self._reader
        return status

    async def _read_output(self) -> None:
        assert self._process.stdout is not None  # noqa: S101 — asked for as PIPE above
        while True:
            try:
                line = await self._process.stdout.readuntil(b"\n")
            except asyncio.IncompleteReadError as end:
                line = end.partial
                if not line:
                    return
            except asyncio.LimitOverrunError as long:
                line = await self._process.stdout.readexactly(long.consumed)
            self._on_line(line[:_LINE].decode(errors="replace").rstrip("\r\n"))
