"""A package of many modules says in its docstring what each is for."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    "package",
    [
        "sluice/isolate",
        "sluice/isolate/sandbox",
        "sluice/http2",
        "sluice/rpc",
        "sluice/mesh",
        "services/outbound",
        "services/outbound/origin",
    ],
)
def test_every_module_is_on_the_map(package: str) -> None:
    """The docstring names each module that is there, and none that is not."""
    folder = ROOT / package
    said = ast.get_docstring(ast.parse((folder / "__init__.py").read_text())) or ""
    words = set(re.findall(r"`([a-z_0-9]+)`", said))
    there = {path.stem for path in folder.iterdir() if (path / "__init__.py").is_file()}
    modules = {path.stem for path in folder.glob("*.py")} - {"__init__", "__main__"}
    # Those that every service has need no word of explanation.
    assert modules - {"config", "service"} <= words
    assert words <= modules | there | {"guest"}
