"""One child process: started with nothing but its own, killed, reaped."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import time
from collections.abc import Sequence
from pathlib import Path

from sluice.isolate.console import Console
from sluice.isolate.sandbox.launcher import Launched, Launcher

_LAST_OUTPUT = 1.0


def dying_with_us(signal_name: str) -> list[str]:
    """A prefix that makes the kernel signal the child when we die, however we die: prctl(2).

    An exec, not a `preexec_fn`: gRPC's threads make code between fork and exec unsafe.
    """
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", signal_name, "--"] if setpriv else []


class ChildProcess:
    """A running child, its output read by a `Console`.

    The child has an empty environment and no descriptor but its three, the socket it listens on and
    the one to its broker, if it has one.
    """

    def __init__(self, launched: Launched, console: Console) -> None:
        self.console = console
        self._launched = launched
        self.pid = launched.pid

    @classmethod
    async def start(
        cls,
        launcher: Launcher,
        arguments: Sequence[str],
        folder: Path,
        listener: socket.socket,
        broker: socket.socket | None,
        console: Console,
    ) -> ChildProcess:
        """Start `arguments` in `folder`, or what the launcher starts without any."""
        launched = await launcher.launch(arguments, folder, listener, broker=broker)
        child = cls(launched, console)
        try:
            await asyncio.get_running_loop().connect_read_pipe(lambda: console, launched.output)
        except BaseException:
            launched.output.close()
            child.kill()
            raise
        return child

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

    def threads(self) -> int:
        """How many threads it has, by proc_pid_stat(5); 0 once it is gone."""
        try:
            stat = Path(f"/proc/{self.pid}/stat").read_text(errors="replace")
        except OSError:
            return 0
        return int(stat.rpartition(")")[2].split()[17])  # before it is its name, of its own choice

    def stand_back(self) -> None:
        """Let it run only where nobody else wants the core. There is no way back.

        Nothing changes where another uid's process may not be told so, nor outside of Linux.
        """
        folder = Path(f"/proc/{self.pid}")
        with contextlib.suppress(OSError, AttributeError):
            for thread in (folder / "task").iterdir():
                os.sched_setscheduler(int(thread.name), os.SCHED_IDLE, os.sched_param(0))
        with contextlib.suppress(OSError):
            # Where each session is scheduled as a group (sched(7)), that holds within its own only.
            (folder / "autogroup").write_text("19")

    def kill(self) -> None:
        """Send SIGKILL: a Worker that loops takes no other."""
        self._signal(signal.SIGKILL)

    def pause(self) -> None:
        """Stop it, which it does not notice."""
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it run again."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        if not self._launched.exited.done():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    async def wait(self) -> int:
        """Return the exit status once the process has ended and all it printed was read."""
        status = await asyncio.shield(self._launched.exited)
        self.console.finish()
        # No end comes while its output is open in what it sent to our sockets and nobody takes.
        await asyncio.wait([self.console.ended], timeout=_LAST_OUTPUT)
        self.console.close()
        await self.console.ended
        return status
