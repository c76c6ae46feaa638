"""The system-call filter: BPF, assembled here, as it is eighty lines and libseccomp a dependency.

Source: seccomp(2) and the kernel's `Documentation/userspace-api/seccomp_filter.rst`. What is not
allowed fails with EPERM, so that a library that only asks goes on without.
"""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass

from sluice.isolate.sandbox import syscalls
from sluice.isolate.sandbox.kernel import LIBC, check, forbid_new_privileges

ALLOW = 0x7FFF0000
KILL = 0x80000000
_ERRNO = 0x00050000

_LOAD, _AND, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x54, 0x15, 0x35, 0x06
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16  # offsets in struct seccomp_data
_X32 = 0x40000000

_CLONE_THREAD = 0x00010000
_CLONE_NEW = 0x7E020000  # every CLONE_NEW* that clone(2) takes

_PR_SET_SECCOMP, _MODE_FILTER = 22, 2

_Instruction = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Architecture:
    """A machine, as the kernel names it to a filter, and the numbers of its system calls."""

    audit: int
    numbers: dict[str, int]
    has_x32: bool = False


ARCHITECTURES = {
    "x86_64": Architecture(0xC000003E, syscalls.X86_64, has_x32=True),
    "aarch64": Architecture(0xC00000B7, syscalls.AARCH64),
}
"""By the name that uname(2) gives."""


@dataclass(frozen=True, slots=True)
class _Check:
    """Pass a call where its argument, masked, is one of `values`. Arguments are 32 bits wide."""

    argument: int
    values: tuple[int, ...]
    mask: int = 0xFFFFFFFF
    otherwise: int = errno.EPERM

    def instructions(self) -> list[_Instruction]:
        """Run on to what follows where it passes."""
        to_end = range(len(self.values), 0, -1)
        return [
            (_LOAD, 0, 0, _ARGUMENTS + 8 * self.argument),
            (_AND, 0, 0, self.mask),
            *((_EQUAL, left, 0, value) for left, value in zip(to_end, self.values, strict=True)),
            (_RETURN, 0, 0, _ERRNO | self.otherwise),
        ]


_NEVER = (_Check(0, ()),)
_UNIX = _Check(0, (socket.AF_UNIX,), otherwise=errno.EAFNOSUPPORT)
_STREAM = _Check(1, (socket.SOCK_STREAM,), mask=0xF)  # beside it are flags

# F_DUPFD, flags, locks, F_DUPFD_CLOEXEC, F_GETPIPE_SZ: fcntl(2). So not F_SETOWN, which has the
# kernel signal whoever is named, nor F_SETLEASE, which holds up whoever else opens a file.
_FCNTL = (0, 1, 2, 3, 4, 5, 6, 7, 36, 37, 38, 1030, 1032)
# SO_REUSEADDR, SO_KEEPALIVE, SO_LINGER, SO_REUSEPORT, timeouts of both kinds; 1 is TCP_NODELAY. So
# not SO_SNDBUF, as what waits in sockets is in no limit of the process, and no SO_ATTACH_FILTER.
_OPTIONS = (1, 2, 9, 13, 15, 20, 21, 66, 67)
_TO_READ, _TO_WRITE, _FOR_BOTH, _EMPTY = 0, 1, 2, 0o1000  # of open(2), the same on both machines
_MSG_OOB = 1  # of no use, and a source of holes in the kernel: CVE-2025-38236


def _no_urgent(flags: int) -> tuple[_Check, ...]:
    return (_Check(flags, (0,), mask=_MSG_OOB),)


def _not_to_empty(flags: int) -> tuple[_Check, ...]:
    """Who opens a file to read it does not empty it: Landlock before ABI 3 sees a reader alone."""
    modes = (_TO_READ, _TO_WRITE, _FOR_BOTH)
    return (_Check(flags, (*modes, _TO_WRITE | _EMPTY, _FOR_BOTH | _EMPTY), mask=3 | _EMPTY),)


