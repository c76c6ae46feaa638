from __future__ import annotations

import sys
from pathlib import Path

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
