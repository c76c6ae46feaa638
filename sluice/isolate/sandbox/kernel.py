"""What Python has no call for: prctl(2), capset(2), syscall(2). For Linux only."""

from __future__ import annotations

import ctypes
import os
import signal
import struct

LIBC = ctypes.CDLL(None, use_errno=True)

_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS = 38
_CAPABILITY_VERSION_3 = 0x20080522


def check(result: int, what: str) -> int:
    """Give `result` back. Raises `OSError` that names `what` where it is -1."""
    if result == -1:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def forbid_new_privileges() -> None:
    """No exec of this process or its children gains anything: prctl(2), PR_SET_NO_NEW_PRIVS."""
    check(LIBC.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs")


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when the parent dies. Raises `OSError` if it has."""
    check(LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0), "pdeathsig")
    if os.getppid() != parent:
        raise ProcessLookupError("the parent is gone")


def drop_capabilities() -> None:
    """Give up every capability. With no new privileges, an exec as root gains none back."""
    header = struct.pack("Ii", _CAPABILITY_VERSION_3, 0)
    check(LIBC.capset(header, bytes(24)), "capset")
