"""Who was greedy of late."""

from __future__ import annotations

from sluice.isolate.probation import Probation
from sluice.isolate.version import Version

ACME = Version("production", "acme", "1")


def test_it_ends() -> None:
    """Whoever was greedy is remembered for so long, from the last time on."""
    probation = Probation(60)
    assert not probation.holds(ACME, 0)
    probation.note(ACME, 0)
    probation.note(ACME, 10)
    assert probation.holds(ACME, 69)
    assert not probation.holds(ACME, 70)


def test_it_is_the_workers() -> None:
    """Another version of the Worker is on it too, and so is one for a single invocation."""
    probation = Probation(60)
    probation.note(ACME, 0)
    assert probation.holds(ACME._replace(digest="2"), 1)
    assert probation.holds(ACME._replace(invocation="x"), 1)
    assert not probation.holds(ACME._replace(name="other"), 1)
    assert not probation.holds(ACME._replace(dispatch_namespace="staging"), 1)


def test_what_is_over_is_forgotten() -> None:
    """It keeps nothing of a Worker that is gone."""
    probation = Probation(60)
    probation.note(ACME, 0)
    probation.forget(59)
    assert probation.holds(ACME, 59)
    probation.forget(61)
    assert not probation.holds(ACME, 0)
