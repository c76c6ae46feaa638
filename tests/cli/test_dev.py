"""The command itself, with the real services and workerd; what it plans and prints is elsewhere."""

from __future__ import annotations

import asyncio
import os
import re
import select
import shutil
import signal
import socket
import sys
import tempfile
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from tests.cli.conftest import Sluice

DISPATCH = """
name = "dispatch"
main = "index.js"
compatibility_date = "2026-11-01"
dispatch_namespaces = [{binding = "customers", namespace = "production"}]
"""
DISPATCH_JS = """
export default {
  fetch(request, env) {
    return env.customers.get(new URL(request.url).host.split(".")[0]).fetch(request);
  },
};
"""
HELLO = 'export default { fetch() { console.log("asked"); return new Response("%s"); } };'
PYTHON_TOML = """
name = "shop"
main = "src/entry.py"
compatibility_date = "2026-11-01"
compatibility_flags = ["python_workers"]
"""
PYTHON = """
import logging
import prices, vendored
from workers import Response

async def on_fetch(request, env, ctx):
    print("asked")
    logging.warning("asked again")
    return Response(f"{prices.TODAY} {vendored.CURRENCY}")
"""
COMMAND = [sys.executable, "-c", "from sluice.cli.main import main; main()", "dev"]


@pytest.fixture
def platform(tmp_path: Path) -> Path:
    """A dispatch Worker and one customer."""
    (tmp_path / "dispatch").mkdir()
    (tmp_path / "dispatch/wrangler.toml").write_text(DISPATCH)
    (tmp_path / "dispatch/index.js").write_text(DISPATCH_JS)
    (tmp_path / "customers").mkdir()
    (tmp_path / "customers/acme.js").write_text(HELLO % "one")
    return tmp_path


@pytest.fixture
def temporary() -> Iterator[Path]:
    """A folder for temporary files with a short name: sockets are in it."""
    folder = Path(tempfile.mkdtemp(prefix="s-"))
    yield folder
    shutil.rmtree(folder)


