"""Isolates of both languages, weighed and loaded, and the figures as text."""

from __future__ import annotations

import os

import pytest

from bench import isolates, languages
from bench.isolates import Memory, Warm
from bench.languages import CONNECTIONS, WORKERS, Turn


def turn(first: float, rate: float) -> Turn:
    """A turn whose loads all came to the same."""
    warm = Warm(1 / rate, rate, 100, 50)
    loads = {(worker, count): warm for worker in WORKERS for count in CONNECTIONS}
    return Turn(first, Memory(8_000_000, 9_000_000), loads)


def test_ratios_are_taken_within_a_round() -> None:
    """A round in which the machine is slow does not meet another, and cold starts are in ms."""
    page = languages.text([turn(0.05, 100), turn(0.5, 10)], [turn(0.025, 200), turn(0.25, 20)])
    cold = next(line for line in page.splitlines() if line.startswith("cold start"))
    assert cold.split("  ")[-1].strip() == "0.50 / 0.50 / 0.50"
    assert "50 / 275 / 500" in cold
    (rate,) = (line for line in page.splitlines() if line.startswith("relay, 16 at a time: req"))
    assert rate.endswith("2.00 / 2.00 / 2.00")


@pytest.mark.parametrize("language", languages.LANGUAGES)
async def test_what_is_measured_is_an_isolate(language: str) -> None:
    """Each start has processes of its own, which have memory, and use CPU under load."""
    async with isolates.isolates(os.environ) as made:
        first, second = [await made.start(f"relay.{language}") for _ in range(2)]
        assert not first.pids & second.pids
        warm = await made.load(second, 2, 0.2)
        held = isolates.memory(second)
    assert 2**20 < held.private <= held.proportional < 2**28
    assert warm.isolate_cpu > 0
    assert warm.p50 <= 0.2
