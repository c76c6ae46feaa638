"""Samples made ratios and means. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from bench.measure import Sample


@dataclass(frozen=True, slots=True)
class Spread:
    """A value over the rounds."""

    least: float
    median: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """The spread of at least one value."""
        return cls(min(values), median(values), max(values))


@dataclass(frozen=True, slots=True)
class Ratios:
    """One chain divided by another, round by round: so that what both suffer cancels out."""

    connections: int
    rate: Spread
    capacity: Spread
    p50: Spread
    cpu: Spread


def ratios(samples: Iterable[Sample], chain: str, reference: str) -> list[Ratios]:
    """`chain` divided by `reference`, for each number of connections."""
    pairs = _pairs(samples, chain, reference)
    return [
        Ratios(
            connections,
            rate=_ratio(found, lambda sample: sample.rate),
            capacity=_ratio(found, lambda sample: sample.capacity),
            p50=_ratio(found, lambda sample: sample.p50),
            cpu=_ratio(found, lambda sample: sample.own_cpu),
        )
        for connections, found in pairs.items()
    ]


def cpu_by_process(samples: Iterable[Sample], chain: str, connections: int) -> dict[str, Spread]:
    """Microseconds a request of each process of `chain`."""
    found = [s for s in samples if s.chain == chain and s.connections == connections]
    return {name: Spread.of([sample.cpu[name] for sample in found]) for name in found[0].cpu}


def spread(
    samples: Iterable[Sample], chain: str, connections: int, value: Callable[[Sample], float]
) -> Spread:
    """`value` of each sample of `chain`."""
    return Spread.of(
        [value(s) for s in samples if s.chain == chain and s.connections == connections]
    )


def _pairs(
    samples: Iterable[Sample], chain: str, reference: str
) -> dict[int, list[tuple[Sample, Sample]]]:
    by_key = {(s.chain, s.connections, s.round): s for s in samples}
    pairs: dict[int, list[tuple[Sample, Sample]]] = {}
    for (name, connections, round_), sample in by_key.items():
        if name == chain:
            other = by_key[reference, connections, round_]
            pairs.setdefault(connections, []).append((sample, other))
    return pairs


def _ratio(pairs: Sequence[tuple[Sample, Sample]], value: Callable[[Sample], float]) -> Spread:
    return Spread.of([value(sample) / value(other) for sample, other in pairs])
