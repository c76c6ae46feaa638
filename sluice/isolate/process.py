"""One child process: started with nothing but its own, killed, reaped."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from sluice.isolate.sandbox.launcher import Launched, Launcher

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

    def __init__(self, launched: Launched, on_line: Callable[[str], None]) -> None:
        self._launched = launched
        self._on_line = on_line
        self._reader = asyncio.create_task(self._read_output())
        self.pid = launched.pid

    @classmethod
    async def start(
        cls,
        launcher: Launcher,
        arguments: Sequence[str],
        folder: Path,
        listener: socket.socket,
        on_line: Callable[[str], None],
    ) -> ChildProcess:
        """Start `arguments` in `folder`, or what the launcher starts without any.

        `on_line` gets each line it prints, 8 KiB at most.
        """
        return cls(await launcher.launch(arguments, folder, listener), on_line)

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
        if not self._launched.exited.done():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)

    async def wait(self) -> int:
        """Return the exit status once the process has ended and all it printed was read."""
        status = await asyncio.shield(self._launched.exited)
        await self._reader
        return status

    async def _read_output(self) -> None:
        output = asyncio.StreamReader(limit=2 * _LINE)
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(output), self._launched.output
        )
        try:
            while line := await _next_line(output):
                self._on_line(line[:_LINE].decode(errors="replace").rstrip("\r\n"))
        finally:
            transport.close()


async def _next_line(output: asyncio.StreamReader) -> bytes:
    """A line, or the beginning of one that is too long; nothing at the end."""
    try:
        return await output.readuntil(b"\n")
    except asyncio.IncompleteReadError as end:
        return end.partial
    except asyncio.LimitOverrunError as long:
        return await output.readexactly(long.consumed)
