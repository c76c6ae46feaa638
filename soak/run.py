"""One soak, from the first request to the last check."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from sluice.cli.remote_registry import RemoteRegistry
from sluice.wire.errors import SluiceError
from soak import checks, workers
from soak.checks import Check
from soak.holdings import Holdings
from soak.ledger import BROKEN_OFF, Ledger, UnexpectedError
from soak.memory import Memory, MiB
from soak.mesh import Mesh
from soak.origin import Origin
from soak.traffic import PATIENCE, Clients

_LOOK = 2.0
_TOLD = 15.0
_QUIET = 40.0
"""Seconds in which all that was used must be given back, once nobody asks."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a soak does. Times are in seconds."""

    seconds: float
    seed: int
    clients: int

    @property
    def isolate_kills(self) -> float:
        """Between two kills of isolates, on average."""
        return min(10.0, self.seconds / 6)

    @property
    def service_kills(self) -> float:
        """Between two kills of services, on average, in the first half."""
        return min(60.0, self.seconds / 8)

    @property
    def warm(self) -> float:
        """When the last service has been killed, and those that live have warmed up."""
        return self.seconds * 0.6


@dataclass
class Soak:
    """A soak that is going on."""

    plan: Plan
    mesh: Mesh
    origin: Origin
    clients: Clients
    ledger: Ledger = field(default_factory=Ledger)
    memories: dict[str, Memory] = field(default_factory=dict)

    async def load(self, say: Callable[[str], None]) -> None:
        """Ask and kill, until the time is over and the last answer is there."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        async with asyncio.TaskGroup() as group:
            for _ in range(self.plan.clients):
                group.create_task(self._client(began + self.plan.seconds))
            watching = [
                group.create_task(self._look(began)),
                group.create_task(self._tell(say, began)),
            ]
            await group.create_task(self._kill(began))
            await asyncio.sleep(began + self.plan.seconds - loop.time())
            for task in watching:
                task.cancel()

    async def warm_up(self) -> None:
        """Each kind of request once."""
        for kind, (_, ask) in self.clients.kinds().items():
            await self._ask(kind, ask)

    async def quiet(self, before: Mapping[str, Holdings] | None = None) -> dict[str, Holdings]:
        """What is held once nobody asks: when isolates have ended, and no more than `before`.

        Later, as it is: idle connections, for one, are kept for a while.
        """
        for _ in range(round(_QUIET / _LOOK)):
            await asyncio.sleep(_LOOK)
            held = self.mesh.look()
            found = checks.of_holdings(before or held, held, self.mesh.folders())
            if all(check.holds for check in found):
                break
        return held

    async def _client(self, end: float) -> None:
        """Ask for one thing after the other."""
        rng, kinds = self.clients.random, self.clients.kinds()
        names, weights = list(kinds), [weight for weight, _ in kinds.values()]
        while asyncio.get_running_loop().time() < end:
            (kind,) = rng.choices(names, weights)
            await self._ask(kind, kinds[kind][1])
            await asyncio.sleep(rng.random() * 0.2)

    async def _ask(self, kind: str, ask: Callable[[], Awaitable[None]]) -> None:
        clock = asyncio.get_running_loop().time
        began = clock()
        try:
            async with asyncio.timeout(PATIENCE):
                await ask()
        except UnexpectedError as error:
            self.ledger.failed(kind, str(error), began, clock())
        except SluiceError as error:
            self.ledger.failed(kind, error.reason.name, began, clock())
        except (OSError, aiohttp.ClientError) as error:
            what = f"{BROKEN_OFF}{type(error).__name__}: {error}"
            self.ledger.failed(kind, what, began, clock())
        else:
            self.ledger.served[kind] += 1

    async def _kill(self, began: float) -> None:
        """Kill isolates all the time, and services in the first half."""
        loop, rng, plan = asyncio.get_running_loop(), self.clients.random, self.plan
        next_service = rng.expovariate(1 / plan.service_kills)
        while (now := loop.time() - began) < plan.seconds:
            await asyncio.sleep(min(rng.expovariate(1 / plan.isolate_kills), plan.seconds - now))
            self.mesh.kill_isolate(rng, self.ledger)
            if next_service < loop.time() - began < plan.seconds / 2:
                await self.mesh.kill_service(rng.choice(list(self.mesh.services)), self.ledger)
                next_service = loop.time() - began + rng.expovariate(1 / plan.service_kills)

    async def _look(self, began: float) -> None:
        loop = asyncio.get_running_loop()
        while True:
            for name, held in self.mesh.look().items():
                self.memories.setdefault(name, Memory()).note(loop.time() - began, held.resident)
            await asyncio.sleep(_LOOK)

    async def _tell(self, say: Callable[[str], None], began: float) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(_TOLD)
            say(f"{loop.time() - began:5.0f} s  {self.line()}")

    def line(self) -> str:
        """How it stands."""
        ledger = self.ledger
        held = ", ".join(
            f"{name} {h.resident / MiB:.0f} MiB {h.descriptors} fds {h.processes} processes"
            for name, h in self.mesh.look().items()
        )
        return (
            f"{ledger.served.total():,} served, {ledger.disturbed.total():,} disturbed by "
            f"{len(ledger.disturbances)} kills, {len(ledger.wrong)} wrong, "
            f"{len(self.origin.mismatches)} mismatches; {held}"
        )


async def run(folder: Path, plan: Plan, say: Callable[[str], None]) -> list[Check]:
    """Soak, with all files in `folder`."""
    async with _begun(folder, plan) as soak:
        await soak.warm_up()
        before = await soak.quiet()
        await soak.load(say)
        after = await soak.quiet(before)
        folders = soak.mesh.folders()
        say(f"  end    {soak.line()}")
    ledger = soak.ledger
    for kind in soak.clients.kinds():
        say(f"  {kind:12} {ledger.served[kind]:7,} served {ledger.disturbed[kind]:5,} disturbed")
    return [
        *checks.of_requests(ledger, soak.origin.mismatches, list(soak.clients.kinds())),
        *checks.of_logs(soak.mesh.errors),
        *checks.of_memory({n: m.since(plan.warm) for n, m in soak.memories.items()}),
        *checks.of_holdings(before, after, folders),
        *checks.of_end(soak.mesh.left_over(), soak.mesh.folders()),
    ]


@contextlib.asynccontextmanager
async def _begun(folder: Path, plan: Plan) -> AsyncIterator[Soak]:
    """The mesh with its Workers, an origin, and somebody to ask."""
    async with contextlib.AsyncExitStack() as stack:
        origin = Origin()
        runner = await origin.start()
        stack.push_async_callback(runner.cleanup)
        mesh = Mesh(folder, origin.port)
        await stack.enter_async_context(mesh.running())
        registry = await stack.enter_async_context(
            RemoteRegistry(mesh.ports.address("dispatcher"), patient=True)
        )
        session = await stack.enter_async_context(
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=1))
        )
        url = f"http://127.0.0.1:{origin.port}"
        await workers.deploy_all(registry, url)
        rng = random.Random(plan.seed)
        yield Soak(plan, mesh, origin, Clients(session, registry, mesh.ports.http, url, rng))
