"""The escape probe decides whether a service starts, and tells what it found."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import cast

import pytest

from sluice.isolate.sandbox import trial
from sluice.isolate.sandbox.launcher import Launcher
from sluice.isolate.sandbox.posture import Kind, Posture
from sluice.mesh.env import SettingError


async def test_no_sandbox_no_escapes(tmp_path: Path) -> None:
    """Where nothing confines the probe it is not run: what it tries would happen."""
    launcher = Launcher(Posture(Kind.NONE), Path(sys.executable), 1 << 30)
    with pytest.raises(SettingError, match="no sandbox to try"):
        await trial.succeeded(launcher, tmp_path)
    assert not list(tmp_path.iterdir())
    await launcher.aclose()


async def test_what_gets_out_stops_the_start(launcher: Launcher, run_folder: Path) -> None:
    """Where an attempt succeeds the error says which, and of which posture."""
    cast("list[str]", launcher._plan["read_only"]).append("/etc/passwd")  # the hole
    with pytest.raises(SettingError) as raised:
        await trial.check(launcher, run_folder)
    said = str(raised.value)
    assert said.startswith(f"SLUICE_SANDBOX: {launcher.posture} does not stop: ")
    assert "read /etc/passwd" in said
    assert not list(run_folder.iterdir())


async def test_what_the_posture_does_is_logged(
    launcher: Launcher, run_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Where nothing gets out one line says the posture, the kernel, and how many attempts there were."""
    with caplog.at_level(logging.INFO):
        await trial.check(launcher, run_folder)
    (line,) = caplog.messages
    assert line.startswith(f"sandbox: {launcher.posture} on Linux {os.uname().release}, ")
    assert " escapes tried" in line


async def test_no_sandbox_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A service without any says so at its start."""
    launcher = Launcher(Posture(Kind.NONE), Path(sys.executable), 1 << 30)
    await trial.check(launcher, tmp_path)
    await launcher.aclose()
    assert caplog.messages == ["sandbox: none. A Worker that breaks out of V8 is not confined"]
