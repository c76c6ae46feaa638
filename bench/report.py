"""The figures as text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bench import figures
from bench.figures import Spread
from bench.measure import Sample


def text(samples: Sequence[Sample], chain: str, reference: str) -> str:
    """Ratios first, then what they are made of. Every spread is min / median / max of rounds."""
    lines = [f"{chain} / {reference}, min / median / max of {1 + samples[-1].round} rounds", ""]
    for ratios in figures.ratios(samples, chain, reference):
        lines += [
            f"{ratios.connections} connections",
            f"  throughput  {_ratio(ratios.rate)}",
            f"  ... by CPU  {_ratio(ratios.capacity)}   (on an otherwise idle machine)",
            f"  p50         {_ratio(ratios.p50)}",
            f"  CPU         {_ratio(ratios.cpu)}",
            *_chain(samples, chain, ratios.connections),
            *_chain(samples, reference, ratios.connections),
            "",
        ]
    return "\n".join(lines)


def _chain(samples: Sequence[Sample], chain: str, connections: int) -> Iterator[str]:
    def of(value: str) -> Spread:
        return figures.spread(samples, chain, connections, lambda sample: getattr(sample, value))

    p50, p99 = of("p50").median * 1e3, of("p99").median * 1e3
    yield f"  {chain}: {of('rate').median:,.0f} requests/s, p50 {p50:.2f} ms, p99 {p99:.2f} ms"
    failed = sum(s.failed for s in samples if s.chain == chain and s.connections == connections)
    if failed:
        yield f"    {failed} requests FAILED"
    yield f"    {'CPU, µs a request':<20}{of('own_cpu').median:>8,.0f}"
    for name, used in figures.cpu_by_process(samples, chain, connections).items():
        yield f"      {name:<18}{used.median:>8,.0f}   ({used.least:,.0f} to {used.most:,.0f})"


def _ratio(spread: Spread) -> str:
    return f"{spread.least:6.3f} / {spread.median:6.3f} / {spread.most:6.3f}"
