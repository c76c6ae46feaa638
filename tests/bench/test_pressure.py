"""The figures of fairness and recovery."""

from __future__ import annotations

from bench import pressure
from bench.paced import Paced
from bench.recovery import Recovery


def test_p99_is_that_of_all_turns() -> None:
    """One slow answer in a hundred is the p99; one in two hundred is not."""
    fast = Paced([0.01] * 99)
    assert pressure.p99([fast, Paced([1.0])]) == 1.0
    assert pressure.p99([fast, fast, Paced([1.0])]) == 0.01


def test_failures_are_counted_and_named() -> None:
    """A turn in which anything failed says what."""
    line = pressure.line("noisy", [Paced([0.01], ["status 503", "status 503", "EOFError: "])])
    assert "3 failed; 2 x status 503; 1 x EOFError" in line


def test_text() -> None:
    """Ratios are of turns of one round; times are from the end of the process."""
    quiet = [Paced([0.01]), Paced([0.02])]
    noisy = [Paced([0.02]), Paced([0.02])]
    breaches = [Recovery(0.01, 0.1, "too much"), Recovery(0.03, 0.2, "too much")]
    text = pressure.text(quiet, noisy, {"cpu": breaches})
    assert "(of a round: 1.00 / 1.50 / 2.00)" in text
    assert "cpu, served: 100 / 150 / 200" in text
    assert "cpu, told: too much" in text
