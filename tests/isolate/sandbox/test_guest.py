"""The sandbox of Python Workers, in each posture that this machine offers."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from sluice.isolate.cpython import files_of
from sluice.isolate.launchers import posture_for
from sluice.isolate.sandbox import trial
from sluice.isolate.sandbox.guest import Guest, find_guest
from sluice.isolate.sandbox.launcher import Launched, Launcher, read_pipe
from sluice.isolate.sandbox.machine import survey
from sluice.isolate.sandbox.posture import Kind, Posture, choose
from sluice.isolate.workerd import find_workerd
from sluice.mesh.env import SettingError
from sluice.pb import worker_pb2

MEMORY = 192 << 20
SOURCE = b"""
import os, sys
from workers import Response

async def on_fetch(request, env, ctx):
    return Response("ok")

def denied(attempt, *arguments):
    try:
        return attempt(*arguments)
    except OSError as error:
        return error.__class__.__name__

print("loaded", denied(os.listdir, "/etc"), sys.path)
"""


@pytest.fixture(scope="module")
def guest() -> Guest:
    """The interpreter and the guest's packages, looked up once."""
    return find_guest()


@pytest.fixture(
    params=["namespaces", "namespaces and uids", "landlock", "landlock and uids", "executed"],
)
def posture(request: pytest.FixtureRequest, run_folder: Path, guest: Guest) -> Posture:
    """Skips, with the reason, what this machine does not offer."""
    wanted, _, uids = request.param.partition(" and ")
    run_folder.chmod(0o711)
    machine = survey(find_workerd({}), run_folder)
    try:
        offered = choose(
            "landlock" if wanted == "landlock" else "bubblewrap", unsafe=False, machine=machine
        )
    except SettingError as error:
        pytest.skip(str(error))
    # Bubblewrap's wants another Python to be reachable; here it is the guest's.
    offered = posture_for(guest, replace(offered, uids=not machine.uids))
    if wanted == "executed":  # as on a kernel without Landlock
        return Posture(Kind.BUBBLEWRAP)
    if not offered.landlock:
        pytest.skip("this kernel has no Landlock")
    if uids and not offered.uids:
        pytest.skip("the interpreter is in a folder that is closed to others")
    return replace(offered, uids=bool(uids))


@pytest.fixture
async def launcher(posture: Posture, guest: Guest) -> AsyncIterator[Launcher]:
    """Starts the guest in that posture."""
    launcher = Launcher(posture, guest, MEMORY)
    yield launcher
    await launcher.aclose()


async def start(launcher: Launcher, folder: Path, name: str = "w") -> Launched:
    """A Python Worker in a folder of its own, that has loaded."""
    module = worker_pb2.Module(name="main.py", kind=worker_pb2.Module.KIND_PYTHON, content=SOURCE)
    own = folder / name
    (own / "modules").mkdir(parents=True, mode=0o700)
    bundle = worker_pb2.Bundle(main_module="main.py", modules=[module])
    for file, content in files_of(bundle, "user").items():
        (own / file).write_bytes(content)
    broker, far = socket.socketpair()
    with broker, far, socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(own / "in.sock"))
        listener.listen()
        launched = await launcher.launch([], own, listener, broker=far)
    reader, writer = await asyncio.open_unix_connection(str(own / "in.sock"))
    writer.write(b"GET http://a.test/ HTTP/1.1\r\nhost: a.test\r\nx-sluice-token: t\r\n\r\n")
    assert (await reader.readline()).startswith(b"HTTP/1.1 200")
    writer.close()
    return launched


async def ended(launched: Launched) -> str:
    """Kill it. What it had printed."""
    os.kill(launched.pid, signal.SIGKILL)
    assert await launched.exited == -signal.SIGKILL
    return (await read_pipe(launched.output)).decode()


async def test_no_escape(launcher: Launcher, run_folder: Path) -> None:
    """Nothing gets out, by the probe in the very same fork, whatever the posture leaves open."""
    tried, succeeded = await trial.succeeded(launcher, run_folder)
    assert succeeded == launcher.gaps == set()
    assert tried > 145


