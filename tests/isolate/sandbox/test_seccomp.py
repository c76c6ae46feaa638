"""The filter's verdicts, by an interpreter of BPF: for both architectures, whichever runs the tests."""

from __future__ import annotations

import errno
import struct

import pytest

from sluice.isolate.sandbox import escapes, seccomp
from sluice.isolate.sandbox.seccomp import ALLOW, ARCHITECTURES, KILL

MACHINES = sorted(ARCHITECTURES)
EPERM, ENOSYS = 0x50000 | errno.EPERM, 0x50000 | errno.ENOSYS
NO_FAMILY = 0x50000 | errno.EAFNOSUPPORT
THREAD = 0x3D0F00  # what glibc's pthread_create asks clone for


def verdict(
    machine: str,
    number: int,
    *arguments: int,
    audit: int | None = None,
    rules: seccomp.Rules = seccomp.WORKERD,
) -> int:
    """What the filter of `machine` says of a call."""
    architecture = ARCHITECTURES[machine]
    data = struct.pack(
        "=iIQ6Q", number, audit or architecture.audit, 0, *(arguments + (0,) * 6)[:6]
    )
    code = list(struct.iter_unpack("HBBI", seccomp.program(architecture, rules)))
    at = accumulator = 0
    while True:
        operation, if_true, if_false, value = code[at]
        at += 1
        match operation:
            case 0x20:
                (accumulator,) = struct.unpack_from("=I", data, value)
            case 0x54:
                accumulator &= value
            case 0x15:
                at += if_true if accumulator == value else if_false
            case 0x35:
                at += if_true if accumulator >= value else if_false
            case 0x06:
                return int(value)
            case _:
                raise AssertionError(f"no such instruction: {operation:#x}")


def number(machine: str, name: str) -> int:
    """The number of a call that is allowed."""
    return ARCHITECTURES[machine].numbers[name]


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("read", (), ALLOW),
        ("futex", (), ALLOW),
        ("openat", (5, 0, 0o2000000), ALLOW),  # to read
        ("openat", (5, 0, 0o1001), ALLOW),  # to write, from its beginning: Landlock judges it
        ("openat", (5, 0, 0o1102), ALLOW),
        ("openat", (5, 0, 0o1000), EPERM),  # to read, but empty it: old Landlock sees a reader
        ("openat", (5, 0, 0o2001000 | 1 << 32), EPERM),
        ("openat", (5, 0, 0o1003), EPERM),  # for neither, but empty it
        ("execve", (), ALLOW),  # of what, Landlock and the mount namespace say
        ("socket", (1, 1), ALLOW),
        ("socket", (1 | 1 << 32, 1), ALLOW),  # the kernel takes 32 bits
        ("socket", (2, 1), NO_FAMILY),  # inet
        ("socket", (2, 1, 262), NO_FAMILY),  # MPTCP, which Landlock lets through
        ("socket", (10, 2), NO_FAMILY),  # inet6
        ("socket", (16, 3), NO_FAMILY),  # netlink
        ("socket", (40, 1), NO_FAMILY),  # vsock, which no namespace holds
        ("socketpair", (1, 1), ALLOW),
        ("socketpair", (2, 1), NO_FAMILY),
        ("connect", (5,), ALLOW),  # to its egress socket
        ("clone", (THREAD,), ALLOW),
        ("clone", (17,), EPERM),  # fork
        ("clone", (0x4111,), EPERM),  # vfork, posix_spawn
        ("clone", (THREAD | 0x10000000,), EPERM),  # a user namespace
        ("clone", (THREAD | 0x40000000,), EPERM),  # a network namespace
        ("clone3", (THREAD,), ENOSYS),
        ("ioctl", (0, 0x5401), ALLOW),  # isatty
        ("ioctl", (0, 0x5412), EPERM),  # TIOCSTI
        ("ioctl", (0, 0x5412 | 1 << 32), EPERM),  # its upper half is ignored by the kernel
        ("ioctl", (0, 0x541C), EPERM),  # TIOCLINUX
        ("prctl", (15,), ALLOW),  # a thread's name
        ("prctl", (1,), EPERM),  # the signal at the parent's death
        ("prctl", (4,), EPERM),  # dumpable
        ("prlimit64", (0, 3), ALLOW),  # its own stack
        ("prlimit64", (1, 3), EPERM),  # another's
        ("fcntl", (5, 1030, 64), ALLOW),  # duplicate it
        ("fcntl", (5, 4, 0x800), ALLOW),  # O_NONBLOCK
        ("fcntl", (5, 6), ALLOW),  # the locks of SQLite
        ("fcntl", (5, 8, 1), EPERM),  # F_SETOWN: the kernel signals whoever is named
        ("fcntl", (5, 10, 9), EPERM),  # F_SETSIG: by SIGKILL
        ("fcntl", (5, 15), EPERM),  # F_SETOWN_EX
        ("fcntl", (5, 1024, 1), EPERM),  # F_SETLEASE: whoever opens the file waits
        ("fcntl", (5, 1026), EPERM),  # F_NOTIFY
        ("fcntl", (5, 1031, 1 << 20), EPERM),  # F_SETPIPE_SZ: memory that is in no limit
        ("ioctl", (5, 0x8901), EPERM),  # FIOSETOWN
        ("setsockopt", (5, 1, 9), ALLOW),  # SO_KEEPALIVE
        ("setsockopt", (5, 6, 1), ALLOW),  # TCP_NODELAY, which is asked of any socket
        ("setsockopt", (5, 1, 7), EPERM),  # SO_SNDBUF: memory that is in no limit
        ("setsockopt", (5, 1, 8), EPERM),  # SO_RCVBUF
        ("setsockopt", (5, 1, 26), EPERM),  # SO_ATTACH_FILTER: a program in the kernel
        ("setsockopt", (5, 1, 50), EPERM),  # SO_ATTACH_BPF
        ("sendmsg", (5, 0, 0x4000), ALLOW),  # MSG_NOSIGNAL
        ("sendmsg", (5, 0, 0x4001), EPERM),  # MSG_OOB
        ("sendto", (5, 0, 1, 1), EPERM),
        ("recvfrom", (5, 0, 1, 1), EPERM),
        ("recvmsg", (5, 0, 1), EPERM),
    ],
)
def test_verdict(machine: str, name: str, arguments: tuple[int, ...], expected: int) -> None:
    """A call is judged by its number, and some by an argument."""
    assert verdict(machine, number(machine, name), *arguments) == expected


