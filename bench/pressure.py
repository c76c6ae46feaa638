"""The figures of fairness and recovery. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from bench.figures import Spread
from bench.paced import Paced
from bench.recovery import Recovery


def p99(turns: Sequence[Paced]) -> float:
    """Seconds within which all but a hundredth of the answers came."""
    return _sorted(turns)[len(_sorted(turns)) * 99 // 100]


def line(kind: str, turns: Sequence[Paced]) -> str:
    """What the ten customers saw in some turns."""
    latencies = _sorted(turns)
    failed = Counter(failure for turn in turns for failure in turn.failures)
    why = "".join(f"; {count} x {failure}" for failure, count in failed.most_common(3))
    return (
        f"{kind}: {len(latencies):,} answers, p50 {latencies[len(latencies) // 2] * 1e3:.0f} ms, "
        f"p99 {p99(turns) * 1e3:.0f} ms, most {latencies[-1] * 1e3:.0f} ms, "
        f"{failed.total()} failed{why}"
    )


def text(
    quiet: Sequence[Paced], noisy: Sequence[Paced], recoveries: Mapping[str, Sequence[Recovery]]
) -> str:
    """All of it."""
    ratios = Spread.of([p99([n]) / p99([q]) for q, n in zip(quiet, noisy, strict=True)])
    by_round = f"{ratios.least:.2f} / {ratios.median:.2f} / {ratios.most:.2f}"
    lines = [
        "ten customers",
        f"  {line('quiet', quiet)}",
        f"  {line('noisy', noisy)}",
        f"  p99, noisy / quiet: {p99(noisy) / p99(quiet):.2f} (of a round: {by_round})",
        "",
        "after a broken limit, ms from the end of the process, min / median / max",
    ]
    for limit, found in recoveries.items():
        for what in ("told", "served"):
            spread = Spread.of([getattr(recovery, what) * 1e3 for recovery in found])
            lines.append(
                f"  {limit}, {what}: {spread.least:.0f} / {spread.median:.0f} / {spread.most:.0f}"
            )
        lines.append(f"  {limit}, told: {', '.join(sorted({found.error for found in found}))}")
    return "\n".join(lines)


def _sorted(turns: Sequence[Paced]) -> list[float]:
    return sorted(latency for turn in turns for latency in turn.latencies)
