"""Isolates without a mesh: a service's own runner, in this process, which asks and answers.

What Workers cost here is what they cost a service, but for gRPC: the sandbox, the sockets and the
host's side of them are the same.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench import cpu, processes
from sluice.bundle import pack
from sluice.http1.server import Exchange
from sluice.isolate.invocation import Invocation, Limits
from sluice.isolate.program import user_program
from sluice.isolate.runner import Runner
from sluice.isolate.settings import runner_config
from sluice.mesh import tracing
from sluice.mesh.env import Environment
from sluice.mesh.tracing import Kind
from sluice.pb import worker_pb2
from sluice.wire.body import Whole
from sluice.wire.messages import Request, Response

WORKERS = Path(__file__).parent / "workers"
HELLO = b"hello"


@dataclass(frozen=True, slots=True)
class Started:
    """One isolate."""

    worker: worker_pb2.Worker
    pids: frozenset[int]
    """Its processes: under bubblewrap it has two."""
    first: float
    """Seconds from the request that started it to the end of the answer."""


@dataclass(frozen=True, slots=True)
class Warm:
    """A load of one isolate. CPU is in microseconds a request."""

    p50: float
    """Seconds."""
    rate: float
    """Requests a second."""
    isolate_cpu: float
    host_cpu: float


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes of one isolate, by proc_pid_smaps_rollup(5)."""

    private: int
    """Its own: what would be free without it."""
    proportional: int
    """With its share of pages that others have mapped too (PSS)."""


@dataclass(slots=True)
class Isolates:
    """A runner, and Workers of `WORKERS`, of which each `start` is a new version."""

    runner: Runner[None] = field(init=False)
    limits: Limits = field(default_factory=Limits)
    _bundles: dict[str, worker_pb2.Bundle] = field(default_factory=dict)

    async def start(self, file: str) -> Started:
        """Start an isolate by a request."""
        digest = f"{len(self._bundles):064x}"
        self._bundles[digest] = pack.pack_path(WORKERS / file).bundle
        worker = worker_pb2.Worker(dispatch_namespace="bench", name=file, digest=digest)
        before = set(processes.descendants(os.getpid()))
        begun = time.perf_counter()
        await self.ask(worker)
        first = time.perf_counter() - begun
        return Started(worker, frozenset(processes.descendants(os.getpid())) - before, first)

    async def ask(self, worker: worker_pb2.Worker) -> None:
        """Ask, and read the answer. Raises `RuntimeError` where it is another than `HELLO`."""
        span = tracing.start("bench", Kind.INTERNAL, None)
        invocation = Invocation(worker, None, span, self.limits)
        response = await self.runner.invoke(invocation, Request("GET", "http://bench.example/"), {})
        body, complete = response.body.take()
        if not complete:
            body += b"".join([chunk async for chunk in response.body])
        await response.aclose()
        if (response.status, body) != (200, HELLO):
            raise RuntimeError(f"{worker.name} answers {response.status} {body!r}")

    async def load(self, started: Started, connections: int, seconds: float) -> Warm:
        """Ask again and again, so many requests at a time."""
        latencies: list[float] = []
        deadline = time.perf_counter() + seconds
        own, used = time.process_time(), _cpu(started.pids)
        begun = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for _ in range(connections):
                group.create_task(self._ask_until(deadline, started.worker, latencies))
        taken = time.perf_counter() - begun
        count = len(latencies)
        return Warm(
            p50=sorted(latencies)[count // 2],
            rate=count / taken,
            isolate_cpu=(_cpu(started.pids) - used) / count * 1e6,
            host_cpu=(time.process_time() - own) / count * 1e6,
        )

    async def _ask_until(
        self, deadline: float, worker: worker_pb2.Worker, latencies: list[float]
    ) -> None:
        while (begun := time.perf_counter()) < deadline:
            await self.ask(worker)
            latencies.append(time.perf_counter() - begun)

    async def bundle(self, digest: str) -> worker_pb2.Bundle:
        """The bundle of a version, as a registry gives it."""
        return self._bundles[digest]

    async def answer(self, _: Invocation[None], exchange: Exchange) -> Response:
        """Answer a subrequest."""
        await exchange.request.body.aclose()
        return Response(200, body=Whole(HELLO))


@asynccontextmanager
async def isolates(variables: Mapping[str, str]) -> AsyncIterator[Isolates]:
    """A runner with a service's settings. Its isolates are gone afterwards."""
    made = Isolates()
    config = runner_config(Environment(variables), variables)
    made.runner = Runner(config, made.bundle, user_program, made.answer)
    made.runner.begin()
    try:
        yield made
    finally:
        await made.runner.aclose()


def memory(started: Started) -> Memory:
    """What an isolate holds now."""
    sizes = [_rollup(pid) for pid in started.pids]
    return Memory(
        private=sum(size["Private_Clean"] + size["Private_Dirty"] for size in sizes),
        proportional=sum(size["Pss"] for size in sizes),
    )


def _rollup(pid: int) -> dict[str, int]:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    words = (line.split() for line in lines)
    return {name.rstrip(":"): int(size) * 1024 for name, size, _ in words}


def _cpu(pids: frozenset[int]) -> float:
    return sum(cpu.seconds(pid) for pid in pids)
