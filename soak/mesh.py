"""The services, started again where they are killed, and what kills them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from bench import processes
from sluice.cli import dev_mesh
from sluice.cli.mesh_process import MeshProcess
from sluice.isolate.workerd import find_workerd
from soak import holdings
from soak.ledger import Ledger

SETTINGS = {"SLUICE_ISOLATE_IDLE": "4s", "SLUICE_LOG_LEVEL": "warning"}
"""What is unlike a service's defaults: isolates that nobody uses end soon, so that leaks show."""

_AFTER = 3.0
"""Seconds after a kill, and after a service serves again, in which requests may still fail."""

_POLL = 0.05


class Mesh:
    """Three services on loopback."""

    def __init__(self, folder: Path, origin_port: int) -> None:
        self.folder = folder
        self.ports = dev_mesh.choose_ports(0, 0)
        self.errors: list[str] = []
        """Log lines that say `error`: each is a bug."""
        self.seen: set[int] = set()
        """Every process that the mesh was seen to start."""
        settings = dev_mesh.Settings(
            self.ports,
            "dispatch",
            folder / "registry.db",
            folder,
            allow_address=[f"127.0.0.1/32:{origin_port}"],
        )
        user = {**os.environ, **SETTINGS, "SLUICE_WORKERD": str(find_workerd(os.environ))}
        self.services = {
            name: MeshProcess(
                name,
                [sys.executable, "-m", f"services.{name}"],
                dev_mesh.environment(name, user, settings),
                self._on_line,
                lambda _: None,
            )
            for name in dev_mesh.SERVICES
        }

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run them, and start again those that end."""
        tasks = [asyncio.create_task(service.run()) for service in self.services.values()]
        try:
            await dev_mesh.serving(self.ports)
            for service in self.services.values():
                service.settled = True
            yield
        finally:
            for task in tasks:
                task.cancel()
            for ended in await asyncio.gather(*tasks, return_exceptions=True):
                if isinstance(ended, Exception):
                    self.errors.append(str(ended))

    def pid(self, name: str) -> int:
        """The process of a service. Raises `ProcessLookupError` while there is none."""
        pid = self.services[name].pid
        if pid is None:
            raise ProcessLookupError(name)
        return pid

    def look(self) -> dict[str, holdings.Holdings]:
        """What each service holds now; without those that are being started."""
        found = {}
        for name in self.services:
            with contextlib.suppress(OSError):
                pid = self.pid(name)
                found[name] = holdings.of(pid)
                self.seen |= {pid, *processes.descendants(pid)}
        return found

    def folders(self) -> list[str]:
        """Folders of isolates that are there."""
        return sorted(path.name for path in self.folder.iterdir() if path.is_dir())

    async def kill_service(self, name: str, ledger: Ledger) -> None:
        """Kill a service, and wait until it serves again."""
        loop = asyncio.get_running_loop()
        disturbance = ledger.disturb(name, loop.time())
        self.look()
        os.kill(self.pid(name), signal.SIGKILL)
        killed = self.services[name].pid
        while self.services[name].pid in (killed, None):  # noqa: ASYNC110 — nobody tells
            await asyncio.sleep(_POLL)
        await dev_mesh.serving(self.ports)
        disturbance.ended = loop.time() + _AFTER

    def kill_isolate(self, rng: random.Random, ledger: Ledger) -> None:
        """Kill one process that runs a Worker."""
        found = [
            pid
            for service in self.services.values()
            if service.pid
            for pid in processes.isolates(service.pid)
        ]
        if found:
            now = asyncio.get_running_loop().time()
            ledger.disturb("isolate", now).ended = now + _AFTER
            with contextlib.suppress(ProcessLookupError):
                os.kill(rng.choice(found), signal.SIGKILL)

    def left_over(self) -> list[int]:
        """Processes of the mesh that are there after its end."""
        return [pid for pid in self.seen if processes.program(pid) in ("workerd", "bwrap")]

    def _on_line(self, _: str, line: str) -> None:
        with contextlib.suppress(ValueError):
            if json.loads(line).get("level") == "error":
                self.errors.append(line[:2000])
