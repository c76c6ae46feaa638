"""The isolates of a service: found or started, evicted, recycled, drained."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from sluice.isolate.bystanders import Bystanders
from sluice.isolate.isolate import Isolate
from sluice.isolate.probation import Probation
from sluice.isolate.roster import AFTERLIFE
from sluice.isolate.version import Version
from sluice.wire.errors import Reason, SluiceError
from sluice.wire.places import Bounds, Places

_TICK = 0.05
_SLOW_EVERY = 20
_BOOT = 0.25
_RETIRED = 3

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PoolConfig:
    """Bounds of a pool."""

    max_isolates: int = 100
    idle: float = 300.0
    """Seconds after which an unused isolate is evicted."""

    recycle_bytes: int = 512 * 1024 * 1024
    """Resident memory at which an isolate takes no more requests and is replaced."""

    background_cpu: float = 30.0
    """Seconds of CPU time with no request in flight after which an isolate is replaced, and with it
    whatever work in it does not end."""

    probation: float = 60.0
    """Seconds for which processes of a Worker that was greedy stand back from their start."""

    starts: Bounds = field(default_factory=lambda: Bounds(total=8, queue=100, wait=5.0))
    """Isolates that start at once."""


class Pool:
    """Isolates by version, at most one of a version taking requests."""

    def __init__(self, config: PoolConfig, start: Callable[[Version], Awaitable[Isolate]]) -> None:
        self._config = config
        self._start = start
        self._starts: Places[Version] = Places(config.starts, Reason.LOAD_SHED, "starts")
        self._isolates: dict[Version, Isolate] = {}
        self._starting: dict[Version, asyncio.Task[Isolate]] = {}
        self._retired: set[Isolate] = set()
        self._closing: set[asyncio.Task[None]] = set()
        self._probation = Probation(config.probation)
        self._bystanders = Bystanders()
        self._ticker: asyncio.Task[None] | None = None
        self._open = True

    async def acquire(self, version: Version) -> tuple[Isolate, bool]:
        """The isolate of `version`, and whether it was started for this call.

        Raises `LOAD_SHED` where the pool is full of busy isolates, where too many wait for theirs
        to start, and where it is closed.
        """
        isolate = self._isolates.get(version)
        if isolate is not None:
            if isolate.usable:
                if not isolate.stands_back:
                    self._bystanders.make_way()
                return isolate, False
            self._retire(isolate)
        if not self._open:
            raise SluiceError(Reason.LOAD_SHED, "the service is stopping")
        task = self._starting.get(version)
        if task is None:
            if not self._probation.holds(version, time.monotonic()):
                self._bystanders.make_way()
            task = asyncio.create_task(self._start_one(version))
            task.add_done_callback(_seen)
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
        self._bystanders.end()
        await asyncio.gather(*self._starting.values(), return_exceptions=True)
        for isolate in (*self._isolates.values(), *self._retired):
            self._stop(isolate)
        await asyncio.gather(*self._closing)

    def __len__(self) -> int:
        return len(self._isolates) + len(self._starting)

    async def _start_one(self, version: Version) -> Isolate:
        try:
            await self._starts.take(None)
            isolate = None
            try:
                self._make_room()
                isolate = self._isolates[version] = await self._start(version)
                if self._probation.holds(version, time.monotonic()):
                    isolate.stand_back()
                return isolate
            finally:
                self._booted(isolate)
        finally:
            del self._starting[version]

    def _booted(self, isolate: Isolate | None) -> None:
        """Give its place back once it has had the time to boot, which is what costs CPU time."""
        if isolate is None or not self._starts.queued:
            self._starts.give(None)
        else:
            asyncio.get_running_loop().call_later(_BOOT, self._starts.give, None)

    def _make_room(self) -> None:
        """Evict the least recently used idle isolate, where there is no room for one more."""
        if not self._open:
            raise SluiceError(Reason.LOAD_SHED, "the service is stopping")
        count = len(self._isolates) + len(self._retired) + self._starts.taken
        if count <= self._config.max_isolates:
            return
        idle = [isolate for isolate in self._isolates.values() if not isolate.invocations.in_flight]
        if not idle:
            raise SluiceError(
                Reason.LOAD_SHED, f"all {self._config.max_isolates} isolates are busy"
            )
        self._remove(min(idle, key=lambda isolate: isolate.invocations.last_used))

    def _remove(self, isolate: Isolate) -> None:
        if self._isolates.get(isolate.version) is isolate:
            del self._isolates[isolate.version]
        self._retired.discard(isolate)
        self._stop(isolate)

    def _stop(self, isolate: Isolate) -> None:
        self._bystanders.discard(isolate)
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
            isolate.charge_cpu()
            if isolate.cpu.greedy:
                self._probation.note(isolate.version, now)
            if isolate.stands_back:
                self._bystanders.add(isolate)
            if slow:
                isolate.invocations.forget_ended(now)
                self._retire_or_evict(isolate, now)
        if slow:
            self._probation.forget(now)

    def _retire_or_evict(self, isolate: Isolate, now: float) -> None:
        unused = 0 if isolate.invocations.in_flight else now - isolate.invocations.last_used
        if isolate in self._retired:
            if unused > 0:
                self._remove(isolate)
        elif self._isolates.get(isolate.version) is not isolate:
            return  # it was ended for a successor that was retired just now
        elif unused > 0 and self._has_stood_back(isolate, now):
            self._remove(isolate)  # the next request finds one that does not stand back
        elif unused > (AFTERLIFE if isolate.version.invocation else self._config.idle):
            self._remove(isolate)
        elif self._is_worn(isolate):
            self._retire(isolate)

    def _has_stood_back(self, isolate: Isolate, now: float) -> bool:
        on_probation = self._probation.holds(isolate.version, now)
        return isolate.stands_back and (isolate.cpu.greedy or not on_probation)

    def _is_worn(self, isolate: Isolate) -> bool:
        return (
            not isolate.usable
            or isolate.cpu.background > self._config.background_cpu
            or isolate.resident_bytes() > self._config.recycle_bytes
        )

    def _retire(self, isolate: Isolate) -> None:
        """Send it no more requests. It is ended when it has none, or has had successors enough.

        Otherwise a Worker that breaks its limits again and again, and holds a request open in each
        process, would have as many processes as it has requests.
        """
        del self._isolates[isolate.version]
        before = [other for other in self._retired if other.version == isolate.version]
        if len(before) >= _RETIRED:
            self._remove(min(before, key=lambda other: other.invocations.last_used))
        self._retired.add(isolate)


def _seen(task: asyncio.Task[Isolate]) -> None:
    """Look at how it ended: whoever waited for it may have left."""
    if not task.cancelled():
        task.exception()
