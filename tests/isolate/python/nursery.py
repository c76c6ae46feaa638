"""Guests by fork: of a process that has imported all that they need, as the zygote has."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from asyncio import StreamReader
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

GUEST = Path(__file__).resolve().parents[3] / "sluice/isolate/guest/python"

# Forks twice: the first fork waits for the second, the guest, and tells its number and its status.
_PROGRAM = """
import os, signal, socket, sys
sys.path.insert(0, sys.argv[1])
from sluice_guest.main import run

asked = socket.socket(fileno=int(sys.argv[2]))
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
while True:
    folder, got, _, _ = socket.recv_fds(asked, 4096, 5)
    if not folder or not os.fork():
        break
    for descriptor in got:
        os.close(descriptor)
if folder:
    asked.close()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    told, out, err, *inherited = got
    guest = os.fork()
    if guest:
        for descriptor in (out, err, *inherited):
            os.close(descriptor)
        os.write(told, b"%d\\n" % guest)
        os.write(told, b"%d\\n" % os.waitstatus_to_exitcode(os.waitpid(guest, 0)[1]))
        os._exit(0)
    os.dup2(out, 1)
    os.dup2(err, 2)
    for descriptor in (told, out, err):
        os.close(descriptor)
    run(os.fsdecode(folder), *inherited)
"""


class Child:
    """A guest's process: as much of `asyncio.subprocess.Process` as the tests use."""

    def __init__(self, pid: int, told: StreamReader, out: StreamReader, err: StreamReader) -> None:
        self.pid = pid
        self.stdout = out
        self.stderr = err
        self.returncode: int | None = None
        self._told = told

    def kill(self) -> None:
        """End it, if it still runs."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)

    async def wait(self) -> int:
        """Its status, once it has ended; negative for a signal."""
        if self.returncode is None:
            self.returncode = int(await self._told.readline())
            await self._told.read()
        return self.returncode

    async def communicate(self) -> None:
        """Read it to its end."""
        await asyncio.gather(self.stdout.read(), self.stderr.read(), self.wait())


class Nursery:
    """The process that forks."""

    def __init__(self) -> None:
        self._asks, asked = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with asked:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-c", _PROGRAM, str(GUEST), str(asked.fileno())],
                pass_fds=[asked.fileno()],
                stdout=subprocess.PIPE,  # as a guest's are: Python knows whether they can seek
                stderr=subprocess.STDOUT,
                env={"PATH": os.defpath},
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._asks.close()
        assert self._process.communicate(timeout=10)[0] == b""

    async def fork(self, folder: Path, inherited: Sequence[int]) -> Child:
        """A guest of that folder, with its listener and its broker."""
        ends = [os.pipe() for _ in range(3)]
        written = [write for _, write in ends]
        socket.send_fds(self._asks, [os.fsencode(folder)], [*written, *inherited])
        for write in written:
            os.close(write)
        told, out, err = [await _reader(read) for read, _ in ends]
        return Child(int(await told.readline()), told, out, err)


async def _reader(descriptor: int) -> StreamReader:
    loop, reader = asyncio.get_running_loop(), StreamReader()
    pipe = os.fdopen(descriptor, "rb", 0)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
    return reader
