"""Real workerd, and a way to run a Worker from its source."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from sluice.isolate.pool import PoolConfig
from sluice.isolate.program import direct_program, user_program
from sluice.isolate.runner import Runner, RunnerConfig
from sluice.isolate.runtime import Runtime
from sluice.isolate.sandbox.machine import best
from sluice.isolate.workerd import find_workerd
from tests.isolate.workers import MakeWorkers, Workers


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

    def make(
        *,
        trusted: bool = False,
        wall_time: float = 10.0,
        python_once: bool = False,
        **pool: Any,
    ) -> Workers:
        workers = Workers()
        config = RunnerConfig(
            Runtime(executable, run_folder, posture, python_once=python_once),
            PoolConfig(**pool),
            wall_time=wall_time,
        )
        program_of = direct_program if trusted else user_program
        workers.runner = Runner(config, workers.bundle, program_of, workers.on_subrequest)
        workers.runner.begin()
        made.append(workers)
        return workers

    yield make
    for workers in made:
        await workers.runner.aclose()
    assert list(run_folder.iterdir()) == [], "an isolate left files behind"


@pytest.fixture
async def workers(make_workers: MakeWorkers) -> Workers:
    """User Workers, behind the gate."""
    return make_workers()
