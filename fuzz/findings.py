"""What a target must not do, noticed and kept."""

from __future__ import annotations

import hashlib
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from fuzz.target import Target

SLOW = 1.0
"""Seconds of CPU time that one input may take."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a target did wrong."""

    place: str
    """Where: two inputs that fail at the same place are one finding."""
    text: str


def judge(target: Target, data: bytes) -> Finding | None:
    """What is wrong with how `target` reads `data`."""
    began = time.process_time()
    try:
        target.read(data)
    except Exception as error:
        return Finding(f"{type(error).__name__} at {_place(error)}", traceback.format_exc())
    took = time.process_time() - began
    return Finding("slow", f"{len(data)} bytes took {took:.1f} s") if took > SLOW else None


class Findings:
    """Findings in a folder: an input and what it did, once for each place."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._places: set[str] = set()

    def keep(self, finding: Finding, data: bytes) -> Path | None:
        """Write it down. Returns where, or None where its place is known."""
        if finding.place in self._places:
            return None
        self._places.add(finding.place)
        path = self._folder / hashlib.sha256(data).hexdigest()[:16]
        path.write_bytes(data)
        path.with_suffix(".txt").write_text(f"{finding.place}\n\n{finding.text}\n")
        return path


def _place(error: BaseException) -> str:
    """The innermost line that is Sluice's."""
    frames = _frames(error.__traceback__)
    own = [frame for frame in frames if "/sluice/" in frame or "/services/" in frame]
    return (own or frames or ["nowhere"])[-1]


def _frames(found: TracebackType | None) -> list[str]:
    summary = traceback.extract_tb(found)
    return [f"{frame.filename}:{frame.lineno}" for frame in summary]
