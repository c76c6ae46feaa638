"""Real workerd, and a way to run a Worker from its source."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from sluice.isolate.runtime import Runtime
from sluice.isolate.sandbox.machine import best
from sluice.isolate.workerd import find_workerd
from tests.isolate.workers import MakeWorkers, Workers, begin


@pytest.fixture
def run_folder() -> Iterator[Path]:
    """A short path: a unix socket's may have 107 bytes."""
    folder = Path(tempfile.mkdtemp(prefix="sl-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
async def make_workers(run_folder: Path) -> AsyncIterator[MakeWorkers]:
    """Makes runners; all are closed at the end, and leave no process and no file."""
    made: list[Workers] = []
    executable = find_workerd({})
    posture = best(executable, run_folder)

    def make(*, python_once: bool = False, wall_time: float = 10.0, **more: Any) -> Workers:
        runtime = Runtime(executable, run_folder, posture, python_once=python_once)
        made.append(begin(runtime, wall_time=wall_time, **more))
        return made[-1]

    yield make
    for workers in made:
        await workers.runner.aclose()
    assert list(run_folder.iterdir()) == [], "an isolate left files behind"


@pytest.fixture
async def workers(make_workers: MakeWorkers) -> Workers:
    """User Workers, behind the gate."""
    return make_workers()
