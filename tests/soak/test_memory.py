"""Whether memory is flat."""

from __future__ import annotations

import pytest

from soak.memory import Memory, MiB


def memory(*sizes: float) -> Memory:
    """One look a second, in MiB."""
    return Memory([float(at) for at in range(len(sizes))], [int(size * MiB) for size in sizes])


@pytest.mark.parametrize(
    ("why", "held", "flat"),
    [
        ("nothing grows", memory(*[50] * 40), True),
        ("a spike in the middle is given back", memory(*[50] * 20, 500, *[50] * 19), True),
        ("caches fill a little", memory(*(50 + at / 10 for at in range(40))), True),
        ("a tenth of much", memory(*(500 + at for at in range(40))), True),
        ("a leak", memory(*(50 + at for at in range(40))), False),
        ("one that starts late", memory(*[50] * 20, *(50 + 2 * at for at in range(20))), False),
    ],
)
def test_is_flat(why: str, held: Memory, flat: bool) -> None:
    """By the medians of the first and the last quarter."""
    assert held.is_flat is flat


def test_slope() -> None:
    """Bytes a second; nothing where there is no time to tell."""
    assert memory(1, 2, 3, 4).slope == pytest.approx(MiB)
    assert memory(1).slope == 0


def test_since() -> None:
    """Warm-up does not count."""
    assert memory(10, 20, 30).since(1).sizes == [20 * MiB, 30 * MiB]
