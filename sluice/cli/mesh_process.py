"""One service of the mesh as a child process: started, read, started again, stopped.

Stopping is cancelling: `MeshProcess.run` turns cancellation into SIGTERM, a bounded wait and then
SIGKILL of whatever is left in the service's process group.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from sluice.isolate.process import dying_with_us

GRACE = 10.0
"""Seconds that a service has to stop after SIGTERM."""

FAST = 5.0
"""A service that lives for fewer seconds than this has died fast."""

FAST_DEATHS = 5
"""So many fast deaths in a row are the end."""

MAX_LINE = 1024 * 1024
"""Most bytes of one line of output. A longer one is dropped."""


class ServiceFailedError(Exception):
    """A service ended and is not started again. `last_lines` is the end of its output."""

    def __init__(self, name: str, code: int, last_lines: Sequence[str]) -> None:
        super().__init__(f"the {name} service {ending(code)}")
        self.last_lines = tuple(last_lines)


def ending(code: int) -> str:
    """How a process ended, in words. `code` is negative for a signal, as in `subprocess`."""
    if code < 0:
        return f"was killed by {signal.Signals(-code).name}"
    return f"exited with {code}"


@dataclass
class MeshProcess:
    """One service. `on_line` gets its name and each line that it prints."""

    name: str
    argv: Sequence[str]
    env: Mapping[str, str]
    on_line: Callable[[str, str], None]
    on_restart: Callable[[str], None]
    """Gets one sentence, each time that the service is started again."""

    grace: float = GRACE
    backoff: float = 0.2
    settled: bool = False
    """Whether the service has served. Before, an end is final: it cannot start."""

    pid: int | None = None
    last_lines: deque[str] = field(default_factory=lambda: deque(maxlen=20))

    async def run(self) -> None:
        """Keep the service running until cancelled. Raises `ServiceFailedError` where it fails."""
        clock = asyncio.get_running_loop().time
        fast_deaths = 0
        while True:
            started = clock()
            code = await self._live()
            fast_deaths = fast_deaths + 1 if clock() - started < FAST else 0
            if not self.settled or fast_deaths >= FAST_DEATHS:
                raise ServiceFailedError(self.name, code, self.last_lines)
            self.on_restart(f"the {self.name} service {ending(code)}; starting it again")
            await asyncio.sleep(self.backoff * 2**fast_deaths)

    def kill(self) -> None:
        """End the service and everything in its process group at once."""
        if self.pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)

    async def _live(self) -> int:
        """Start the service, read it to its end, return its exit code."""
        async with _output() as (output, write_end):
            try:
                process = await asyncio.create_subprocess_exec(
                    *dying_with_us("TERM"),
                    *self.argv,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=write_end,
                    stderr=write_end,
                    env=self.env,
                    start_new_session=True,
                )
            finally:
                os.close(write_end)
            self.pid = process.pid
            reading = asyncio.create_task(self._read(output))
            try:
                return await process.wait()
            finally:
                await self._end(process)
                await _finish(reading)

    async def _read(self, output: asyncio.StreamReader) -> None:
        while True:
            try:
                line = await output.readline()
            except ValueError:  # longer than MAX_LINE
                continue
            if not line:
                return
            text = line.decode(errors="replace").rstrip("\n")
            self.last_lines.append(text)
            self.on_line(self.name, text)

    async def _end(self, process: asyncio.subprocess.Process) -> None:
        """Ask it to stop, wait, then kill what is left of its group."""
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            with contextlib.suppress(TimeoutError, asyncio.CancelledError):
                async with asyncio.timeout(self.grace):
                    await process.wait()
        self.kill()
        self.pid = None
        await process.wait()


@contextlib.asynccontextmanager
async def _output() -> AsyncIterator[tuple[asyncio.StreamReader, int]]:
    """A pipe: what is read from it, and the end that the child writes to, which the caller closes.

    Not `stdout=PIPE`: with that, asyncio's `wait()` also waits for grandchildren to close the pipe.
    """
    read_end, write_end = os.pipe()
    reader = asyncio.StreamReader(limit=MAX_LINE)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(read_end, "rb", 0)
    )
    try:
        yield reader, write_end
    finally:
        transport.close()


async def _finish(reading: asyncio.Task[None]) -> None:
    """Let the last lines come, for a moment: a grandchild may hold the pipe open."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(1):
            await reading
