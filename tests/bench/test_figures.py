"""Samples made ratios."""

from __future__ import annotations

import pytest

from bench import figures
from bench.figures import Spread
from bench.measure import Sample


def sample(chain: str, round_: int, rate: float, connections: int = 32) -> Sample:
    """A sample whose p50 and CPU follow from its rate."""
    cpu = {"py": 600 / rate, "workerd": 400 / rate, "origin": 50.0, "load": 20.0}
    return Sample(chain, connections, round_, 1000, 0, rate, 1 / rate, 2 / rate, cpu)


def test_ratios_are_taken_within_a_round() -> None:
    """A machine that is slow for a round slows both chains, and their ratio stays."""
    samples = [
        *(sample("mesh", 0, 100), sample("plain", 0, 400)),
        *(sample("plain", 1, 40), sample("mesh", 1, 10)),
        *(sample("mesh", 2, 50), sample("plain", 2, 100)),
    ]
    (ratios,) = figures.ratios(samples, "mesh", "plain")
    assert ratios.connections == 32
    assert ratios.rate == Spread(0.25, 0.25, 0.5)
    assert ratios.p50 == Spread(2, 4, 4)
    assert ratios.cpu == Spread(2, 4, 4)


def test_each_number_of_connections_has_its_own_ratio() -> None:
    """Rounds of one number of connections never meet those of another."""
    samples = [
        *(sample("mesh", 0, 10, 1), sample("plain", 0, 20, 1)),
        *(sample("mesh", 0, 10, 32), sample("plain", 0, 100, 32)),
    ]
    found = {r.connections: r.rate.median for r in figures.ratios(samples, "mesh", "plain")}
    assert found == {1: 0.5, 32: 0.1}


def test_capacity_is_bound_by_all_cores_or_by_the_busiest_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Many processes fill every core; one process fills one."""
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    spread_out = Sample("mesh", 32, 0, 1, 0, 1, 1, 1, {"a": 100, "b": 100, "c": 100, "d": 100})
    single = Sample("plain", 32, 0, 1, 0, 1, 1, 1, {"a": 250, "load": 50})
    assert spread_out.capacity == 5000
    assert single.capacity == 4000


def test_own_cpu_is_without_origin_and_load() -> None:
    """What is not part of a chain is shown beside it, and not counted for it."""
    found = sample("mesh", 0, 100)
    assert found.own_cpu == 10
    by_process = figures.cpu_by_process([found], "mesh", 32)
    assert by_process["origin"] == Spread(50, 50, 50)
