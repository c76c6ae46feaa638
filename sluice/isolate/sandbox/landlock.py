"""Landlock: which files a process may reach, and that no other process is within its reach.

Source: landlock(7) and the kernel's `Documentation/userspace-api/landlock.rst`. What this
kernel's ABI does not know is left out; `abi()` says which it is.
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Iterable
from pathlib import Path

from sluice.isolate.sandbox.kernel import LIBC, check, forbid_new_privileges

_CREATE, _ADD_RULE, _RESTRICT = 444, 445, 446  # the same on every architecture
_VERSION_FLAG = 1
_PATH_BENEATH = 1

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_FOLDER = 1, 2, 4, 8
_TRUNCATE, _IOCTL = 1 << 14, 1 << 15
_OF_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL
_FIRST_ABI = (1 << 13) - 1
_FILE_RIGHTS_SINCE = {2: 1 << 13, 3: _TRUNCATE, 5: _IOCTL}
_TCP = 3  # bind, connect
_SCOPES = 3  # abstract unix sockets, signals

READ = _READ_FILE | _READ_FOLDER
READ_AND_EXECUTE = READ | _EXECUTE
READ_AND_WRITE = READ | _WRITE_FILE


def abi() -> int:
    """Version of Landlock in this kernel; 0 where there is none, or it is switched off."""
    try:
        return max(0, int(LIBC.syscall(_CREATE, None, ctypes.c_size_t(0), _VERSION_FLAG)))
    except AttributeError:  # a libc without syscall(2)
        return 0


class Ruleset:
    """What stays allowed once `enforce` was called: nothing but what was added."""

    def __init__(self, version: int) -> None:
        self._rights = _FIRST_ABI
        for since, right in _FILE_RIGHTS_SINCE.items():
            self._rights |= right if version >= since else 0
        attributes = struct.pack(
            "QQQ", self._rights, _TCP if version >= 4 else 0, _SCOPES if version >= 6 else 0
        )
        self._descriptor = check(
            LIBC.syscall(_CREATE, attributes, ctypes.c_size_t(len(attributes)), 0), "landlock"
        )

    def allow(self, paths: Iterable[str], rights: int) -> None:
        """Allow `rights` to each file, and to all beneath each folder. Raises `OSError`."""
        for path in paths:
            allowed = rights & self._rights & (-1 if Path(path).is_dir() else _OF_FILES)
            descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
            try:
                rule = struct.pack("=Qi", allowed, descriptor)
                check(LIBC.syscall(_ADD_RULE, self._descriptor, _PATH_BENEATH, rule, 0), path)
            finally:
                os.close(descriptor)

    def enforce(self) -> None:
        """Put this process under the rules, for good."""
        forbid_new_privileges()
        check(LIBC.syscall(_RESTRICT, self._descriptor, 0), "landlock")
        os.close(self._descriptor)
