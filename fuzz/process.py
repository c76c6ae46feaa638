"""Running `fuzz.engine`, and reading what libFuzzer says."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO

_HANG = 120
"""Seconds of one input after which libFuzzer ends the process. By the clock on the wall: a busy
machine must not end it. What is slow by CPU time is noticed before."""

_MEMORY = 2048
"""MiB of the process at which it does the same."""

_PROGRESS = re.compile(r"#(\d+)\s.*cov: (\d+) ft: \d+ corp: (\d+)/")
_FOUND = ("FOUND ", "==")


@dataclass(slots=True)
class Figures:
    """What came of fuzzing one target."""

    target: str
    executions: int = 0
    seconds: float = 0.0
    coverage: int = 0
    """Edges of instrumented Python code that some input reached."""
    corpus: int = 0
    """Inputs kept, because each reached something new."""
    findings: int = 0


def fuzz(name: str, folder: Path, seconds: float) -> Figures:
    """Fuzz a target for so long, and begin again where an input ended the process."""
    folder.mkdir(parents=True, exist_ok=True)
    figures = Figures(name)
    began = time.monotonic()
    with (folder / "log").open("w") as log:
        while (left := seconds - (time.monotonic() - began)) >= 1:
            if not _run(figures, folder, round(left), log):
                break
    figures.seconds = time.monotonic() - began
    return figures


def _run(figures: Figures, folder: Path, seconds: int, log: IO[str]) -> bool:
    """One process. Whether an input ended it."""
    options = [
        f"-max_total_time={seconds}",
        f"-timeout={_HANG}",
        f"-rss_limit_mb={_MEMORY}",
        f"-artifact_prefix={folder}/findings/",
    ]
    argv = [sys.executable, "-m", "fuzz.engine", figures.target, str(folder), *options]
    before = figures.executions
    with subprocess.Popen(argv, stderr=subprocess.PIPE, text=True, errors="replace") as process:
        assert process.stderr is not None
        for line in process.stderr:
            log.write(line)
            log.flush()
            _note(figures, line, before)
    return process.returncode != 0


def _note(figures: Figures, line: str, before: int) -> None:
    if line.startswith(_FOUND):
        figures.findings += 1
        print(line, end="", flush=True)
    elif progress := _PROGRESS.match(line):
        figures.executions = before + int(progress[1])
        figures.coverage, figures.corpus = int(progress[2]), int(progress[3])
