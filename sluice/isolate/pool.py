"""The isolates of a service: found or started, evicted, recycled, drained."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from sluice.isolate.isolate import AFTERLIFE, Isolate
from sluice.isolate.version import Version
from sluice.wire.errors import Reason, SluiceError

_TICK = 0.05
_SLOW_EVERY = 20

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PoolConfig:
    """Bounds of a pool."""

    max_isolates: int = 100
    idle: float = 300.0
    """Seconds after which an unused isolate is evicted."""

    recycle_bytes: int = 512 * 1024 * 1024
    """Resident memory at which an isolate takes no more requests and is replaced."""

    orphan_cpu: float = 30.0
    """Seconds of CPU time that an isolate may use with no request in flight."""


class Pool:
    """Isolates by version, at most one of a version taking requests."""

    def __init__(self, config: PoolConfig, start: Callable[[Version], Awaitable[Isolate]]) -> None:
        self._config = config
        self._start = start
        self._isolates: dict[Version, Isolate] = {}
        self._starting: dict[Version, asyncio.Task[Isolate]] = {}
        self._retired: set[Isolate] = set()
        self._closing: set[asyncio.Task[None]] = set()
        self._ticker: asyncio.Task[None] | None = None
        self._open = True

    async def acquire(self, version: Version) -> tuple[Isolate, bool]:
        """The isolate of `version`, and whether it was started for this call.

        Raises `LOAD_SHED` where the pool is full of busy isolates, or is closed.
        """
        isolate = self._isolates.get(version)
        if isolate is not None and not isolate.dead.is_set():
            return isolate, False
        if not self._open:
            raise SluiceError(Reason.LOAD_SHED, "the service is stopping")
        task = self._starting.get(version)
        if task is None:
            self._make_room()
            task = asyncio.create_task(self._start_one(version))
            self._starting[version] = task
        return await asyncio.shield(task), True

    def begin(self) -> None:
        """Start looking after the isolates."""
        self._ticker = asyncio.create_task(self._tick())

    async def aclose(self) -> None:
        """Stop every isolate. Requests in flight fail."""
        self._open = False
        if self._ticker:
            self._ticker.cancel()
            await asyncio.wait([self._ticker])
        await asyncio.gather(*self._starting.values(), return_exceptions=True)
        for isolate in (*self._isolates.values(), *self._retired):
            self._stop(isolate)
        await asyncio.gather(*self._closing)

    def __len__(self) -> int:
        return len(self._isolates) + len(self._starting)

    async def _start_one(self, version: Version) -> Isolate:
        try:
            isolate = await self._start(version)
            self._isolates[version] = isolate
            return isolate
        finally:
            del self._starting[version]

    def _make_room(self) -> None:
        """Evict the least recently used idle isolate, where there is no room for one more."""
        if len(self) < self._config.max_isolates:
            return
        idle = [isolate for isolate in self._isolates.values() if not isolate.in_flight]
        if not idle:
            raise SluiceError(
                Reason.LOAD_SHED, f"all {self._config.max_isolates} isolates are busy"
            )
        self._remove(min(idle, key=lambda isolate: isolate.last_used))

    def _remove(self, isolate: Isolate) -> None:
        if self._isolates.get(isolate.version) is isolate:
            del self._isolates[isolate.version]
        self._retired.discard(isolate)
        self._stop(isolate)

    def _stop(self, isolate: Isolate) -> None:
        task = asyncio.create_task(isolate.stop())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def _tick(self) -> None:
        count = 0
        while True:
            await asyncio.sleep(_TICK)
            count += 1
            try:
                self._look_after(time.monotonic(), slow=count % _SLOW_EVERY == 0)
            except Exception:
                _log.exception("looking after the isolates failed")

    def _look_after(self, now: float, *, slow: bool) -> None:
        for isolate in (*self._isolates.values(), *self._retired):
            if isolate.dead.is_set():
                self._remove(isolate)
                continue
            isolate.charge_cpu(self._config.orphan_cpu)
            if slow:
                isolate.forget_ended(now)
                self._retire_or_evict(isolate, now)

    def _retire_or_evict(self, isolate: Isolate, now: float) -> None:
        unused = 0 if isolate.in_flight else now - isolate.last_used
        if isolate in self._retired:
            if unused > 0:
                self._remove(isolate)
        elif unused > (AFTERLIFE if isolate.version.invocation else self._config.idle):
            self._remove(isolate)
        elif isolate.resident_bytes() > self._config.recycle_bytes:
            self._retired.add(self._isolates.pop(isolate.version))
