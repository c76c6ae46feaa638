"""The escape probe at start: runs `escapes.py` in the sandbox, and judges what it says."""

from __future__ import annotations

import _ctypes
import asyncio
import json
import logging
import os
import secrets
import shutil
import socket
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sluice.isolate.sandbox import escapes
from sluice.isolate.sandbox.launcher import Launched, Launcher, read_pipe
from sluice.isolate.sandbox.libraries import libraries
from sluice.isolate.sandbox.posture import Kind
from sluice.mesh.env import SettingError

_log = logging.getLogger(__name__)

_DEADLINE = 20.0
_UNCONFINED = {
    False: "A Worker that breaks out of V8 is not confined",
    True: "A Python Worker can do all that this service can",
}
_PYTHON = Path(sys.executable).resolve()


async def succeeded(launcher: Launcher, folder: Path) -> tuple[int, frozenset[str]]:
    """How many escapes were tried, and the names of those that succeeded.

    Raises `SettingError` where the probe does not run to its end, and where there is no sandbox:
    what it tries would then happen.
    """
    if launcher.posture.kind is Kind.NONE:
        raise SettingError("SLUICE_SANDBOX: there is no sandbox to try an escape from")
    with neighbourhood(folder) as (own, listener, targets):
        if launcher.is_python:
            targets["python"] = "yes"
        if launcher.forks:
            targets["forked"] = "yes"
        launched = await _launch(launcher, own, listener, json.dumps(targets))
        try:
            async with asyncio.timeout(_DEADLINE):
                said = await read_pipe(launched.output)
                status = await launched.exited
            outcome = json.loads(said.splitlines()[-1])
            return int(outcome["tried"]), frozenset(outcome["succeeded"])
        except TimeoutError as error:
            raise SettingError("SLUICE_SANDBOX: the escape probe does not end") from error
        except (ValueError, IndexError) as error:
            raise SettingError(
                f"SLUICE_SANDBOX: the escape probe failed with status {status}: {said[-500:]!r}"
            ) from error


async def check(launcher: Launcher, folder: Path, *, what: str = "sandbox") -> None:
    """Raise `SettingError` that names what got out of the sandbox, where anything did.

    Logs the posture and the kernel, in one line.
    """
    posture, kernel = launcher.posture, os.uname().release
    if posture.kind is Kind.NONE:
        _log.warning("%s: none. %s", what, _UNCONFINED[launcher.forks])
        return
    tried, escaped = await succeeded(launcher, folder)
    if unknown := escaped - launcher.gaps:
        raise SettingError(f"SLUICE_SANDBOX: {posture} does not stop: {', '.join(sorted(unknown))}")
    open_still = f", which does not stop: {', '.join(sorted(escaped))}" if escaped else ""
    _log.info("%s: %s on Linux %s, %d escapes tried%s", what, posture, kernel, tried, open_still)


async def _launch(
    launcher: Launcher, folder: Path, listener: socket.socket, targets: str
) -> Launched:
    if launcher.posture.kind is not Kind.BUBBLEWRAP:
        return await launcher.launch(["probe"], folder, listener, escapes=targets)
    program = [str(_PYTHON), "-I", "-S", escapes.__file__, targets]
    paths = sysconfig.get_paths()
    needed = [str(_PYTHON), escapes.__file__, paths["stdlib"], paths["platstdlib"]]
    read_only = dict.fromkeys([*needed, *libraries(_PYTHON, _ctypes.__file__)])
    return await launcher.launch(program, folder, listener, read_only=list(read_only))


@contextmanager
def neighbourhood(run_folder: Path) -> Iterator[tuple[Path, socket.socket, dict[str, str]]]:
    """A folder for the probe, its listening socket, and a neighbour's things to reach for."""
    folder = Path(tempfile.mkdtemp(prefix="probe-", dir=run_folder))
    own, neighbour = folder / "own", folder / "neighbour"
    abstract = f"sluice-{secrets.token_hex(8)}"
    addresses = [str(own / "in.sock"), str(neighbour / "socket"), f"\0{abstract}"]
    sockets = [socket.socket(socket.AF_UNIX) for _ in addresses]
    try:
        folder.chmod(0o711)
        own.mkdir(mode=0o700)
        neighbour.mkdir(mode=0o700)
        (neighbour / "secret").write_text("secret")
        for listener, address in zip(sockets, addresses, strict=True):
            listener.bind(address)
            listener.listen()
        targets = {"service": str(os.getpid()), "neighbour": str(neighbour), "abstract": abstract}
        yield own, sockets[0], targets
    finally:
        for listener in sockets:
            listener.close()
        shutil.rmtree(folder, ignore_errors=True)
