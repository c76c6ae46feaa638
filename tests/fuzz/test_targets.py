"""What fuzzing begins with, and what it once found: each is read without a finding."""

from __future__ import annotations

import pytest

from fuzz.findings import judge
from fuzz.target import NAMES, load


@pytest.mark.parametrize(
    ("target", "data"),
    [
        pytest.param(name, data, id=f"{name}: {what}")
        for name in NAMES
        for what, data in load(name).inputs().items()
    ],
)
def test_an_input(target: str, data: bytes) -> None:
    """Seeds and regressions are read, or refused as documented."""
    finding = judge(load(target), data)
    assert finding is None, finding.text
