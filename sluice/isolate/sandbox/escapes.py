"""The escape probe: a program that runs in the sandbox and tries to get out.

It imports nothing of ours: it runs in the zygote's fork, and in bubblewrap as a file of its own. It
prints one JSON object: how many attempts were made, and the names of those that succeeded.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import json
import mmap
import os
import resource
import socket
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

_REFUSED = {errno.EPERM, errno.EACCES, errno.ENOSYS, errno.EAFNOSUPPORT}
_OWN_DESCRIPTORS = 4  # standard input, output and error, and the listening socket
_ADDRESS_SPACE = 8 << 30
_RUN = "run "

# System calls that a Worker's process has no use for: x86_64, aarch64. None where there is none.
CALLS: Mapping[str, tuple[int | None, int | None]] = {
    "acct": (163, 89),
    "add_key": (248, 217),
    "bind": (49, 200),
    "bpf": (321, 280),
    "capget": (125, 90),
    "capset": (126, 91),
    "chroot": (161, 51),
    "clock_settime": (227, 112),
    "clone3": (435, 435),
    "delete_module": (176, 106),
    "execveat": (322, 281),
    "fanotify_init": (300, 262),
    "fchmodat": (268, 53),
    "fchownat": (260, 54),
    "finit_module": (313, 273),
    "fsopen": (430, 430),
    "init_module": (175, 105),
    "inotify_init1": (294, 26),
    "io_setup": (206, 0),
    "io_uring_setup": (425, 425),
    "iopl": (172, None),
    "kcmp": (312, 272),
    "keyctl": (250, 219),
    "kill": (62, 129),
    "landlock_create_ruleset": (444, 444),
    "linkat": (265, 37),
    "listen": (50, 201),
    "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
    "migrate_pages": (256, 238),
    "mkdirat": (258, 34),
    "mknodat": (259, 33),
    "modify_ldt": (154, None),
    "mount": (165, 40),
    "mount_setattr": (442, 442),
    "move_mount": (429, 429),
    "move_pages": (279, 239),
    "mq_open": (240, 180),
    "msgget": (68, 186),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "open_tree": (428, 428),
    "perf_event_open": (298, 241),
    "personality": (135, 92),
    "pidfd_getfd": (438, 438),
    "pidfd_open": (434, 434),
    "pidfd_send_signal": (424, 424),
    "pivot_root": (155, 41),
    "process_madvise": (440, 440),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "ptrace": (101, 117),
    "quotactl": (179, 60),
    "reboot": (169, 142),
    "renameat2": (316, 276),
    "request_key": (249, 218),
    "rt_sigqueueinfo": (129, 138),
    "sched_setaffinity": (203, 122),
    "sched_setscheduler": (144, 119),
    "seccomp": (317, 277),
    "semget": (64, 190),
    "setgid": (106, 144),
    "setgroups": (116, 159),
    "setns": (308, 268),
    "setpriority": (141, 140),
    "setrlimit": (160, 164),
    "setsid": (112, 157),
    "settimeofday": (164, 170),
    "setuid": (105, 146),
    "setxattr": (188, 5),
    "shmget": (29, 194),
    "splice": (275, 76),
    "swapon": (167, 224),
    "symlinkat": (266, 36),
    "syslog": (103, 116),
    "tgkill": (234, 131),
    "truncate": (76, 45),
    "umount2": (166, 39),
    "unlinkat": (263, 35),
    "unshare": (272, 97),
    "userfaultfd": (323, 282),
}
_X32_GETPID = 0x40000000 + 39
_CLONE_PROCESS, _CLONE_NEWUSER = 17, 0x10000000 | 17
_PTRACE_SEIZE = 0x4206  # which, unlike an attach, stops nobody
_IPPROTO_MPTCP = 262
_SOCKETS = {
    "TCP": (socket.AF_INET, socket.SOCK_STREAM, 0),
    "TCP over IPv6": (socket.AF_INET6, socket.SOCK_STREAM, 0),
    "MPTCP": (socket.AF_INET, socket.SOCK_STREAM, _IPPROTO_MPTCP),
    "UDP": (socket.AF_INET, socket.SOCK_DGRAM, 0),
    "SCTP": (socket.AF_INET, socket.SOCK_SEQPACKET, 132),
    "raw IP": (socket.AF_INET, socket.SOCK_RAW, 1),
    "packet": (17, socket.SOCK_RAW, 0),
    "netlink": (16, socket.SOCK_RAW, 0),
    "vsock": (40, socket.SOCK_STREAM, 0),
    "kernel crypto": (38, socket.SOCK_SEQPACKET, 0),
    "bluetooth": (31, socket.SOCK_RAW, 1),
    "XDP": (44, socket.SOCK_RAW, 0),
}

Attempt = Callable[[], object]
"""Raises `OSError` where it is refused. To return is to have escaped."""


def attempts(targets: Mapping[str, str]) -> dict[str, Attempt]:
    """Every attempt by its name. `targets` are a neighbour's things, which `trial.py` lays out."""
    return {
        **dict(_files(targets)),
        **dict(_sockets(targets)),
        **dict(_processes(int(targets["service"]))),
        **dict(_resources()),
        **{f"call {name}": attempt for name, attempt in _calls()},
        **(dict(_of_python()) if targets.get("python") else {}),
        **(dict(_of_forks()) if targets.get("forked") else {}),
        **dict(_programs()),  # last: one that runs takes the probe's place
    }


