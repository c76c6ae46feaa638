"""The folder of an isolate, and those that services which were killed have left behind.

A service holds a lock on each of its folders (flock(2)), which ends with the process, however it
ends. So a folder that nobody has locked is nobody's.
"""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import shutil
from pathlib import Path

IN_SOCKET = "in.sock"
"""Name of the socket that requests go to the Worker by."""

EGRESS_SOCKET = "egress.sock"
"""Name of the socket that its subrequests go to."""

_NAME = re.compile(r"i-[A-Za-z0-9_-]{22}")


class Folder:
    """A new folder in `parent`, its owner's only, under a name that nobody guesses."""

    def __init__(self, parent: Path) -> None:
        # What could reach a neighbour's sockets would have to know its name.
        name = f"i-{secrets.token_urlsafe(16)}"
        new = parent / f".{name}"
        new.mkdir(mode=0o700)
        self._lock = os.open(new, os.O_RDONLY | os.O_DIRECTORY)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        self.path = new.rename(parent / name)

    def remove(self) -> None:
        """Remove it, with all that is in it. Once."""
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._lock)


def sweep(parent: Path) -> int:
    """Remove the folders of isolates in `parent` that are nobody's. Returns how many."""
    return sum(_remove_unlocked(path) for path in parent.iterdir() if _NAME.fullmatch(path.name))


def _remove_unlocked(path: Path) -> bool:
    """Whether it was nobody's."""
    try:
        lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:  # another user's, or gone
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(path, ignore_errors=True)
    except BlockingIOError:
        return False
    finally:
        os.close(lock)
    return True
