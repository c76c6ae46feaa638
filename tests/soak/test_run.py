"""A short soak. It is too short for memory to say anything."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from soak.run import Plan, run

SECONDS = 5.0


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short path: a unix socket's may have 107 bytes."""
    folder = Path(tempfile.mkdtemp(prefix="sl-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.timeout(180)
async def test_a_short_soak(folder: Path) -> None:
    """Isolates and a service are killed; nothing is mixed up, and nothing is left."""
    said: list[str] = []
    found = await run(folder, Plan(SECONDS, seed=3, clients=4), said.append)
    failed = [check for check in found if not check.holds and "every kind" not in check.what]
    assert failed == [], "\n".join(said)