def _files(targets: Mapping[str, str]) -> Iterator[tuple[str, Attempt]]:
    service, neighbour = targets["service"], targets["neighbour"]
    for path in ("/etc/passwd", "/etc/hostname", "/proc/self/environ", "/proc/self/mem"):
        yield f"read {path}", partial(_read, path)
    for name in ("environ", "maps", "mem", "cmdline"):
        path = f"/proc/{service}/{name}"
        yield f"read the service's {name}", partial(_read, path)
    yield "read a neighbour's file", lambda: _read(f"{neighbour}/secret")
    yield "list a neighbour's folder", lambda: os.listdir(neighbour)  # noqa: PTH208
    for path in ("/etc", "/proc/1", "/proc/sys", "/sys", "/tmp", "/home", "/root", "/run", "/var"):  # noqa: S108
        if not any(own.startswith(path) for own in (sys.executable, os.__file__, __file__)):
            yield f"list {path}", partial(_has_entries, path)
    for path in ("/tmp/escaped", "/dev/shm/escaped", "escaped", f"{neighbour}/escaped"):  # noqa: S108
        named = path.replace(neighbour, "a neighbour's folder")
        yield f"write {named}", partial(_write, path)
    yield "write a neighbour's file", lambda: os.close(os.open(f"{neighbour}/secret", os.O_WRONLY))
    for path in ("/dev/mem", "/dev/kmsg", "/dev/kvm", "/dev/fuse", "/dev/tty", "/dev/ptmx"):
        yield f"open {path}", partial(_open, path)


def _sockets(targets: Mapping[str, str]) -> Iterator[tuple[str, Attempt]]:
    for name, (family, kind, protocol) in _SOCKETS.items():
        yield f"socket: {name}", partial(_socket, family, kind, protocol)
    yield "socket pair: TCP", lambda: socket.socketpair(socket.AF_INET, socket.SOCK_STREAM)
    path = f"{targets['neighbour']}/socket"
    yield "connect to a neighbour's socket by its path", lambda: _connect(path)
    yield "connect to an abstract socket", lambda: _connect("\0" + targets["abstract"])
    yield "send urgent data", lambda: _try_pair(lambda pair: pair.send(b"!", socket.MSG_OOB))
    yield "hold more in a socket", lambda: _try_pair(_grow)


def _processes(service: int) -> Iterator[tuple[str, Attempt]]:
    clone = _number((56, 220))
    yield "fork", _fork
    yield "clone a process", lambda: _clone(clone, _CLONE_PROCESS)
    yield "clone into a user namespace", lambda: _clone(clone, _CLONE_NEWUSER)
    yield "signal the service", lambda: os.kill(service, 0)
    yield "signal everyone", lambda: os.kill(-1, 0)
    yield "trace the service", lambda: _call(_number((101, 117)), _PTRACE_SEIZE, service, 0, 0)
    yield "have the service signalled", lambda: _try_pair(partial(_have_signalled, service))
    yield "limits of the service", lambda: resource.prlimit(service, resource.RLIMIT_CORE)
    yield "type into the terminal", lambda: _call(_number((16, 29)), 0, 0x5412, b"x")
    yield "outlive the service", lambda: _call(_number((157, 167)), 1, 0, 0, 0, 0)
    yield "become dumpable", lambda: _call(_number((157, 167)), 4, 1, 0, 0, 0)
    if os.uname().machine == "x86_64":
        yield "an x32 call", lambda: _call(_X32_GETPID)


def _of_python() -> Iterator[tuple[str, Attempt]]:
    """What Python code may not do, while workerd connects to its egress socket."""
    yield "socket: unix", partial(_socket, socket.AF_UNIX, socket.SOCK_STREAM, 0)
    yield "socket: unix datagrams", partial(_socket, socket.AF_UNIX, socket.SOCK_DGRAM, 0)
    yield "call connect", lambda: _call(_number((42, 203)), -1, 0, 0)


