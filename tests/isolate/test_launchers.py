"""The launchers of a service, where the sandbox of one language has a hole."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from sluice.isolate import launchers
from sluice.isolate.launchers import Launchers
from sluice.isolate.program import Language
from sluice.isolate.runtime import Runtime
from sluice.isolate.sandbox.guest import find_guest
from sluice.isolate.sandbox.machine import best
from sluice.isolate.workerd import find_workerd
from sluice.wire.errors import Reason, SluiceError


async def test_no_python_where_anything_gets_out(
    run_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python Workers fail to load, with what got out; the others are served, and no zygote stays."""
    guest = find_guest()
    leaky = replace(guest, read_only=(*guest.read_only, "/etc/passwd"))
    monkeypatch.setattr(launchers, "find_guest", lambda: leaky)
    executable = find_workerd({})
    ours = Launchers(Runtime(executable, run_folder, best(executable, run_folder)))
    for _ in range(2):
        with pytest.raises(SluiceError, match=r"no Python Workers: .*read /etc/passwd") as raised:
            await ours.of(Language.PYTHON)
        assert raised.value.reason is Reason.WORKER_LOAD_FAILED
    assert not (await ours.of(Language.JAVASCRIPT)).is_python
    assert ours._python is None
    await ours.aclose()
