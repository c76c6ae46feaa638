"""Whether memory is flat. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import linear_regression, median

MiB = 2**20

ALLOWED = 8 * MiB
"""Growth that is no leak: caches that fill, an allocator that keeps what it freed."""

PART = 0.1
"""The same, as a part of what is held."""


@dataclass(slots=True)
class Memory:
    """What one process held, over its life. Times are in seconds."""

    times: list[float] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)

    def note(self, time: float, size: int) -> None:
        """One look."""
        self.times.append(time)
        self.sizes.append(size)

    def since(self, time: float) -> Memory:
        """The looks from `time` on."""
        kept = [at for at, when in enumerate(self.times) if when >= time]
        return Memory([self.times[at] for at in kept], [self.sizes[at] for at in kept])

    @property
    def slope(self) -> float:
        """Bytes a second by which it grew, on average."""
        if len(set(self.times)) < 2:
            return 0.0
        return linear_regression(self.times, self.sizes).slope

    @property
    def growth(self) -> float:
        """By how much the last quarter is over the first: of their medians, so no spike counts."""
        return _middle(self.sizes[-_quarter(self.sizes) :]) - _middle(
            self.sizes[: _quarter(self.sizes)]
        )

    @property
    def is_flat(self) -> bool:
        """Whether it grew by no more than is allowed."""
        return self.growth <= max(ALLOWED, PART * _middle(self.sizes))


def _quarter(sizes: Sequence[int]) -> int:
    return max(1, len(sizes) // 4)


def _middle(sizes: Sequence[int]) -> float:
    return float(median(sizes)) if sizes else 0.0
