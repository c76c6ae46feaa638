from __future__ import annotations

import asyncio
import os
import resource
import signal
import socket
from pathlib import Path

import pytest

from sluice.isolate.sandbox.launcher import Launched, Launcher, read_pipe
from sluice.isolate.workerd import find_workerd

CONFIG = """using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
    (name = "worker", worker = (
      serviceWorkerScript = "addEventListener('fetch', () => {})", compatibilityDate = "2026-01-01")),
    (name = "internet", external = (address = "unix:egress.sock", http = ())),
  ],
  sockets = [(name = "in", http = (), service = "worker")],
);
"""
WORKERD = str(find_workerd({}))


async def start(launcher: Launcher, folder: Path, *arguments: str) -> Launched:
    """Workerd with those arguments, in a folder of its own."""
    own = folder / f"w{len(list(folder.iterdir()))}"
    own.mkdir(mode=0o700)
    (own / "c.capnp").write_text(CONFIG)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(own / "in.sock"))
        listener.listen()
        return await launcher.launch([WORKERD, *arguments], own, listener)


SERVE = ("serve", "c.capnp", "--socket-fd=in=3")


async def served(launched: Launched, folder: Path) -> None:
    """Wait until the process accepts a connection: until then it is still to load."""
    reader, writer = await asyncio.open_unix_connection(str(folder / "in.sock"))
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (await reader.readline()).startswith(b"HTTP/1.1 500")
    writer.close()
    assert not launched.exited.done()


async def test_status_and_output(launcher: Launcher, run_folder: Path) -> None:
    """How a process ended is told, and what it printed can be read to the end."""
    launched = await start(launcher, run_folder, "--version")
    assert (await read_pipe(launched.output)).startswith(b"workerd 20")
    assert await launched.exited == 0


async def test_with_many_descriptors(launcher: Launcher, run_folder: Path) -> None:
    """A zygote starts, and starts processes, also where its service has thousands of descriptors."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 4096)), hard))
    held = [os.open(os.devnull, os.O_RDONLY) for _ in range(2000)]
    try:
        launched = await start(launcher, run_folder, "--version")
        assert (await read_pipe(launched.output)).startswith(b"workerd 20")
        assert await launched.exited == 0
    finally:
        for descriptor in held:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_a_failed_start_says_why(launcher: Launcher, run_folder: Path) -> None:
    """A program that cannot be run ends with a status, and says so where a Worker's output goes."""
    own = run_folder / "own"
    own.mkdir()
    with socket.socket(socket.AF_UNIX) as listener:
        launched = await launcher.launch(["/no/such/program"], own, listener)
    assert b"No such file" in await read_pipe(launched.output)
    assert await launched.exited > 0


async def test_the_pid_is_the_process(launcher: Launcher, run_folder: Path) -> None:
    """What is killed, measured and admitted to sockets is the process, not what started it."""
    launched = await start(launcher, run_folder, *SERVE)
    await served(launched, run_folder / "w0")
    assert Path(f"/proc/{launched.pid}/cmdline").read_bytes().startswith(WORKERD.encode() + b"\0")
    os.kill(launched.pid, signal.SIGKILL)
    assert await launched.exited == -signal.SIGKILL
    launched.output.close()


async def test_it_is_as_it_should_be(launcher: Launcher, run_folder: Path) -> None:
    """The process is under the filter, without privileges, and the first to go when memory ends."""
    launched = await start(launcher, run_folder, *SERVE)
    await served(launched, run_folder / "w0")
    process = Path(f"/proc/{launched.pid}")
    status = dict(line.split(":\t") for line in (process / "status").read_text().splitlines())
    assert status["Seccomp"] == "2"
    assert status["NoNewPrivs"] == "1"
    assert {status[f"Cap{kind}"].strip("0") for kind in ("Inh", "Prm", "Eff", "Amb")} == {""}
    assert (process / "oom_score_adj").read_text() == "900\n"
    assert (int(status["Uid"].split()[0]) != os.getuid()) is launcher.posture.uids
    launched.output.close()


async def test_uids_are_not_shared(launcher: Launcher, run_folder: Path) -> None:
    """Two processes have two uids, and one that ended leaves its own for another."""
    if not launcher.posture.uids:
        pytest.skip("this posture has no uids")
    first, second = [await start(launcher, run_folder, *SERVE) for _ in range(2)]
    for number, launched in enumerate((first, second)):
        await served(launched, run_folder / f"w{number}")
    uids = {Path(f"/proc/{one.pid}").stat().st_uid for one in (first, second)}
    assert len(uids) == 2
    assert uids.isdisjoint(launcher._uids)
    for launched in (first, second):
        os.kill(launched.pid, signal.SIGKILL)
        await launched.exited
        launched.output.close()
    assert uids <= set(launcher._uids)


async def test_the_zygote_dies(launcher: Launcher, run_folder: Path) -> None:
    """Where the zygote is killed its processes end, and the next launch has a new one."""
    launched = await start(launcher, run_folder, *SERVE)
    await served(launched, run_folder / "w0")
    assert launcher._zygote is not None
    launcher._zygote.kill()
    async with asyncio.timeout(5):
        assert await launched.exited == -signal.SIGKILL
        await read_pipe(launched.output)  # ends when the last holder of the pipe has ended
    again = await start(launcher, run_folder, "--version")
    assert await again.exited == 0
    again.output.close()


async def test_nothing_outlives_the_launcher(launcher: Launcher, run_folder: Path) -> None:
    """Closing ends every process."""
    launched = await start(launcher, run_folder, *SERVE)
    await launcher.aclose()
    async with asyncio.timeout(5):
        await read_pipe(launched.output)
        assert await launched.exited == -signal.SIGKILL


async def test_descriptors_are_given_back(launcher: Launcher, run_folder: Path) -> None:
    """Neither the service nor the zygote holds on to anything of a process that ended."""

    async def once() -> list[int]:
        launched = await start(launcher, run_folder, "--version")
        await read_pipe(launched.output)
        await launched.exited
        assert launcher._zygote is not None
        folders = [Path(f"/proc/{pid}/fd") for pid in ("self", launcher._zygote.pid)]
        return [len(list(folder.iterdir())) for folder in folders]

    before = await once()
    assert [await once() for _ in range(5)] == [before] * 5
