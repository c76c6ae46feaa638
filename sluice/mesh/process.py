"""A service as a process: configured, logging, running until it is signalled."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import logging
import os
import resource
import sys
from collections.abc import Callable, Coroutine
from typing import Any, Protocol, TypeVar

import uvloop

from sluice.mesh import logs, tracing
from sluice.mesh.env import SettingError
from sluice.mesh.server import run_until_signalled
from sluice.mesh.settings import MeshConfig

_DESCRIPTORS = 65_536
_GIVE_BACK = 60.0  # seconds between two times that free memory is given back, in milliseconds each

_log = logging.getLogger(__name__)


class Config(Protocol):
    """The settings that every service has."""

    @property
    def mesh(self) -> MeshConfig:
        """How it is a service of the mesh."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is odd about the settings, a line each."""


class Service(Protocol):
    """A service: started, then stopped, also after half a start."""

    def start(self) -> Coroutine[Any, Any, object]:
        """Start serving. Returns where."""

    def stop(self) -> Coroutine[Any, Any, None]:
        """Drain, and give everything back."""


C = TypeVar("C", bound=Config)


def main(name: str, read: Callable[[], C], service_of: Callable[[C], Service]) -> int:
    """Run the service `name`. Returns the exit code: 2 for a setting that cannot be used."""
    try:
        logs.configure(name, "info")
        config = read()
        logs.configure(name, config.mesh.log_level)
        tracing.configure(name)
        for warning in config.warnings:
            _log.warning("%s", warning)
        _wake_in_turn()
        _raise_descriptor_limit()
        return uvloop.run(_run(service_of(config)))
    except SettingError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 2


def _wake_in_turn() -> None:
    """Let a process that is woken wait for its turn: sched(7), SCHED_BATCH; isolates inherit it.

    A request wakes some ten threads of six processes. Where each takes the core from the one that
    woke it, all run on cold caches: a fifth fewer requests a second (docs/benchmarks.md).
    """
    with contextlib.suppress(AttributeError, OSError):  # Linux only; a container may forbid it
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def _raise_descriptor_limit() -> None:
    """Let the process open as many files as it may: the usual soft limit, 1024, is for select(2).

    Each subrequest that is open has a descriptor in each service.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, _DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < most:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


async def _run(service: Service) -> int:
    async def start() -> None:
        _log.info("listening on %s", await service.start())
        # What lives now lives on: looking through it again at each collection costs each request.
        gc.freeze()
        gc.set_threshold(20_000, 10, 10)

    async def stop() -> None:
        await service.stop()
        await tracing.shutdown()

    giving_back = asyncio.create_task(_give_back_often())
    try:
        return await run_until_signalled(start, stop)
    finally:
        giving_back.cancel()
        await asyncio.wait([giving_back])


async def _give_back_often() -> None:
    while True:
        await asyncio.sleep(_GIVE_BACK)
        give_back()


def give_back() -> None:
    """Give memory that is free back to the system: malloc_trim(3).

    glibc keeps what lies between objects that live on. Bodies come in pieces of 64 KiB among many
    small objects: a service that has seen many would hold more and more that nobody uses.
    """
    with contextlib.suppress(AttributeError, OSError):  # another C library has no such call
        ctypes.CDLL(None).malloc_trim(0)
