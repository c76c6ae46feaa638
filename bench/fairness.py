"""`python -m bench.fairness`: ten customers alone, and beside two that take all they get.

Quiet and noisy turns take turns on one mesh. In a noisy one a customer loops for ever, and one
makes subrequests for ever. Then: how soon a customer who broke a limit is served again.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click

from bench import child, cpu, pressure, sources, workerd
from bench.mesh import Mesh, deploy, script
from bench.paced import Paced
from bench.recovery import Recovery, recover, workers

CUSTOMERS = [f"customer-{number}" for number in range(10)]
LOOP = "export default { fetch() { for (;;); } }"
FLOOD = """export default { async fetch() {
  const flood = async () => { for (;;) await (await fetch("%s")).arrayBuffer(); };
  await Promise.all([1, 2, 3, 4, 5, 6].map(flood)); } }"""
BREAKING = """const hold = [];
export default { fetch(request) {
  if (new URL(request.url).pathname !== "/break") return new Response("ok");
  for (;;) %s } }"""
NOISY = ("loop", "flood")
LIMITS = ("cpu", "memory")
_BUSY = 0.1  # of a core


@click.command(help=__doc__)
@click.option("--rounds", default=6, show_default=True, help="Turns of each kind.")
@click.option("--seconds", default=10.0, show_default=True, help="Length of a turn.")
@click.option("--rate", default=5.0, show_default=True, help="Requests a second of a customer.")
@click.option(
    "--noise", type=click.Choice(NOISY), default=NOISY, multiple=True, help="May be repeated."
)
@click.option("--breaches", default=10, show_default=True, help="Of each limit.")
def main(rounds: int, seconds: float, rate: float, noise: tuple[str, ...], breaches: int) -> None:
    """Measure."""
    with tempfile.TemporaryDirectory(prefix="sluice-bench-") as name, _mesh(Path(name)) as running:
        running.paced(3.0, rate)
        turns: dict[str, list[Paced]] = {"quiet": [], "noisy": []}
        for round_ in range(rounds):
            for kind in turns if round_ % 2 == 0 else reversed(turns):
                with running.noise(noise if kind == "noisy" else ()):
                    turns[kind].append(running.paced(seconds, rate))
                print(
                    f"round {round_ + 1}, {pressure.line(kind, turns[kind][-1:])}", file=sys.stderr
                )
        recoveries = {limit: running.recoveries(limit, breaches) for limit in LIMITS}
    print(pressure.text(turns["quiet"], turns["noisy"], recoveries))


@dataclass(frozen=True, slots=True)
class Running:
    """A mesh with all customers deployed."""

    port: int
    userworker: int
    """The process that runs user Workers."""

    def paced(self, seconds: float, rate: float) -> Paced:
        """The ten customers, at a steady pace."""
        hosts = [f"{name}.example.com" for name in CUSTOMERS]
        argv = [sys.executable, "-m", "bench.paced", str(self.port), str(seconds), str(1 / rate)]
        done = subprocess.run(
            [*argv, *hosts], stdout=subprocess.PIPE, check=True, timeout=seconds + 60
        )
        return Paced(**json.loads(done.stdout))

    @contextlib.contextmanager
    def noise(self, names: tuple[str, ...]) -> Iterator[None]:
        """The noisy customers, asked again and again. Nothing of it is left afterwards."""
        hosts = [f"{name}.example.com" for name in names]
        argv = [sys.executable, "-m", "bench.noise", str(self.port), *hosts]
        process = subprocess.Popen(argv)
        try:
            yield
        finally:
            process.terminate()
            process.wait()
            self._end_busy()

    def _end_busy(self) -> None:
        """End isolates that go on: a loop whose client has left may use CPU for its whole limit."""
        while busy := _busy(workers(self.userworker)):
            for pid in busy:
                os.kill(pid, signal.SIGKILL)

    def recoveries(self, limit: str, times: int) -> list[Recovery]:
        """Break a limit so many times."""
        host = f"breaks-{limit}.example.com"
        return [asyncio.run(recover(self.port, host, self.userworker)) for _ in range(times)]


def _busy(pids: set[int]) -> list[int]:
    before = _seconds(pids)
    time.sleep(1)
    after = _seconds(pids)
    return [pid for pid in after if after[pid] - before.get(pid, 0) > _BUSY]


def _seconds(pids: set[int]) -> dict[int, float]:
    """CPU time by process, of those that are there."""
    found = {}
    for pid in pids:
        with contextlib.suppress(OSError):
            found[pid] = cpu.seconds(pid)
    return found


@contextlib.contextmanager
def _mesh(folder: Path) -> Iterator[Running]:
    with (
        workerd.origin(folder) as (origin, _),
        Mesh("mesh").services(folder, origin) as (ports, services),
    ):
        url = f"http://{child.HOST}:{origin}"
        sources.write(folder, url)
        user = script((folder / "user" / "index.js").read_text())
        customers = {
            **dict.fromkeys(CUSTOMERS, user),
            "loop": script(LOOP),
            "flood": script(FLOOD % url),
            "breaks-cpu": script(BREAKING % ";"),
            "breaks-memory": script(BREAKING % "hold.push(new Array(1e5).fill(hold.length));"),
        }
        customers["breaks-cpu"].limits.cpu_ms = 100
        asyncio.run(deploy(ports, folder, customers))
        yield Running(ports.http, services["userworker"])


if __name__ == "__main__":
    main()
