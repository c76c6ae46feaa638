"""The escape probe's attempts, each refused in every posture that this machine offers."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest

from sluice.isolate.sandbox import escapes, trial
from sluice.isolate.sandbox.launcher import Launcher
from sluice.isolate.sandbox.machine import survey
from sluice.isolate.sandbox.posture import Posture, choose
from sluice.isolate.workerd import find_workerd
from sluice.mesh.env import SettingError
from tests.e2e.mesh import SERVICES, ServiceProcess

POSTURES = ("bubblewrap", "bubblewrap and uids", "landlock", "landlock and uids")
ATTEMPTS = sorted(escapes.attempts({"service": "1", "neighbour": "/neighbour", "abstract": ""}))
MEMORY = 900 << 20


class Outcome(NamedTuple):
    """What became of the probe in a posture, or why there is no such posture here."""

    posture: Posture | None = None
    why: str = ""
    tried: int = 0
    succeeded: frozenset[str] = frozenset()


_outcomes: dict[str, Outcome] = {}


async def outcome(name: str) -> Outcome:
    """Run the probe in the posture of that name, once for all tests."""
    if name not in _outcomes:
        folder = Path(tempfile.mkdtemp(prefix="sl-"))
        folder.chmod(0o711)
        try:
            _outcomes[name] = await probe(name, folder)
        finally:
            shutil.rmtree(folder)
    return _outcomes[name]


async def probe(name: str, folder: Path) -> Outcome:
    """The outcome, beside a run folder that others may pass through."""
    wanted, _, uids = name.partition(" and ")
    machine = survey(find_workerd({}), folder)
    try:
        posture = choose(wanted, unsafe=False, machine=machine)
    except SettingError as error:
        return Outcome(why=str(error))
    if uids and not posture.uids:
        return Outcome(why=machine.uids or machine.uids_in_bubblewrap)
    posture = replace(posture, uids=bool(uids))
    launcher = Launcher(posture, find_workerd({}), MEMORY)
    try:
        return Outcome(posture, "", *await trial.succeeded(launcher, folder))
    finally:
        await launcher.aclose()


@pytest.mark.parametrize("name", POSTURES)
@pytest.mark.parametrize("attempt", ATTEMPTS)
async def test_escape_is_refused(name: str, attempt: str) -> None:
    """The attempt fails inside the real sandbox, unless it is one that the posture names as open."""
    posture, why, _, succeeded = await outcome(name)
    if posture is None:
        pytest.skip(why)
    assert attempt not in succeeded - posture.gaps


@pytest.mark.parametrize("name", POSTURES)
async def test_every_attempt_was_made(name: str) -> None:
    """No attempt is left out inside, apart from folders that the probe itself is read from."""
    posture, why, tried, _ = await outcome(name)
    if posture is None:
        pytest.skip(why)
    assert tried >= len(ATTEMPTS) - 2


async def test_the_probe_notices() -> None:
    """Without a sandbox the same program, in a process of its own, does get out."""
    with trial.neighbourhood(Path(tempfile.gettempdir())) as (own, listener, targets):
        probing = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-S", escapes.__file__, json.dumps(targets)),
            stdout=asyncio.subprocess.PIPE,
            cwd=own,
            pass_fds=[listener.fileno()],
        )
        said, _ = await probing.communicate()
    succeeded = json.loads(said.splitlines()[-1])["succeeded"]
    assert {
        "read /etc/passwd",
        "read a neighbour's file",
        "list a neighbour's folder",
        "socket: TCP",
        "socket: UDP",
        "connect to a neighbour's socket by its path",
        "connect to an abstract socket",
        "fork",
        "signal the service",
        "inherit an environment",
        "take 8 GiB of memory",
        "call memfd_create",
    } <= set(succeeded)


LEAKY = """#!/bin/sh
exec {bwrap} --ro-bind /etc /etc "$@"
"""


@pytest.mark.parametrize("service", SERVICES)
async def test_a_service_with_a_hole_does_not_serve(service: str) -> None:
    """Where anything gets out of its sandbox a service ends at its start, and says what did."""
    bwrap = shutil.which("bwrap")
    machine = survey(find_workerd({}), Path(tempfile.gettempdir()))
    if bwrap is None or machine.bubblewrap:
        pytest.skip(machine.bubblewrap)
    folder = Path(tempfile.mkdtemp(prefix="sl-"))
    folder.chmod(0o755)
    (folder / "bwrap").write_text(LEAKY.format(bwrap=bwrap))
    (folder / "bwrap").chmod(0o755)
    variables = {
        "PATH": f"{folder}:{os.environ['PATH']}",
        "SLUICE_SANDBOX": "bubblewrap",
        "SLUICE_RUN_DIR": str(folder),
        "SLUICE_DATABASE_URL": f"sqlite+aiosqlite:///{folder}/registry.db",
        "SLUICE_HTTP_LISTEN": "127.0.0.1:0",
        "SLUICE_GRPC_LISTEN": "127.0.0.1:0",
    }
    process = ServiceProcess(service, variables)
    try:
        await process.start()
        assert await process.wait() == 2
    finally:
        shutil.rmtree(folder)
    (said,) = (line["raw"] for line in process.lines if "raw" in line)
    assert said.startswith(f"{service}: SLUICE_SANDBOX: bubblewrap and seccomp")
    assert "does not stop: " in said
    assert "read /etc/passwd" in said
    assert not process.listening.is_set()
