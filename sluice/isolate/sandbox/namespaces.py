"""Namespaces for a process that is forked and not executed, as bubblewrap makes them for others.

Users, network, IPC, host name and mounts; the root holds only what is named. Not PIDs: that takes
a second fork, and signals and tracing are the filter's and Landlock's to refuse. Source:
unshare(2), user_namespaces(7), pivot_root(2).
"""

from __future__ import annotations

import ctypes
import os
import socket
from collections.abc import Iterable
from pathlib import Path

from sluice.isolate.sandbox.bubblewrap import DEVICES, FOLDER
from sluice.isolate.sandbox.kernel import LIBC, check

_NEW = 0x10000000 | 0x40000000 | 0x08000000 | 0x04000000 | 0x00020000  # user, net, ipc, uts, mnt
_BIND, _RECURSIVE, _PRIVATE = 0x1000, 0x4000, 0x40000
_DETACH = 2
_SET_DUMPABLE = 4
_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
_ROOT = "/proc"  # there in any root, and nothing that is bound lies in it


def enter(read_only: Iterable[str]) -> None:
    """Leave the machine's namespaces, for a root with `read_only`, devices and this folder.

    The process is then in that folder. What may be done to the files is Landlock's to say.
    Raises `OSError`. The process must have one thread.
    """
    user, group = os.geteuid(), os.getegid()
    # A process that took another uid may not write to its own maps otherwise.
    check(LIBC.prctl(_SET_DUMPABLE, 1, 0, 0, 0), "dumpable")
    check(LIBC.unshare(_NEW), "unshare")
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
    Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    socket.sethostname("worker")
    _mount("none", "/", _RECURSIVE | _PRIVATE)
    _mount("tmpfs", _ROOT, kind=b"tmpfs")
    for path in (*_outermost(read_only), *DEVICES):
        _bind(path, _ROOT + path)
    _bind(".", _ROOT + FOLDER)
    os.chdir(_ROOT)
    pivot_root = ctypes.c_long(_PIVOT_ROOT[os.uname().machine])
    check(LIBC.syscall(pivot_root, b".", b"."), "pivot_root")
    check(LIBC.umount2(b".", _DETACH), "umount")
    os.chdir(FOLDER)


def _outermost(paths: Iterable[str]) -> list[str]:
    """The paths, without those that lie beneath another."""
    kept: list[str] = []
    for path in sorted(paths):
        if not any(Path(path).is_relative_to(folder) for folder in kept):
            kept.append(path)
    return kept


def _bind(source: str, target: str) -> None:
    if Path(source).is_dir():
        Path(target).mkdir(parents=True)
    else:
        Path(target).parent.mkdir(parents=True, exist_ok=True)
        Path(target).touch(exist_ok=False)
    _mount(source, target, _BIND | _RECURSIVE)


def _mount(source: str, target: str, flags: int = 0, kind: bytes | None = None) -> None:
    result = LIBC.mount(source.encode(), target.encode(), kind, ctypes.c_ulong(flags), None)
    check(result, f"mount {target}")