async def test_no_descriptor_but_its_own(launcher: Launcher, run_folder: Path) -> None:
    """It has its three, the listener and the broker, the first that it opens itself being next."""
    launched = await start(launcher, run_folder)
    inherited = Path(f"/proc/{launched.pid}/fd")
    kinds = {number: (inherited / number).readlink().name for number in "01234"}
    assert kinds.pop("0") == "null"
    assert [kinds[number].split(":")[0] for number in "1234"] == [
        "pipe",
        "pipe",
        "socket",
        "socket",
    ]
    assert (inherited / "5").readlink().name.startswith("anon_inode:[eventpoll]")
    await ended(launched)


async def test_it_is_as_it_should_be(launcher: Launcher, run_folder: Path) -> None:
    """Under the filter, without privileges, bounded, and the first to go when memory ends."""
    launched = await start(launcher, run_folder)
    process = Path(f"/proc/{launched.pid}")
    status = dict(line.split(":\t") for line in (process / "status").read_text().splitlines())
    limits = (process / "limits").read_text()
    assert status["Seccomp"] == "2"
    assert status["NoNewPrivs"] == "1"
    assert {status[f"Cap{kind}"].strip("0") for kind in ("Inh", "Prm", "Eff", "Amb")} == {""}
    assert (process / "oom_score_adj").read_text() == "900\n"
    assert (int(status["Uid"].split()[0]) != os.getuid()) is launcher.posture.uids
    space = next(line for line in limits.splitlines() if line.startswith("Max address space"))
    assert MEMORY < int(space.split()[3]) < MEMORY + (256 << 20)
    printed = await ended(launched)
    assert printed.startswith(("loaded PermissionError", "loaded FileNotFoundError"))
    assert "site-packages" not in printed.replace("python_modules", "")


async def test_namespaces(launcher: Launcher, run_folder: Path) -> None:
    """With namespaces, network, IPC, mounts and users are its own; so with bubblewrap."""
    launched = await start(launcher, run_folder)
    own, ours = (_namespaces(str(process)) for process in (launched.pid, "self"))
    is_apart = launcher.posture.namespaces or launcher.posture.kind is Kind.BUBBLEWRAP
    assert len(own & ours) == (0 if is_apart else len(own))
    await ended(launched)


def _namespaces(process: str) -> set[str]:
    kinds = ("net", "ipc", "mnt", "user")
    return {str(Path(f"/proc/{process}/ns/{kind}").readlink()) for kind in kinds}


async def test_descriptors(launcher: Launcher, run_folder: Path) -> None:
    """A second Worker has no descriptor more than a first, and the zygote none of either."""
    counts = []
    for name in ("a", "b", "c"):
        launched = await start(launcher, run_folder, name)
        counts.append(len(list(Path(f"/proc/{launched.pid}/fd").iterdir())))
        await ended(launched)
        assert launcher._zygote is not None
        counts[-1] += 1000 * len(list(Path(f"/proc/{launcher._zygote.pid}/fd").iterdir()))
    assert len(set(counts)) == 1


async def test_the_zygote_dies(launcher: Launcher, run_folder: Path) -> None:
    """Where the zygote is killed its processes end, and the next launch has a new one."""
    launched = await start(launcher, run_folder)
    assert launcher._zygote is not None
    launcher._zygote.kill()
    async with asyncio.timeout(5):
        assert await launched.exited == -signal.SIGKILL
        await read_pipe(launched.output)
    await ended(await start(launcher, run_folder, "again"))


async def test_a_guest_that_does_not_load(run_folder: Path, guest: Guest) -> None:
    """A zygote that cannot import the guest fails the launch at once, and not by its deadline."""
    broken = replace(guest, paths=(str(run_folder), str(run_folder)))
    launcher = Launcher(Posture(Kind.NONE), broken, MEMORY)
    with socket.socket(socket.AF_UNIX) as listener, pytest.raises(Exception, match="zygote"):
        async with asyncio.timeout(5):
            await launcher.launch([], run_folder, listener)
    await launcher.aclose()


def test_what_workers_may_read(guest: Guest) -> None:
    """The interpreter, its library, and what they are linked with; nothing of the machine's."""
    assert str(Path(os.__file__).parent) in guest.read_only
    for path in guest.read_only:
        assert path.startswith(
            (sys.base_prefix, "/lib", "/usr/lib", "/usr/share/zoneinfo", "/usr/local/lib")
        )
