"""How long a client may keep a server waiting."""

from __future__ import annotations

import pytest

from sluice.http1.limits import Limits
from sluice.http1.pace import Pace

LIMITS = Limits(min_rate=100, rate_grace=5, stall_timeout=60)
"""Looked at every second."""


def looks(*moved: int) -> int:
    """Looks until a client is too slow of which so many bytes moved by each; then none do."""
    pace, count, total = Pace(LIMITS), 0, 0
    while True:
        total += moved[count] if count < len(moved) else 0
        count += 1
        if pace.wait(total):
            return count


@pytest.mark.parametrize(
    ("moved", "count"),
    [
        ([], 6),  # the grace, and the look that began it
        ([100], 7),  # a second's worth
        ([0, 0, 100], 7),  # whenever it comes
        ([75] * 1000, 24),  # a quarter too slow, from the first look on
        ([300], 9),  # three are earned at once
        ([300, 0, 0] * 10, 36),  # bursts that are fast enough on the whole, then none
        ([1_000_000], 60),  # no more than the stall timeout
        ([1_000_000] * 10, 69),  # however often
        ([-500, 100], 7),  # what was on its way before does not count against it
    ],
)
def test_looks(moved: list[int], count: int) -> None:
    """A client spends a sweep by each look and earns by its bytes."""
    assert looks(*moved) == count


def test_fast_enough() -> None:
    """At the least rate a client may go on for ever."""
    pace = Pace(LIMITS)
    assert not any(pace.wait(100 * look) for look in range(10_000))