class Dev:
    """A running `sluice dev`, and what it has printed."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.lines: list[str] = []
        self._changed = asyncio.Condition()
        self._reader = asyncio.create_task(self._read())

    async def line(self, pattern: str, after: int = 0) -> re.Match[str]:
        """The first line that matches, of those from number `after` on; it may be yet to come."""
        async with asyncio.timeout(40), self._changed:
            while True:
                for line in self.lines[after:]:
                    if match := re.search(pattern, line):
                        return match
                assert not self._reader.done(), "\n".join(self.lines)
                await self._changed.wait()

    async def get(self, host: str) -> tuple[int, str]:
        """Status and body of a request to a customer."""
        url = (await self.line(r"^Ready on (.*)$"))[1]
        async with (
            aiohttp.ClientSession() as session,
            session.get(url, headers={"host": host}) as response,
        ):
            return response.status, await response.text()

    async def stopped(self) -> int:
        """The exit code, once it has ended and all is read."""
        async with asyncio.timeout(40):
            await self._reader
            return await self.process.wait()

    async def _read(self) -> None:
        assert self.process.stdout
        async for line in self.process.stdout:
            async with self._changed:
                self.lines.append(line.decode().rstrip("\n"))
                self._changed.notify_all()
        async with self._changed:
            self._changed.notify_all()


@pytest.fixture
def environment(temporary: Path) -> dict[str, str]:
    """The environment of the command."""
    user = {k: v for k, v in os.environ.items() if not k.startswith(("SLUICE_", "OTEL_"))}
    return user | {"TMPDIR": str(temporary)}


@asynccontextmanager
async def running(folder: Path, environment: dict[str, str], *more: str) -> AsyncIterator[Dev]:
    """`sluice dev` on free ports. It is killed in the end, if it still runs."""
    process = await asyncio.create_subprocess_exec(
        *COMMAND,
        *("-c", "dispatch", "--namespace", "production=customers"),
        *("--port", "0", "--grpc-port", "0", *more),
        stdout=PIPE,
        stderr=STDOUT,
        cwd=folder,
        env=environment,
        start_new_session=True,
    )
    dev = Dev(process)
    try:
        yield dev
    finally:
        if process.returncode is None:
            process.kill()
        await dev.stopped()


def descendants(pid: int) -> dict[int, str]:
    """The processes below one, with their command lines."""
    below: dict[int, str] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if parent == pid:
            below |= {int(folder.name): command} | descendants(int(folder.name))
    return below


async def ended(pids: list[int]) -> None:
    """Wait until none of the processes is there."""
    for pid in pids:
        try:
            fd = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        readable, _, _ = await asyncio.to_thread(select.select, [fd], [], [], 20)
        os.close(fd)
        assert readable, f"process {pid} is still there"


async def test_life(platform: Path, environment: dict[str, str], temporary: Path) -> None:
    """It serves, follows the files, heals, and leaves nothing behind."""
    async with running(platform, environment) as dev:
        assert await dev.get("acme.example.com") == (200, "one")
        await dev.line(r"^\d\d:\d\d:\d\d production/acme \| asked$")
        await dev.line(r"^Try: curl -H 'Host: acme.example.com' http://127\.0\.0\.1:\d+/$")

        (platform / "customers/acme.js").write_text(HELLO % "two")
        await dev.line("^redeployed production/acme ")
        assert await dev.get("acme.example.com") == (200, "two")

        (platform / "customers/acme.js").write_text("import './nowhere.js'; export default {};")
        await dev.line("^error: customers/acme.js")
        assert await dev.get("acme.example.com") == (200, "two")

        before = descendants(dev.process.pid)
        (killed,) = (pid for pid, command in before.items() if "services.userworker" in command)
        isolates = list(descendants(killed))
        assert isolates
        os.kill(killed, signal.SIGKILL)
        await dev.line("^warning: the userworker service was killed by SIGKILL; starting it again$")
        await ended([killed, *isolates])
        async with asyncio.timeout(20):
            while await dev.get("acme.example.com") != (200, "two"):
                continue

        everything = list(descendants(dev.process.pid))
        assert len(everything) >= 3
        dev.process.send_signal(signal.SIGINT)
        assert await dev.stopped() == 0
        await ended(everything)
        assert list(temporary.glob("sluice-dev-*")) == []


async def test_python_customer(platform: Path, environment: dict[str, str]) -> None:
    """A project as pywrangler makes it: output, modules that change, and faults with their place."""
    shop = platform / "customers/shop"
    (shop / "src").mkdir(parents=True)
    (shop / "python_modules/vendored").mkdir(parents=True)
    (shop / "wrangler.toml").write_text(PYTHON_TOML)
    (shop / "pyproject.toml").write_text('[project]\nname = "shop"\n')
    (shop / "src/entry.py").write_text(PYTHON)
    (shop / "src/prices.py").write_text("TODAY = 7\n")
    (shop / "python_modules/vendored/__init__.py").write_text("CURRENCY = 'crowns'\n")
    (shop / "python_modules/pyvenv.cfg").touch()
    async with running(platform, environment) as dev:
        assert await dev.get("shop.example.com") == (200, "7 crowns")
        await dev.line(r"^\d\d:\d\d:\d\d production/shop \| asked$")
        await dev.line(r" production/shop \| WARNING:root:asked again$")

        for file, text in (
            ("src/prices.py", "TODAY = 8"),
            ("python_modules/vendored/__init__.py", "CURRENCY = 'pounds'"),
        ):
            (shop / file).write_text(text)
            seen = len(dev.lines)
            await dev.line("^redeployed production/shop ", seen)
        assert await dev.get("shop.example.com") == (200, "8 pounds")

        (shop / "src/prices.py").write_text("\nTODAY = (9\n")
        await dev.line(r"^error: shop/src/prices.py:2: SyntaxError: '\(' was never closed$")
        assert await dev.get("shop.example.com") == (200, "8 pounds")

        seen = len(dev.lines)
        (shop / "src/prices.py").write_text("\nTODAY = 1 / 0\n")
        await dev.line("^redeployed production/shop ", seen)
        assert (await dev.get("shop.example.com"))[0] == 500
        await dev.line(r' production/shop \|   File "prices.py", line 2, in <module>$')
        await dev.line(r" production/shop \| ZeroDivisionError: division by zero$")
        dev.process.send_signal(signal.SIGINT)
        assert await dev.stopped() == 0


async def test_stop_while_it_starts(
    platform: Path, environment: dict[str, str], temporary: Path
) -> None:
    """SIGTERM before it is ready stops it as well."""
    async with running(platform, environment) as dev:
        async with asyncio.timeout(20):
            while not (everything := await asyncio.to_thread(descendants, dev.process.pid)):
                continue
        dev.process.terminate()
        assert await dev.stopped() == 0
        await ended(list(everything))
        assert list(temporary.glob("sluice-dev-*")) == []
        assert not any(line.startswith("Ready") for line in dev.lines)


async def test_second_ctrl_c_kills(platform: Path, environment: dict[str, str]) -> None:
    """A drain that waits for a long request is cut short by a second Ctrl-C."""
    environment["SLUICE_DRAIN_GRACE"] = "60s"
    slow = "await new Promise((done) => setTimeout(done, 60_000)); return new Response();"
    (platform / "customers/acme.js").write_text(
        f'export default {{ async fetch() {{ console.log("asked"); {slow} }} }};'
    )
    async with running(platform, environment) as dev:
        asking = asyncio.create_task(dev.get("acme.example.com"))
        await dev.line("asked$")
        dev.process.send_signal(signal.SIGINT)
        await dev.line("^stopping$")
        everything = list(descendants(dev.process.pid))
        dev.process.send_signal(signal.SIGINT)
        async with asyncio.timeout(5):  # less than the ten seconds that a service has
            assert await dev.stopped() == 0
        await ended(everything)
        with pytest.raises(aiohttp.ClientError):
            await asking


async def test_nothing_outlives_it(platform: Path, environment: dict[str, str]) -> None:
    """Even when it is killed and can stop nothing itself, the services end."""
    async with running(platform, environment) as dev:
        await dev.get("acme.example.com")
        everything = list(descendants(dev.process.pid))
        dev.process.kill()
        await ended(everything)


async def test_traces_are_trees(platform: Path, environment: dict[str, str]) -> None:
    """With `--traces` each request is printed as a tree, across the services."""
    async with running(platform, environment, "--traces") as dev:
        await dev.get("acme.example.com")
        await dev.line(r"^trace [0-9a-f]{32}$")
        await dev.line(r"└── GET  dispatcher  [\d.]+ ms")
        await dev.line(r"└── .*UserWorkerService/Invoke  userworker  ")


async def test_registry_may_be_kept(platform: Path, environment: dict[str, str]) -> None:
    """With `--persist` a second run begins with what the first one had."""
    for _ in range(2):
        async with running(platform, environment, "--persist", "state") as dev:
            await dev.line("^deployed production/acme ")
            assert await dev.get("acme.example.com") == (200, "one")
            dev.process.send_signal(signal.SIGINT)
            assert await dev.stopped() == 0
    assert (platform / "state/registry.db").is_file()


async def test_service_that_cannot_start_is_told_of(
    platform: Path, environment: dict[str, str]
) -> None:
    """A wrong setting ends it with the service's own last words, and exit code 1."""
    environment["SLUICE_CPU_LIMIT"] = "long"
    async with running(platform, environment) as dev:
        assert await dev.stopped() == 1
    assert any("SLUICE_CPU_LIMIT: 'long' is not a duration" in line for line in dev.lines)
    assert re.fullmatch(r"error: the \w+ service exited with 2", dev.lines[-1])