Rules = Mapping[str, tuple[_Check, ...]]
"""The checks that a call has to pass, all of them, by its name. Others need none."""

_BOTH: Rules = {
    "open": _not_to_empty(1),
    "openat": _not_to_empty(2),
    "socket": (_UNIX,),
    "socketpair": (_UNIX,),
    # Threads, and no process.
    "clone": (_Check(0, (_CLONE_THREAD,), mask=_CLONE_THREAD | _CLONE_NEW),),
    # Its flags are in memory, where no filter sees them. At ENOSYS libc takes clone.
    "clone3": (_Check(0, (), otherwise=errno.ENOSYS),),
    # TCGETS, FIOCLEX, FIONCLEX, FIONBIO, FIONREAD. So not TIOCSTI, which types into a terminal.
    "ioctl": (_Check(1, (0x5401, 0x5451, 0x5450, 0x5421, 0x541B)),),
    # PR_SET_NAME, PR_GET_NAME, PR_SET_VMA. So not PR_SET_PDEATHSIG, which would outlive us.
    "prctl": (_Check(0, (15, 16, 0x53564D41)),),
    # Of itself, not of a neighbour.
    "prlimit64": (_Check(0, (0,)),),
    "fcntl": (_Check(1, _FCNTL),),
    "setsockopt": (_Check(2, _OPTIONS),),
    "sendto": _no_urgent(3),
    "sendmsg": _no_urgent(2),
    "recvfrom": _no_urgent(3),
    "recvmsg": _no_urgent(2),
}
WORKERD: Rules = {**_BOTH, "kill": _NEVER, "tgkill": _NEVER, "listen": _NEVER}
"""For workerd, which the zygote or bubblewrap executes with the filter in place."""


def cpython(pid: int, listener: int, *, executed: bool) -> Rules:
    """For the Python guest: signals to itself, and asyncio's second listen(2) on `listener`.

    It makes no socket but a pair and connects none, as Landlock has no say in the paths of unix
    sockets: its connections come from its broker.
    `pid` is its own, as it sees it. A fork of the zygote executes nothing; `executed` is for one
    that bubblewrap has yet to execute.
    """
    itself = (_Check(0, (pid,)),)
    return {
        **_BOTH,
        "socket": _NEVER,
        "connect": _NEVER,
        "socketpair": (_UNIX, _STREAM),
        "kill": itself,
        "tgkill": itself,
        "listen": (_Check(0, (listener,)),),
        **({} if executed else {"execve": _NEVER}),
    }


def program(architecture: Architecture, rules: Rules = WORKERD) -> bytes:
    """The filter, as an array of `struct sock_filter`."""
    code: list[_Instruction] = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_EQUAL, 1, 0, architecture.audit),
        (_RETURN, 0, 0, KILL),
        (_LOAD, 0, 0, _NUMBER),
    ]
    if architecture.has_x32:
        code += [(_AT_LEAST, 0, 1, _X32), (_RETURN, 0, 0, _ERRNO | errno.ENOSYS)]
    for name, number in architecture.numbers.items():
        verdict = [step for check in rules.get(name, ()) for step in check.instructions()]
        verdict.append((_RETURN, 0, 0, ALLOW))
        code += [(_EQUAL, 0, len(verdict), number), *verdict]
    code.append((_RETURN, 0, 0, _ERRNO | errno.EPERM))
    return b"".join(struct.pack("HBBI", *instruction) for instruction in code)


def of_this_machine(rules: Rules = WORKERD) -> bytes:
    """The filter for this machine. Raises `KeyError` for an architecture that has none."""
    return program(ARCHITECTURES[os.uname().machine], rules)


def install(code: bytes) -> None:
    """Put this process under a filter, for good. Raises `OSError`. It must have one thread."""
    instructions = ctypes.create_string_buffer(code, len(code))
    header = struct.pack("HxxxxxxP", len(code) // 8, ctypes.addressof(instructions))
    forbid_new_privileges()
    check(LIBC.prctl(_PR_SET_SECCOMP, _MODE_FILTER, header, 0, 0), "seccomp")
