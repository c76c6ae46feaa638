"""The service's end of the zygote: starts confined processes, and is told how each ended."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import re
import secrets
import signal
import socket
import struct
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Any, Self

from sluice.isolate.sandbox import zygote
from sluice.isolate.sandbox.guest import Guest
from sluice.isolate.sandbox.libraries import libraries
from sluice.isolate.sandbox.machine import find_bubblewrap
from sluice.isolate.sandbox.posture import Kind, Posture
from sluice.wire.errors import Reason, SluiceError

KILLED = -9
_START = 10.0
_EXECUTED_GUEST = 192 << 20  # address space of CPython and what it imports at its start
_BOOT = (
    "import sys; sys.path.insert(0, sys.argv[1]);"
    "from sluice.isolate.sandbox import zygote; zygote.main()"
)
_ROOT = Path(__file__).resolve().parents[3]
_UIDS = 2048
_FIRST_UID = 1 << 29  # up to 2**31, beyond which bwrap takes them for negative
_INFO = re.compile(rb'"child-pid":\s*([0-9]+)')


@dataclass(frozen=True, slots=True)
class Launched:
    """A process that was started."""

    pid: int
    output: FileIO
    """What it prints is read from this, which whoever reads it closes."""

    exited: asyncio.Future[int]
    """Its exit status; negative for a signal."""


@dataclass(slots=True)
class _Asked:
    pid: asyncio.Future[int]
    exited: asyncio.Future[int]
    uid: int | None
    process: int | None = None
    """The process itself, which bubblewrap has as a child."""


class _Pipe:
    """A pipe: the far end is sent to the process, the near end is for whoever takes it."""

    def __init__(self) -> None:
        near, far = os.pipe()
        self.near, self.far = FileIO(near, "rb"), FileIO(far, "wb")
        self._taken = False

    def take(self) -> FileIO:
        self._taken = True
        return self.near

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.far.close()
        if not self._taken:
            self.near.close()


class Launcher:
    """Starts processes in `posture`, each with at most `data` bytes of memory of its own.

    `image` is what they are: an executable, or the Python guest.
    """

    def __init__(self, posture: Posture, image: Path | Guest, data: int) -> None:
        self.posture = posture
        guest = image if isinstance(image, Guest) else None
        self.is_python = guest is not None
        """Whether processes are the Python guest, whose filter is stricter."""

        self.forks = guest is not None and posture.kind is not Kind.BUBBLEWRAP
        """Whether processes are the zygote's forks, and execute nothing."""

        self._command = guest.command() if guest else []
        confined = posture.kind is not Kind.NONE
        self._plan = {
            "kind": posture.kind,
            "landlock": posture.landlock,
            "namespaces": posture.namespaces,
            "bubblewrap": find_bubblewrap(),
            "memory": data + (_EXECUTED_GUEST if guest and not self.forks else 0),
            "read_only": _needed(image, forks=self.forks) if confined else [],
            "python": self.is_python,
            "guest": guest.paths if guest and self.forks else None,
        }
        self._ids = itertools.count()
        self._asked: dict[int, _Asked] = {}
        first = _FIRST_UID + secrets.randbelow(1 << 19) * _UIDS
        self._uids = list(range(first, first + _UIDS)) if posture.uids else []
        self._zygote: Process | None = None
        self._socket: socket.socket | None = None
        self._starting = asyncio.Lock()

    @property
    def gaps(self) -> frozenset[str]:
        """What the sandbox is known not to stop. Python connects to nothing, in any posture."""
        return frozenset() if self.is_python else self.posture.gaps

    async def launch(
        self,
        program: Sequence[str],
        folder: Path,
        listener: socket.socket,
        *,
        broker: socket.socket | None = None,
        read_only: Sequence[str] = (),
        escapes: str = "",
    ) -> Launched:
        """Start `program` in `folder`, with the listener and the broker as descriptors 3 and 4.

        The guest needs no `program`, and asks the broker for connections.
        `read_only` are paths that it may read besides its own. `escapes` has the zygote run the
        escape probe instead, where it need not exec. Raises `SluiceError` where it does not start.
        """
        connection = await self._connected()
        number, asked = self._ask()
        request = {
            "id": number,
            "program": list(program or self._command),
            "read_only": list(read_only),
            # A fork has the memory of the zygote, where no neighbour's folder may be named.
            "folder": "." if self.forks else str(folder),
            "uid": asked.uid,
            "escapes": escapes,
        }
        with _Pipe() as output, _Pipe() as info:
            try:
                if asked.uid is not None:
                    _admit(folder, asked.uid)
                with output.far, info.far, _opened(folder) as opened:
                    own = opened if self.forks else info.far.fileno()
                    descriptors = [output.far.fileno(), own, listener.fileno()]
                    descriptors += [broker.fileno()] if broker else []
                    socket.send_fds(connection, [json.dumps(request).encode()], descriptors)
            except OSError as error:
                self._end(number, KILLED)
                raise SluiceError(Reason.ISOLATE_DIED, f"no process: {error}") from error
            asked.process = await self._begun(asked, info)
            return Launched(asked.process, output.take(), asked.exited)

    async def _begun(self, asked: _Asked, info: _Pipe) -> int:
        """The pid of a process that was asked for. It is killed where that cannot be waited for."""
        try:
            async with asyncio.timeout(_START):
                pid = await asked.pid
                if self.posture.kind is Kind.BUBBLEWRAP:
                    pid = await _child_of_bubblewrap(info.take()) or pid
                return pid
        except BaseException as error:
            if not asked.pid.cancelled() and not asked.pid.exception():
                _kill(asked.pid.result())
            if isinstance(error, OSError | TimeoutError):
                raise SluiceError(Reason.ISOLATE_DIED, f"no process: {error}") from error
            raise

    async def aclose(self) -> None:
        """End the zygote, and with it every process."""
        if self._zygote is None:
            return
        self._disconnect()
        await self._zygote.wait()

    def _ask(self) -> tuple[int, _Asked]:
        loop = asyncio.get_running_loop()
        if self.posture.uids and not self._uids:
            raise SluiceError(Reason.LOAD_SHED, f"all {_UIDS} uids are in use")
        uid = self._uids.pop(0) if self.posture.uids else None
        number, asked = next(self._ids), _Asked(loop.create_future(), loop.create_future(), uid)
        self._asked[number] = asked
        return number, asked

    async def _connected(self) -> socket.socket:
        async with self._starting:
            if self._socket is None:
                await self._begin()
            assert self._socket is not None  # noqa: S101 — made just above
            return self._socket

    async def _begin(self) -> None:
        kind = socket.SOCK_SEQPACKET if sys.platform == "linux" else socket.SOCK_DGRAM
        ours, theirs = socket.socketpair(socket.AF_UNIX, kind)
        arguments = [_BOOT, str(_ROOT), str(os.getpid()), str(theirs.fileno())]
        with theirs:
            self._zygote = await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", "-S", "-X", "utf8", "-c"),
                *(*arguments, json.dumps(self._plan)),
                stdin=DEVNULL,
                pass_fds=[theirs.fileno()],
                env={},
                start_new_session=True,
            )
        ours.setblocking(False)
        self._socket = ours
        asyncio.get_running_loop().add_reader(ours.fileno(), self._read)

    def _read(self) -> None:
        assert self._socket is not None  # noqa: S101 — the reader is removed with it
        try:
            message = self._socket.recv(zygote.MAX_MESSAGE)
        except BlockingIOError:
            return
        except ConnectionError:
            message = b""
        if message:
            self._hear(json.loads(message))
        else:
            self._disconnect()

    def _hear(self, answer: dict[str, Any]) -> None:
        asked = self._asked[answer["id"]]
        if "pid" not in answer:
            self._end(answer["id"], answer.get("status", zygote.CANNOT_START))
        elif asked.pid.cancelled():  # whoever asked waits no more
            _kill(answer["pid"])
        else:
            asked.pid.set_result(answer["pid"])

    def _end(self, number: int, status: int) -> None:
        asked = self._asked.pop(number)
        if asked.uid is not None:
            self._uids.append(asked.uid)
        if not asked.pid.done():
            asked.pid.set_exception(ProcessLookupError("the zygote could not fork, or is gone"))
            asked.pid.exception()  # seen, should nobody wait for it
        # bwrap ends as its child did, but as a shell says it.
        asked.exited.set_result(128 - status if status > 128 else status)

    def _disconnect(self) -> None:
        """The zygote is gone or to go, and every process with it. The next launch has a new one."""
        if self._socket is None:
            return
        asyncio.get_running_loop().remove_reader(self._socket.fileno())
        self._socket.close()
        self._socket = None
        for number, asked in list(self._asked.items()):
            if asked.process is not None:  # bwrap's child, should it have begun a moment ago
                _kill(asked.process)
            self._end(number, KILLED)


