"""Run the quickstart, send requests, and show what happens at each hop: `make demo`.

Exits with 0 only if all that the seed promises holds, else with 1, naming what does not.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from pathlib import Path

import claims
from claims import Claims, Visit
from origin import JWT_KEY, Origin, verified
from rich.console import Console
from rich.text import Text
from sluice_dev import SluiceDev, sluice_dev
from trace_tree import trace_with

SECONDS = 60
"""The whole demo takes no longer."""

HERE = Path(__file__).parent
LOG_SERVICE = "logs.example.com"

VISITS = {
    "api": "uses the platform's API, and has no credentials",
    "acme": "fetches from somewhere else",
    "faulty": "throws before it has answered",
    "unknown": "no customer has this name",
}
MAKES_A_SUBREQUEST = ("api", "acme")


class Report:
    """Prints, and remembers what does not hold."""

    def __init__(self) -> None:
        self.failed: list[str] = []
        self._count = 0
        self._console = Console(highlight=False, soft_wrap=True)

    def heading(self, title: str, note: str) -> None:
        """Begin a part."""
        self._console.print()
        self._console.print(Text.assemble((title, "bold"), f"  {note}"))

    def seen(self, hop: str, what: str) -> None:
        """Print what was seen at a hop."""
        self._console.print(Text.assemble((f"  {hop:12}", "cyan"), what))

    def held(self, about: str, held: Claims) -> None:
        """Print each claim, and whether it holds."""
        try:
            for claim, holds in held:
                self._count += 1
                self._console.print(Text(f"  {'✓' if holds else '✗'} {claim}", _style(holds)))
                if not holds:
                    self.failed.append(f"{about}: {claim}")
        except (LookupError, ValueError) as error:  # what a claim is about is missing
            self.failed.append(f"{about}: cannot be told: {error!r}")

    def end(self) -> int:
        """Print the sum. Returns the exit code."""
        self._console.print()
        for failure in self.failed:
            self._console.print(Text(f"✗ {failure}", "bold red"))
        if not self.failed:
            self._console.print(Text(f"All {self._count} claims hold.", "bold green"))
        return 1 if self.failed else 0


def _style(holds: bool) -> str:
    return "green" if holds else "bold red"


async def visit(dev: SluiceDev, origin: Origin, customer: str) -> Visit:
    """Send a request to a customer's Worker, and wait for what it causes."""
    before, logged = len(origin.received), len(origin.to(LOG_SERVICE))
    answer = await dev.get(f"{customer}.example.com")
    in_log = f" production/{customer} -> "
    if customer in MAKES_A_SUBREQUEST:
        await origin.wait(LOG_SERVICE, logged + 1)
        await dev.line(lambda line: in_log in line)
    caused = origin.received[before:]
    return Visit(
        customer,
        answer,
        logged=[received for received in caused if received.host == LOG_SERVICE],
        fetched=[received for received in caused if received.host != LOG_SERVICE],
        egress=[line for line in dev.lines if in_log in line],
    )


def show(report: Report, seen: Visit) -> None:
    """Print what was seen at each hop, and whether it is as promised."""
    report.heading(f"GET http://{seen.customer}.example.com/", VISITS[seen.customer])
    report.seen("client", f"{seen.answer.status}  {seen.answer.body or '(empty)'}".replace("\n", "  "))
    for received in seen.fetched:
        report.seen("origin", str(received))
        if received.authorization:
            report.seen("", f"the JWT says {verified(received.authorization[7:], JWT_KEY)}")
    for received in seen.logged:
        report.seen("log service", str(received))
    for line in seen.egress:
        report.seen("egress log", line)
    report.held(seen.customer, claims.OF_CUSTOMER[seen.customer](seen))


async def play(report: Report, folder: Path) -> None:
    """Start everything, visit every customer, stop everything."""
    ca_file = folder / "ca.pem"
    async with Origin(ca_file) as origin:
        async with sluice_dev(HERE, ca_file, ["--traces", *origin.options]) as dev:
            report.heading("$ " + "…", "")
            for customer in VISITS:
                show(report, await visit(dev, origin, customer))
            await dev.line(lambda line: f"={claims.API_CALL}" in line)
        trace = trace_with(dev.lines, lambda line: f"={claims.API_CALL}" in line)
    report.heading("The first request's trace", "")
    for line in trace:
        report.seen("", line)
    report.held("trace", claims.of_trace(trace))
    report.held("stop", iter([("Ctrl-C stopped it, with exit code 0", dev.exit_code == 0)]))


def main() -> int:
    """Play the demo. Returns the exit code."""
    report = Report()

    async def bounded(folder: Path) -> None:
        async with asyncio.timeout(SECONDS):
            await play(report, folder)

    with tempfile.TemporaryDirectory(prefix="sluice-demo-") as folder:
        try:
            asyncio.run(bounded(Path(folder)))
        except TimeoutError as error:
            report.failed.append(str(error) or f"not done after {SECONDS} s")
    return report.end()


if __name__ == "__main__":
    sys.exit(main())