def _of_forks() -> Iterator[tuple[str, Attempt]]:
    """What a fork of the zygote may not do, while one that is executed may, or has no zygote."""
    zygote = os.getppid()
    yield "call execve", lambda: _call(_number((59, 221)), 0, 0, 0)
    yield "signal the zygote", lambda: os.kill(zygote, 0)
    yield "trace the zygote", lambda: _call(_number((101, 117)), _PTRACE_SEIZE, zygote, 0, 0)
    yield "have the zygote signalled", lambda: _try_pair(partial(_have_signalled, zygote))
    yield "read the zygote's memory", partial(_read, f"/proc/{zygote}/mem")
    yield "list its descriptors", lambda: os.listdir("/proc/self/fd")  # noqa: PTH208


def _programs() -> Iterator[tuple[str, Attempt]]:
    for path in ("/bin/sh", "/usr/bin/env", "/usr/bin/python3", "/bin/busybox"):
        yield f"{_RUN}{path}", partial(os.execve, path, [path], {})


def _resources() -> Iterator[tuple[str, Attempt]]:
    yield "inherit a descriptor", _find_descriptor
    yield "inherit an environment", _find_environment
    yield "take 8 GiB of memory", _take_memory
    yield "hold up who opens a library", partial(_lease, os.__file__)
    yield "dump core", lambda: _refuse_unless(resource.getrlimit(resource.RLIMIT_CORE)[1] != 0)


def _calls() -> Iterator[tuple[str, Attempt]]:
    """Calls with arguments that the kernel would refuse too, but by another error."""
    for name, numbers in CALLS.items():
        if (number := _number(numbers)) is not None:
            yield name, partial(_call, number, -1, 0, 0, 0, 0, 0)


def _number(numbers: tuple[int | None, int | None]) -> int | None:
    return numbers[os.uname().machine == "aarch64"]


def _call(number: int | None, *arguments: int | bytes) -> None:
    """Make a system call. It is refused by an error of a filter; any other means it got through."""
    libc = ctypes.CDLL(None, use_errno=True)
    wide = [value if isinstance(value, bytes) else ctypes.c_long(value) for value in arguments]
    if libc.syscall(ctypes.c_long(number or 0), *wide) == -1:
        error = ctypes.get_errno()
        if error in _REFUSED:
            raise OSError(error, os.strerror(error))


def _clone(number: int | None, flags: int) -> None:
    own = os.getpid()
    _call(number, flags, 0, 0, 0, 0)
    if os.getpid() != own:
        os._exit(0)


def _fork() -> None:
    if os.fork() == 0:
        os._exit(0)


def _read(path: str) -> None:
    with Path(path).open("rb") as file:
        file.read(1)


def _write(path: str) -> None:
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))
    os.unlink(path)  # noqa: PTH108 # so that one that escaped leaves nothing behind


def _has_entries(path: str) -> None:
    _refuse_unless(bool(os.listdir(path)))  # noqa: PTH208


def _connect(address: str) -> None:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(1)
        connection.connect(address)


def _open(path: str) -> None:
    os.close(os.open(path, os.O_RDWR))


def _socket(family: int, kind: int, protocol: int) -> None:
    socket.socket(family, kind, protocol).close()


def _try_pair(attempt: Callable[[socket.socket], object]) -> None:
    one, other = socket.socketpair()
    with one, other:
        attempt(one)


def _grow(own: socket.socket) -> None:
    own.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 24)


def _have_signalled(process: int, own: socket.socket) -> None:
    """Have the kernel signal a process when `own` can be read: fcntl(2), F_SETOWN."""
    fcntl.fcntl(own, fcntl.F_SETOWN, process)


def _lease(path: str) -> None:
    """Whoever opens the file has to wait for us: fcntl(2), F_SETLEASE."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_WRLCK)
    finally:
        os.close(descriptor)


def _find_descriptor() -> None:
    found = []
    for descriptor in range(_OWN_DESCRIPTORS, 1024):
        try:
            os.fstat(descriptor)
        except OSError:
            continue
        found.append(descriptor)
    _refuse_unless(bool(found))


def _find_environment() -> None:
    _refuse_unless(bool(set(os.environ) - {"PWD", "LC_CTYPE"}))  # bwrap and CPython set these


def _take_memory() -> None:
    with mmap.mmap(-1, _ADDRESS_SPACE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS):
        pass


def _refuse_unless(escaped: bool) -> None:
    if not escaped:
        raise PermissionError


def main(targets: str) -> None:
    """Try everything. Prints the outcome."""
    succeeded: list[str] = []
    tried = attempts(json.loads(targets))
    for name, attempt in tried.items():
        if name.startswith(_RUN):  # where it succeeds, there is nobody left to say so
            _tell(len(tried), [*succeeded, name])
        try:
            attempt()
        except OSError:
            continue
        succeeded.append(name)
    _tell(len(tried), succeeded)


def _tell(tried: int, succeeded: list[str]) -> None:
    os.write(1, json.dumps({"tried": tried, "succeeded": succeeded}).encode() + b"\n")


if __name__ == "__main__":
    main(sys.argv[1])