def _needed(image: Path | Guest, *, forks: bool) -> list[str]:
    """Files that a process has to read. What the zygote imports for its forks, it adds itself."""
    if isinstance(image, Guest):
        return [*image.read_only, *([] if forks else image.paths)]
    return [str(image), *libraries(image)]


@contextlib.contextmanager
def _opened(folder: Path) -> Iterator[int]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


async def _child_of_bubblewrap(info: FileIO) -> int | None:
    """The pid of the process itself, which bwrap names before it lets it run."""
    found = _INFO.search(await read_pipe(info))
    return int(found[1]) if found else None


async def read_pipe(pipe: FileIO) -> bytes:
    """All that comes until its end. Closes it."""
    reader = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), pipe
    )
    try:
        return await reader.read()
    finally:
        transport.close()


def _admit(folder: Path, uid: int) -> None:
    """Let that uid into the folder, and no other: an ACL, as chown needs a capability (acl(5)).

    What is inside is open to all who get in.
    """
    owner, user, group, mask, other = 0x01, 0x02, 0x04, 0x10, 0x20
    nobody = 0xFFFFFFFF
    entries = [(owner, 7, nobody), (user, 5, uid), (group, 0, nobody), (mask, 5, nobody)]
    entries.append((other, 0, nobody))
    acl = struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)
    os.setxattr(folder, "system.posix_acl_access", acl)
    for entry in folder.rglob("*"):
        entry.chmod(0o666 if entry.is_socket() else 0o755 if entry.is_dir() else 0o644)
