"""The zygote: a small process that forks the Workers' processes, confines each, and lets it run.

Its own process, because it is single-threaded: between fork and exec it runs Python, which is safe
in no process that has gRPC's threads. It starts what its service asks for over a socket, a message
each, and says how each ended. It ends with its service, and they with it.

A fork executes a program, or, where the zygote has taken in the Python guest, is the guest.

Requests: `{"id", "program", "read_only", "folder", "uid", "escapes"}` with the descriptors of the
output, a second (for bubblewrap what it writes its info to, for the guest its folder), the
listener, and the socket to the broker, if it has one. Answers: `{"id", "pid"}` or
`{"id", "error"}`, and later `{"id", "status"}`.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import resource
import select
import signal
import socket
import sys
from pathlib import Path
from typing import Any, NoReturn

from sluice.isolate.sandbox import bubblewrap, escapes, kernel, landlock, namespaces, seccomp
from sluice.isolate.sandbox import guest as guests

LISTENER = 3
"""Descriptor of the listening socket in every process started."""

BROKER = 4
"""Descriptor of the socket to its broker, in every process that has one."""

MAX_MESSAGE = 64 * 1024
_FILTER, _INFO = 5, 6
_FIRST_PID = 1  # of a process in bubblewrap, as it sees it
_HIGH = 64  # above what is put in place
_OOM_SCORE = "900"  # the Workers' processes before their service
_PROCESSES = 512  # threads, for a uid of its own
_DESCRIPTORS = 1024  # of CPython. What waits in sockets is in no limit: 200 KiB for each
CANNOT_START = 127


class Zygote:
    """Serves requests from `service`. `plan` is what all processes share.

    With a `guest`, every process is that, and nothing of its neighbours may be in memory here.
    """

    def __init__(
        self, service: socket.socket, plan: dict[str, Any], guest: guests.Run | None = None
    ) -> None:
        self._service = service
        self._plan = plan
        self._guest = guest
        self._ids: dict[int, int] = {}

    def serve(self) -> None:
        """Serve until the service is gone."""
        woken, wake = os.pipe()
        os.set_blocking(wake, False)
        signal.set_wakeup_fd(wake)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        poll = select.poll()  # not select(2): the service's descriptor may be beyond its 1024
        for descriptor in (self._service.fileno(), woken):
            poll.register(descriptor, select.POLLIN)
        while True:
            ready = {descriptor for descriptor, _ in poll.poll()}
            if woken in ready:
                os.read(woken, 4096)
                self._reap()
            if self._service.fileno() in ready and not self._start_next():
                return

    def _start_next(self) -> bool:
        try:
            message, descriptors, _, _ = socket.recv_fds(self._service, MAX_MESSAGE, 4)
        except ConnectionError:
            return False
        if not message:
            return False
        request = json.loads(message)
        zygote = os.getpid()
        try:
            pid = os.fork()
        except OSError as error:
            self._say({"id": request["id"], "error": str(error)})
        else:
            if pid == 0:
                self._become(request, descriptors, zygote)
            self._ids[pid] = request["id"]
            self._say({"id": request["id"], "pid": pid})
        for descriptor in descriptors:
            os.close(descriptor)
        return True

    def _reap(self) -> None:
        while self._ids:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            code = os.waitstatus_to_exitcode(status)
            self._say({"id": self._ids.pop(pid), "status": code})

    def _say(self, answer: dict[str, Any]) -> None:
        self._service.send(json.dumps(answer).encode())

    def _become(self, request: dict[str, Any], descriptors: list[int], zygote: int) -> NoReturn:
        """In the fork: become what was asked for. Whatever fails here is said on its output."""
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.setsid()
            output, own, *sockets = descriptors
            if self._guest:
                os.fchdir(own)
            else:
                signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # which Python ignores
                os.chdir(request["folder"])
            _place(output, sockets, info=own)
            _limit(self._plan, request["uid"])
            confine = {"bubblewrap": self._in_bubblewrap, "landlock": self._in_landlock}
            confine.get(self._plan["kind"], self._in_nothing)(request, zygote, len(sockets))
        except BaseException as error:
            os.write(2, f"the sandbox did not start: {error}\n".encode())
        finally:
            os._exit(CANNOT_START)

    def _in_bubblewrap(self, request: dict[str, Any], zygote: int, sockets: int) -> None:
        read_end, write_end = os.pipe()  # not a memfd: there are no files to be written any more
        os.write(write_end, self._filter(_FIRST_PID))
        os.dup2(_moved_up(read_end), _FILTER)
        command = bubblewrap.command(
            self._plan["bubblewrap"],
            request["program"],
            folder=request["folder"],
            read_only=[*self._plan["read_only"], *request["read_only"]],
            seccomp=_FILTER,
            info=_INFO,
        )
        os.closerange(LISTENER + sockets, _FILTER)
        os.closerange(_INFO + 1, _HIGH * 1024)
        _take_uid(request["uid"])
        kernel.die_with_parent(zygote)
        _exec(command)

    def _in_landlock(self, request: dict[str, Any], zygote: int, sockets: int) -> None:
        rules = landlock.Ruleset(self._plan["landlock"])
        read_only = [*self._plan["read_only"], *request["read_only"]]
        rules.allow(read_only, landlock.READ_AND_EXECUTE)
        rules.allow([request["folder"], "/dev/urandom"], landlock.READ)
        rules.allow(["/dev/null"], landlock.READ_AND_WRITE)
        _take_uid(request["uid"])
        if self._plan["namespaces"]:
            namespaces.enter(read_only)
        kernel.die_with_parent(zygote)
        kernel.drop_capabilities()
        rules.enforce()
        os.closerange(LISTENER + sockets, _HIGH * 1024)
        seccomp.install(self._filter(os.getpid()))
        if request["escapes"]:
            escapes.main(request["escapes"])
            os._exit(0)
        self._run(request["program"])

    def _filter(self, pid: int) -> bytes:
        rules = seccomp.WORKERD
        if self._plan["python"]:
            rules = seccomp.cpython(pid, LISTENER, executed=self._guest is None)
        return seccomp.of_this_machine(rules)

    def _in_nothing(self, request: dict[str, Any], zygote: int, sockets: int) -> None:
        if sys.platform == "linux":
            kernel.die_with_parent(zygote)
        os.closerange(LISTENER + sockets, _HIGH * 1024)
        self._run(request["program"])

    def _run(self, program: list[str]) -> NoReturn:
        if self._guest:
            guests.serve(self._guest, LISTENER, BROKER)
        _exec(program)


def _exec(command: list[str]) -> NoReturn:
    os.execve(command[0], command, {})  # noqa: S606 # there is no shell to start it with


def _place(output: int, sockets: list[int], *, info: int) -> None:
    """Standard input, output and error, the sockets, and what bubblewrap writes its info to."""
    null = os.open(os.devnull, os.O_RDONLY)
    moved = [_moved_up(descriptor) for descriptor in (null, output, output, *sockets, info)]
    for target, descriptor in enumerate(moved[:-1]):
        os.dup2(descriptor, target)
    os.dup2(moved[-1], _INFO)


def _moved_up(descriptor: int) -> int:
    return fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, _HIGH)


def _limit(plan: dict[str, Any], uid: int | None) -> None:
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(_OOM_SCORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    if sys.platform == "linux":
        # CPython may map memory shared, which is not in RLIMIT_DATA; V8 does not, and maps a lot.
        limit = resource.RLIMIT_AS if plan["python"] else resource.RLIMIT_DATA
        resource.setrlimit(limit, (plan["memory"], plan["memory"]))
    if plan["python"]:
        most = min(_DESCRIPTORS, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    if uid is not None:
        resource.setrlimit(resource.RLIMIT_NPROC, (_PROCESSES, _PROCESSES))


def _own_space() -> int:
    """Address space of this process, in bytes: proc_pid_statm(5)."""
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


def _take_uid(uid: int | None) -> None:
    if uid is not None:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)


def main() -> None:
    """Serve. The command ends with the service's pid, the descriptor of its socket, the plan."""
    parent, descriptor, text = sys.argv[-3:]
    if sys.platform == "linux":
        kernel.die_with_parent(int(parent))
    del sys.argv[1:]  # which Workers see
    plan, guest = json.loads(text), None
    if plan["guest"]:
        guest, loaded = guests.load(plan["guest"])
        plan["read_only"] += loaded
        plan["memory"] += _own_space()
    # A low number, whatever the service had for it: one that forks are sure to close.
    low = os.dup(int(descriptor))
    os.close(int(descriptor))
    Zygote(socket.socket(fileno=low), plan, guest).serve()