async def test_taken_port_is_an_error(platform: Path, environment: dict[str, str]) -> None:
    """A port that is taken is one line, before anything is started."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        async with running(platform, environment, "--port", str(port)) as dev:
            assert await dev.stopped() == 1
    expected = rf"error: cannot listen on 127\.0\.0\.1:{port}: .*\(--port 0 takes a free port\)"
    assert re.fullmatch(expected, "\n".join(dev.lines))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Missing option '-c' / '--config'"),
        (["-c", "/nowhere"], "Path '/nowhere' does not exist"),
        (["-c", "/", "-n", "production"], "'production' is not NAME=DIR"),
        (["-c", "/", "-n", "production=/nowhere"], "/nowhere: no such folder"),
        (["-c", "/", "-n", "a=/tmp", "-n", "a=/etc"], "one dispatch namespace has one folder"),
        (["-c", "/", "--connect-to", "a.com"], "'--connect-to': 'a.com' is not of the form"),
        (["-c", "/", "--connect-to", "a:1:b:2,c:3:d:4"], "'--connect-to': 'a:1:b:2,c:3:d:4' is"),
        (["-c", "/", "--connect-to", "::b:99999"], "'--connect-to': '::b:99999': 99999 is no port"),
        (["-c", "/", "--allow-address", "10.0.0.1/8"], "'--allow-address': '10.0.0.1/8': "),
        (["-c", "/", "--allow-address", "localhost:80"], "'--allow-address': 'localhost:80': "),
    ],
)
async def test_bad_form_is_a_usage_error(run: Sluice, arguments: list[str], message: str) -> None:
    """What cannot be meant is refused, with what it should look like."""
    result = await run("dev", *arguments)
    assert result.exit_code == 2
    assert message in result.stderr


async def test_what_cannot_be_run_is_one_line(run: Sluice, platform: Path) -> None:
    """A config without dispatch namespaces is no dispatch Worker, and that is said."""
    result = await run("dev", "-c", str(platform / "customers/acme.js"))
    assert result.exit_code == 1
    assert result.stderr.startswith("error: no --config has [[dispatch_namespaces]]")
