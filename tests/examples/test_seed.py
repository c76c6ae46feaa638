"""The quickstart's code is the seed's. `seed/` holds the seed's code blocks without white space."""

from __future__ import annotations

from pathlib import Path

import pytest

SEED = Path(__file__).parent / "seed"
EXAMPLES = Path(__file__).parents[2] / "examples"
QUICKSTART = EXAMPLES / "quickstart"

SHOWN = [
    "quickstart/dispatch/index.js",
    "python/dispatch/main.py",
    "quickstart/outbound/index.js",
    "python/outbound/main.py",
    "quickstart/customers/api/index.js",
    "python/customers/api.py",
]
"""The Workers that documentation has side by side, in its order."""


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


def test_documentation_shows_these_workers() -> None:
    """Side by side in the documentation are the examples' very files, in this order."""
    page = (EXAMPLES.parent / "docs" / "python-workers.md").read_text()
    places = [page.find((EXAMPLES / file).read_text()) for file in SHOWN]
    assert -1 not in places
    assert places == sorted(places)
