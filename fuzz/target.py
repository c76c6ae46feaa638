"""A fuzz target: what reads bytes, and where to begin."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

NAMES = ("egress", "response", "wire", "bundle", "control", "outbound", "http2")
"""The targets. Each is a module of `fuzz.targets`, imported only where it runs: for coverage, what
it reads with must be imported by the engine."""

REGRESSIONS = Path(__file__).parent / "regressions"
"""What was once found, by target: one file for each input."""


@dataclass(frozen=True, slots=True)
class Target:
    """Reads hostile bytes with Sluice's own code."""

    name: str
    read: Callable[[bytes], None]
    """Read one input. Documented refusals are no news; whatever it raises is a finding."""
    seeds: Mapping[str, bytes]
    """Inputs to begin with, by what they are."""

    def inputs(self) -> dict[str, bytes]:
        """Seeds and regressions, by name."""
        folder = REGRESSIONS / self.name
        files = sorted(folder.iterdir()) if folder.is_dir() else []
        return {**self.seeds, **{f"regression {file.name}": file.read_bytes() for file in files}}


def load(name: str) -> Target:
    """The target of that name."""
    target = importlib.import_module(f"fuzz.targets.{name}").TARGET
    assert isinstance(target, Target)
    return target
