"""What this machine offers to confine a process with, by trying it."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
from pathlib import Path

from sluice.isolate.sandbox import landlock, seccomp
from sluice.isolate.sandbox.posture import Machine, Posture, choose

_KILL, _SETGID, _SETUID = 5, 6, 7  # capabilities(7)
_EVERY_UID = 2**32 - 1
_DEADLINE = 10
_TRIAL = [
    "--unshare-all",
    "--unshare-user",
    "--disable-userns",
    "--as-pid-1",
    "--ro-bind",
    "/",
    "/",
]


def survey(executable: Path, folder: Path) -> Machine:
    """Look at the machine.

    A uid for each Worker needs that others can reach the executable and the folder, and in
    bubblewrap the probe needs it of Python too, which the Landlock postures have in the zygote.
    """
    if sys.platform != "linux":
        why = f"not on {sys.platform}"
        return Machine(why, why, landlock=0, uids=why, uids_in_bubblewrap=why)
    uids = _uids(executable, folder)
    return Machine(
        _seccomp(),
        _bubblewrap(),
        landlock=landlock.abi(),
        uids=uids,
        uids_in_bubblewrap=uids or _uids(Path(sys.executable), Path(__file__)),
    )


def best(executable: Path, folder: Path) -> Posture:
    """The best posture here. Raises `SettingError` where there is none."""
    return choose("auto", unsafe=False, machine=survey(executable, folder))


def find_bubblewrap() -> str | None:
    """The executable, on `PATH`."""
    return shutil.which("bwrap")


def _seccomp() -> str:
    machine = os.uname().machine
    if machine not in seccomp.ARCHITECTURES:
        return f"no system-call filter for {machine}"
    if not Path("/proc/sys/kernel/seccomp/actions_avail").exists():
        return "this kernel has no seccomp filters"
    return ""


@functools.cache
def _bubblewrap() -> str:
    """Whether namespaces are allowed is for several parts of a system to say: so try."""
    bwrap, true = find_bubblewrap(), shutil.which("true")
    if bwrap is None or true is None:
        return "bwrap is not installed"
    tried = subprocess.run(  # noqa: S603
        [bwrap, *_TRIAL, true],
        capture_output=True,
        text=True,
        env={},
        timeout=_DEADLINE,
        check=False,
    )
    return "" if tried.returncode == 0 else tried.stderr.strip() or "bwrap fails"


def _uids(*paths: Path) -> str:
    status = dict(
        line.split(":\t", 1) for line in Path("/proc/self/status").read_text().splitlines()
    )
    capabilities = int(status["CapEff"], 16)
    if any(not capabilities >> capability & 1 for capability in (_KILL, _SETGID, _SETUID)):
        return "CAP_SETUID, CAP_SETGID and CAP_KILL are not all there"
    if int(Path("/proc/self/uid_map").read_text().split()[2]) < _EVERY_UID:
        return "not every uid is mapped"
    return next(filter(None, map(closed, paths)), "")


def closed(path: Path) -> str:
    """Why others cannot reach a file or folder; empty, they can."""
    path = path.resolve()
    for part in (path, *path.parents):
        needed = 0o004 if part.is_file() else 0o001
        if not part.exists() or not part.stat().st_mode & needed:
            return f"{part} is closed to others"
    return ""
