"""`sluice dev` as a child process: started, asked, read, stopped."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import aiohttp

SLUICE = Path(sys.executable).with_name("sluice")

CONFIGS = ("dispatch/wrangler.toml", "outbound/wrangler.toml")
"""The dispatch Worker and the Outbound Worker of most examples."""

START = 30.0
"""Seconds until it has to be ready."""

STOP = 15.0
"""Seconds that it has to stop after Ctrl-C."""


class Answer(NamedTuple):
    """What a client got."""

    status: int
    body: str


class SluiceDev:
    """One run of `sluice dev`. `lines` is all that it has printed."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.lines: list[str] = []
        self.exit_code: int | None = None
        self._process = process
        self._came = asyncio.Condition()
        self._url = ""

    async def ready(self) -> str:
        """The URL that it serves at, once it does."""
        line = await self.line(lambda line: line.startswith("Ready on "), START)
        self._url = line.removeprefix("Ready on ")
        return self._url

    async def get(self, host: str, path: str = "/") -> Answer:
        """Ask as a client of `host` would."""
        timeout = aiohttp.ClientTimeout(10)
        async with (
            aiohttp.ClientSession(timeout=timeout) as client,
            client.get(self._url + path, headers={"host": host}) as response,
        ):
            return Answer(response.status, await response.text())

    async def line(self, wanted: Callable[[str], object], seconds: float = 10) -> str:
        """The first line that is `wanted`, once it is printed. Raises `TimeoutError`."""

        def first() -> str | None:
            return next((line for line in self.lines if wanted(line)), None)

        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds), self._came:
                await self._came.wait_for(lambda: self.exit_code is not None or first())
        found = first()
        if found is None:
            printed = "\n  ".join(["sluice dev did not print what it should, but:", *self.lines])
            raise TimeoutError(printed)
        return found

    async def read(self) -> None:
        """Read what it prints, to its end."""
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            async with self._came:
                self.lines.append(line.decode().rstrip("\n"))
                self._came.notify_all()
        async with self._came:
            self.exit_code = await self._process.wait()
            self._came.notify_all()

    async def stop(self, reading: asyncio.Task[None]) -> None:
        """Press Ctrl-C; a second time, where it is slow to stop; then kill it."""
        for number in (signal.SIGINT, signal.SIGINT, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)
            done, _ = await asyncio.wait([reading], timeout=STOP)
            if done:
                break
        await reading


@contextlib.asynccontextmanager
async def sluice_dev(
    folder: Path, ca_file: Path, options: Sequence[str], configs: Sequence[str] = CONFIGS
) -> AsyncIterator[SluiceDev]:
    """Run the example in `folder`, which has `configs` and customers/."""
    process = await asyncio.create_subprocess_exec(
        *command(options, configs),
        cwd=folder,
        # A wide page, because a trace tree is cut at its edge.
        env=os.environ | {"SSL_CERT_FILE": str(ca_file), "COLUMNS": "400"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,  # a Ctrl-C of the terminal is for us to pass on
    )
    dev = SluiceDev(process)
    reading = asyncio.create_task(dev.read())
    try:
        await dev.ready()
        yield dev
    finally:
        await dev.stop(reading)


def command(options: Sequence[str], configs: Sequence[str] = CONFIGS) -> list[str]:
    """The command line that runs an example, in its folder."""
    return [
        *(str(SLUICE), "dev"),
        *(word for config in configs for word in ("-c", config)),
        *("--namespace", "production=customers", "--port", "0", "--grpc-port", "0"),
        *options,
    ]