PID, LISTENER = 4711, 3
FORKED = seccomp.cpython(PID, LISTENER, executed=False)


@pytest.mark.parametrize(("flags", "expected"), [(0, ALLOW), (0o1001, ALLOW), (0o1000, EPERM)])
def test_open(flags: int, expected: int) -> None:
    """The older call, which aarch64 has not, is judged as `openat` is."""
    assert verdict("x86_64", number("x86_64", "open"), 0, flags) == expected


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("execve", (), EPERM),  # a fork has nothing left to execute
        ("socket", (1, 1), EPERM),  # unix too: Landlock has no say in where it connects
        ("socket", (1 | 1 << 32, 1), EPERM),
        ("socket", (2, 1), EPERM),
        ("connect", (5,), EPERM),
        ("socketpair", (1, 1), ALLOW),  # with which asyncio wakes itself
        ("socketpair", (1, 1 | 0x80800), ALLOW),  # close-on-exec and non-blocking
        ("socketpair", (2, 1), NO_FAMILY),
        ("socketpair", (1, 5), EPERM),  # sequenced packets
        ("socketpair", (1, 2), EPERM),
        ("clone", (THREAD,), ALLOW),
        ("clone", (17,), EPERM),
        ("kill", (PID, 9), ALLOW),
        ("kill", (PID + 1, 0), EPERM),
        ("kill", (0, 9), EPERM),  # its process group
        ("kill", (-1 & 0xFFFFFFFF, 9), EPERM),  # everyone
        ("kill", (-PID & 0xFFFFFFFF, 9), EPERM),
        ("tgkill", (PID, PID + 5, 6), ALLOW),  # a thread of its own: abort()
        ("tgkill", (PID + 1, PID + 1, 6), EPERM),
        ("listen", (LISTENER, 100), ALLOW),
        ("listen", (7, 100), EPERM),
    ],
)
def test_verdict_on_cpython(
    machine: str, name: str, arguments: tuple[int, ...], expected: int
) -> None:
    """A Python Worker's filter is stricter, but for signals to itself and asyncio's listen()."""
    assert verdict(machine, number(machine, name), *arguments, rules=FORKED) == expected


@pytest.mark.parametrize("machine", MACHINES)
def test_executed_cpython(machine: str) -> None:
    """Where bubblewrap executes CPython, that one call more is allowed."""
    rules = seccomp.cpython(1, LISTENER, executed=True)
    assert verdict(machine, number(machine, "execve"), rules=rules) == ALLOW
    assert verdict(machine, number(machine, "kill"), PID, rules=rules) == EPERM
    assert verdict(machine, number(machine, "connect"), 5, rules=rules) == EPERM
    assert verdict(machine, number(machine, "socket"), 1, 1, rules=rules) == EPERM


@pytest.mark.parametrize("rules", [seccomp.WORKERD, FORKED])
@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("name", sorted(escapes.CALLS))
def test_what_no_worker_needs(machine: str, name: str, rules: seccomp.Rules) -> None:
    """Every call that the escape probe makes is refused on both architectures, in both filters."""
    call = escapes.CALLS[name][machine == "aarch64"]
    if call is not None:
        assert verdict(machine, call, -1 & 0xFFFFFFFF, rules=rules) in (EPERM, ENOSYS)


@pytest.mark.parametrize("machine", MACHINES)
def test_unknown_calls(machine: str) -> None:
    """Whatever a later kernel adds is refused."""
    assert {verdict(machine, call) for call in range(480, 1024)} == {EPERM}


@pytest.mark.parametrize("machine", MACHINES)
def test_other_architectures(machine: str) -> None:
    """A call by another architecture's numbers, such as `int 0x80`, kills."""
    for audit in (0x40000003, 0x40000028, 0xC00000F3):  # i386, arm, riscv64
        assert verdict(machine, number(machine, "read"), audit=audit) == KILL


def test_x32() -> None:
    """x32, whose numbers are x86_64's and a bit, is not there."""
    for call in (*ARCHITECTURES["x86_64"].numbers.values(), 512, 547):
        assert verdict("x86_64", call | 0x40000000) == ENOSYS


@pytest.mark.parametrize("machine", MACHINES)
def test_length(machine: str) -> None:
    """The kernel takes 4096 instructions at most, and a pipe holds the whole program."""
    assert len(seccomp.program(ARCHITECTURES[machine])) // 8 < 4096
