"""An isolate: one process that runs one version of one Worker."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from sluice.http1.client import Client
from sluice.http1.limits import Limits
from sluice.http1.server import Exchange, Peer, Server
from sluice.isolate.broker import Broker
from sluice.isolate.console import Console
from sluice.isolate.cpu import CpuMeter
from sluice.isolate.folder import EGRESS_SOCKET, IN_SOCKET, Folder
from sluice.isolate.invocation import Invocation
from sluice.isolate.process import ChildProcess
from sluice.isolate.program import Program
from sluice.isolate.roster import Roster
from sluice.isolate.sandbox.launcher import Launcher
from sluice.isolate.version import Version
from sluice.wire.errors import Reason, SluiceError
from sluice.wire.messages import Request, Response

_LISTEN_BACKLOG = 1024
_MAX_CONNECTIONS = 2048
_LAST_LINES = 20
# What tcmalloc, and CPython, print before they end the process.
_NO_MEMORY = ("Unable to allocate ", "MemoryError")
_DEATH_WAIT = 0.25
_MAX_THREADS = 512

OnSubrequest = Callable[["Isolate", Exchange], Awaitable[Response]]


class Isolate:
    """A Worker's process, the socket into it and the socket out of it.

    Tokens are known to one isolate only: one that leaks is of no use in another.
    """

    def __init__(
        self,
        version: Version,
        folder: Folder,
        on_subrequest: OnSubrequest,
        on_error: Callable[[SluiceError], Response],
        console: Console,
        max_message: int,
        *,
        is_shared: bool,
    ) -> None:
        self.version = version
        self.invocations = Roster()
        self.dead = asyncio.Event()
        self.answered = False
        self.usable = True
        """Whether it may be sent requests: not once it broke a limit."""
        self.cpu = CpuMeter()
        self.stands_back = False
        """Whether it runs only where nobody else wants to: an invocation was greedy.

        Never one that is shared: all customers would wait for the loops of one.
        """
        self._is_shared = is_shared
        self._folder = folder
        self._console = console
        self._process_failed = False
        self._client = Client(str(folder.path / IN_SOCKET), max_message=max_message)
        self._egress = Server(
            lambda exchange: on_subrequest(self, exchange),
            on_error=on_error,
            limits=Limits(max_message=max_message, max_connections=_MAX_CONNECTIONS),
            admit=self._is_own_peer,
        )
        self._broker: Broker | None = None
        self._process: ChildProcess
        self._watch: asyncio.Task[None]

    @classmethod
    async def start(
        cls,
        version: Version,
        program: Program,
        run_folder: Path,
        launcher: Launcher,
        on_subrequest: OnSubrequest,
        on_error: Callable[[SluiceError], Response],
        console: Console,
        max_message: int,
    ) -> Isolate:
        """Start a process of `program`. It may be sent requests at once.

        `max_message` is the most bytes of one WebSocket message, in and out.
        """
        folder = Folder(run_folder)
        isolate = cls(
            version,
            folder,
            on_subrequest,
            on_error,
            console,
            max_message,
            is_shared=program.is_shared,
        )
        try:
            for name, content in program.files.items():
                file = folder.path / name
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(content)
            await isolate._launch(launcher, program)
        except BaseException:
            await isolate._close_ways_out()
            folder.remove()
            raise
        return isolate

    async def _launch(self, launcher: Launcher, program: Program) -> None:
        egress = str(self._folder.path / EGRESS_SOCKET)
        await self._egress.listen_unix(egress)
        if program.asks:
            self._broker = Broker(egress)
        far = self._broker.far if self._broker else None
        with (
            far or contextlib.nullcontext(),
            socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener,
        ):
            listener.bind(str(self._folder.path / IN_SOCKET))
            listener.listen(_LISTEN_BACKLOG)
            self._process = await ChildProcess.start(
                launcher, program.arguments, self._folder.path, listener, far, self._console
            )
        self._watch = asyncio.create_task(self._wait_for_death())

    async def send(
        self, invocation: Invocation[Any], request: Request, control: Mapping[str, str]
    ) -> tuple[Response, dict[str, str]]:
        """Serve a request as `invocation`. `invocations.end` must end it in every case."""
        self.invocations.begin(invocation)
        response = await self._client.send(request, control)
        self.answered = True
        self.invocations.shows(invocation)
        return response

    def charge_cpu(self) -> None:
        """Charge the CPU time used since the last call, and kill a process that used too much."""
        in_flight, last = self.invocations.in_flight.values(), self.invocations.last
        shown, ended = self.invocations.take_shown()
        if self.cpu.charge(self._process.cpu_seconds(), in_flight, last, shown, ended):
            self.usable = False
            self._process.kill()
        elif self.cpu.greedy and not (self.stands_back or self._is_shared):
            self.stand_back()
        elif self.cpu.spent > 0 and self._process.threads() > _MAX_THREADS:
            self._end_for_threads()

    def stand_back(self) -> None:
        """Run only where nobody else wants to. A process that is shared does not."""
        if not self._is_shared:
            self.stands_back = True
            self._process.stand_back()

    def pause(self) -> None:
        """Stop for a while."""
        self._process.pause()

    def go_on(self) -> None:
        """Run again."""
        self._process.go_on()

    def _end_for_threads(self) -> None:
        """Kill it. RLIMIT_NPROC is no limit for it: it counts a uid's, and none of root's."""
        for invocation in self.invocations.in_flight.values():
            invocation.fate = SluiceError(
                Reason.EXCEEDED_MEMORY, f"the Worker has more than {_MAX_THREADS} threads"
            )
        self.usable = False
        self._process.kill()

    def resident_bytes(self) -> int:
        """Memory that the process holds."""
        return self._process.resident_bytes()

    async def explain(self, invocation: Invocation[Any], error: SluiceError) -> SluiceError:
        """Why a request to this isolate got no response, given what its client saw."""
        if error.reason is not Reason.ISOLATE_DIED:
            return error
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_DEATH_WAIT):
                await self.dead.wait()
        if invocation.fate:
            # Once raised it refers to whom it was raised in, the invocation too.
            fate, invocation.fate = invocation.fate, None
            return fate
        if not self.dead.is_set():
            return SluiceError(
                Reason.BODY_CUT_SHORT, "the Worker broke off its response before it began"
            )
        lines = self._console.tail.decode(errors="replace").splitlines()
        printed = "\n".join(lines[-_LAST_LINES:])
        heap_full = "process out of memory" in printed or (
            "heap" in printed and ("out of memory" in printed or "limit" in printed)
        )
        # More lines follow than the last few: the allocator's account of itself.
        if heap_full or any(line.startswith(_NO_MEMORY) for line in lines):
            return SluiceError(Reason.EXCEEDED_MEMORY, "the isolate ran out of memory")
        if not self.answered and self._process_failed:
            return SluiceError(
                Reason.WORKER_LOAD_FAILED, printed[-2048:] or "the isolate did not start"
            )
        return error

    async def stop(self) -> None:
        """Kill the process, end its sockets, remove its folder. Requests in flight fail."""
        self._process.kill()
        await self._watch

    async def _wait_for_death(self) -> None:
        status = await self._process.wait()
        self.usable = False
        self._process_failed = status > 0
        self.dead.set()
        await self._client.aclose()
        await self._close_ways_out()
        self._folder.remove()
        # It refers to this isolate, which holds its last invocations: no collector is needed so.
        del self._egress

    async def _close_ways_out(self) -> None:
        if self._broker:
            await self._broker.aclose()
        await self._egress.close(grace=0)

    def _is_own_peer(self, peer: Peer) -> bool:
        return peer.pid == (os.getpid() if self._broker else self._process.pid)
