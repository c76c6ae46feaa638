"""The quickstart's code is the seed's. `seed/` holds the seed's code blocks without white space."""

from __future__ import annotations

from pathlib import Path

import pytest

SEED = Path(__file__).parent / "seed"
QUICKSTART = Path(__file__).parents[2] / "examples" / "quickstart"


def without_space(path: Path) -> str:
    """The text of a file without any white space."""
    return "".join(path.read_text().split())


@pytest.mark.parametrize("role", ["dispatch", "outbound"])
def test_worker_is_the_seeds(role: str) -> None:
    """No token is added to the seed's Worker, and none is missing or changed."""
    assert without_space(QUICKSTART / role / "index.js") == without_space(SEED / f"{role}.txt")


def test_binding_is_the_seeds() -> None:
    """The dispatch namespace binding is the seed's, with names in the places it leaves open."""
    seed = without_space(SEED / "wrangler.txt")
    named = seed.replace("<NAMESPACE_NAME>", "production").replace("<SERVICE_NAME>", "outbound")
    assert without_space(QUICKSTART / "dispatch" / "wrangler.toml").endswith(named)
