"""One measurement of one chain, and the order of many."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bench import cpu
from bench.chain import Chain
from bench.generators import Generator

LOAD = "load"
ORIGIN = "origin"


@dataclass(frozen=True, slots=True)
class Sample:
    """What one chain did under one load. Times are in seconds, CPU in microseconds a request."""

    chain: str
    connections: int
    round: int
    requests: int
    failed: int
    rate: float
    """Requests a second."""
    p50: float
    p99: float
    cpu: dict[str, float]
    """By process, the origin and the load generator among them."""

    @property
    def own_cpu(self) -> float:
        """CPU of the chain itself."""
        return sum(used for name, used in self.cpu.items() if name not in (LOAD, ORIGIN))

    @property
    def capacity(self) -> float:
        """Requests a second that the CPU used would allow, were nobody else on this machine.

        The busiest process has one core at most: each of these is one thread, nearly.
        """
        cores = os.cpu_count() or 1
        return 1e6 / max(sum(self.cpu.values()) / cores, *self.cpu.values())


def order(
    chains: Sequence[Chain], connections: Sequence[int], rounds: int
) -> Iterator[tuple[int, int, Chain]]:
    """`(round, connections, chain)`: chains take turns, and turns at being first."""
    for round_ in range(rounds):
        for count in connections:
            for chain in chains if round_ % 2 == 0 else reversed(chains):
                yield round_, count, chain


def measure(
    chain: Chain, origin: int, generator: Generator, connections: int, seconds: float, round_: int
) -> Sample:
    """Load `chain`. Raises `RuntimeError` where one of its processes was replaced meanwhile."""
    processes = chain.processes() | {ORIGIN: origin}
    before = {name: cpu.seconds(pid) for name, pid in processes.items()}
    load = generator(chain.port, connections, seconds)
    if chain.processes() | {ORIGIN: origin} != processes:
        raise RuntimeError(f"a process of the {chain.name} chain was replaced under load")
    requests = max(load.requests, 1)
    used = {name: cpu.seconds(pid) - before[name] for name, pid in processes.items()}
    return Sample(
        chain=chain.name,
        connections=connections,
        round=round_,
        requests=load.requests,
        failed=load.failed,
        rate=load.requests / load.seconds,
        p50=load.p50,
        p99=load.p99,
        cpu={name: value / requests * 1e6 for name, value in {**used, LOAD: load.cpu}.items()},
    )
