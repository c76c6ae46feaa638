"""Each posture that this machine offers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from sluice.isolate.sandbox.launcher import Launcher
from sluice.isolate.sandbox.machine import survey
from sluice.isolate.sandbox.posture import Posture, choose
from sluice.isolate.workerd import find_workerd
from sluice.mesh.env import SettingError

MEMORY = 900 << 20


@pytest.fixture(
    params=["bubblewrap", "bubblewrap and uids", "landlock", "landlock and uids"],
)
def posture(request: pytest.FixtureRequest, run_folder: Path) -> Posture:
    """Skips, with the reason, what this machine does not offer."""
    wanted, _, uids = request.param.partition(" and ")
    run_folder.chmod(0o711)
    machine = survey(find_workerd({}), run_folder)
    try:
        offered = choose(wanted, unsafe=False, machine=machine)
    except SettingError as error:
        pytest.skip(str(error))
    if uids and not offered.uids:
        pytest.skip(machine.uids or machine.uids_in_bubblewrap)
    return replace(offered, uids=bool(uids))


@pytest.fixture
async def launcher(posture: Posture) -> AsyncIterator[Launcher]:
    """Starts processes in that posture."""
    launcher = Launcher(posture, find_workerd({}), MEMORY)
    yield launcher
    await launcher.aclose()
