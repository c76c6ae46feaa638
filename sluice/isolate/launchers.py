"""The launchers of a service: one for workerd, and one for CPython from its first use on."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import replace
from pathlib import Path

from sluice.isolate.program import Language
from sluice.isolate.runtime import Runtime
from sluice.isolate.sandbox import trial
from sluice.isolate.sandbox.guest import Guest, find_guest
from sluice.isolate.sandbox.launcher import Launcher
from sluice.isolate.sandbox.machine import closed
from sluice.isolate.sandbox.posture import Kind, Posture
from sluice.mesh.env import SettingError
from sluice.wire.errors import Reason, SluiceError

_TRY_AGAIN = 60.0
_SPACE = 64 << 20  # for stacks of threads, and libraries that a Worker loads

_log = logging.getLogger(__name__)


class Launchers:
    """What starts the processes of each language. No Python Worker, no Python zygote."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._workerd = Launcher(runtime.posture, runtime.executable, runtime.data_bytes)
        self._python: Launcher | None = None
        self._finding = asyncio.Lock()
        self._refusal = ""
        self._refused = 0.0

    async def check(self) -> None:
        """Raise `SettingError` where anything gets out of workerd's sandbox."""
        await trial.check(self._workerd, self._runtime.folder)

    async def of(self, language: Language) -> Launcher:
        """The one of that language. The first for Python waits for the escape probe.

        Raises `WORKER_LOAD_FAILED` where anything gets out of the sandbox for Python.
        """
        if language is Language.JAVASCRIPT:
            return self._workerd
        async with self._finding:
            if self._python is None:
                self._python = await self._try_python()
            return self._python

    async def aclose(self) -> None:
        """End the zygotes, and with them every process."""
        await self._workerd.aclose()
        if self._python:
            await self._python.aclose()

    async def _try_python(self) -> Launcher:
        if not self._refusal or time.monotonic() > self._refused + _TRY_AGAIN:
            try:
                return await self._begin_python()
            except (SettingError, OSError, SluiceError) as error:
                _log.error("no Python Workers here: %s", error)
                self._refusal, self._refused = str(error), time.monotonic()
        raise SluiceError(
            Reason.WORKER_LOAD_FAILED, f"this service runs no Python Workers: {self._refusal}"
        )

    async def _begin_python(self) -> Launcher:
        guest = await asyncio.to_thread(find_guest)
        posture = posture_for(guest, self._runtime.posture)
        if posture.kind is Kind.BUBBLEWRAP:
            _log.warning("sandbox for Python: no Landlock, so processes start slowly, by exec")
        launcher = Launcher(posture, guest, self._runtime.heap_bytes + _SPACE)
        try:
            await trial.check(launcher, self._runtime.folder, what="sandbox for Python")
        except BaseException:
            await launcher.aclose()
            raise
        return launcher


def posture_for(guest: Guest, posture: Posture) -> Posture:
    """The posture of Python's processes, in a service whose others have `posture`.

    Without uids where the interpreter is in a folder that other uids may not enter.
    """
    shut = any(closed(Path(path)) for path in (*guest.read_only, *guest.paths))
    return replace(posture.of_forks, uids=posture.uids and not shut)
