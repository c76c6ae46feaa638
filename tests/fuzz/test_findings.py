"""What counts as a finding, and what is kept of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from fuzz import findings
from fuzz.findings import Finding, Findings, judge
from fuzz.target import Target


def _fails(data: bytes) -> None:
    raise KeyError(data)


def _target(read: object) -> Target:
    return Target("test", read, {})  # type: ignore[arg-type]


def test_what_is_raised_is_found() -> None:
    """With the place that raised it, and how it came there."""
    finding = judge(_target(_fails), b"a")
    assert finding is not None
    assert finding.place.startswith("KeyError at ")
    assert "raise KeyError(data)" in finding.text


def test_what_takes_long_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """So is an input that costs too much."""
    monkeypatch.setattr(findings, "SLOW", 0.0)
    finding = judge(_target(lambda _: None), b"abc")
    assert finding is not None
    assert finding.text.startswith("3 bytes took")


def test_what_is_read_is_not_found() -> None:
    """Nothing else is."""
    assert judge(_target(lambda _: None), b"a") is None


def test_one_of_a_place_is_kept(tmp_path: Path) -> None:
    """The first input that fails at a place, and why it does."""
    kept = Findings(tmp_path)
    first = kept.keep(Finding("ValueError at a.py:1", "the story"), b"one")
    assert first is not None
    assert first.read_bytes() == b"one"
    assert "the story" in first.with_suffix(".txt").read_text()
    assert kept.keep(Finding("ValueError at a.py:1", "again"), b"two") is None
    assert len(list(tmp_path.iterdir())) == 2
