"""Run the quickstart, send requests, and show what happens at each hop: `make demo`.

Exits with 0 only if all that the seed promises holds, else with 1, naming what does not.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from pathlib import Path

import aiohttp
import claims
from claims import Visit
from origin import JWT_KEY, Origin, verified
from report import Report
from sluice_dev import SluiceDev, sluice_dev
from trace_tree import trace_with

SECONDS = 60
"""The whole demo takes no longer."""

HERE = Path(__file__).parent
LOG_SERVICE = "logs.example.com"

VISITS = {
    "api": "asks the platform's API, and has no credentials",
    "acme": "fetches from somewhere else",
    "faulty": "throws",
    "unknown": "is the name of no customer",
}
FETCHING = ("api", "acme")
"""Those that make a subrequest."""


async def visit(dev: SluiceDev, origin: Origin, customer: str) -> Visit:
    """Send a request to a customer's Worker, and wait for what it causes."""
    before, logged = len(origin.received), len(origin.to(LOG_SERVICE))
    answer = await dev.get(f"{customer}.example.com")
    marker = f" production/{customer} -> "
    if customer in FETCHING:
        await origin.wait(LOG_SERVICE, logged + 1)
        await dev.line(lambda line: marker in line)
    caused = origin.received[before:]
    return Visit(
        customer,
        answer,
        logged=[received for received in caused if received.host == LOG_SERVICE],
        fetched=[received for received in caused if received.host != LOG_SERVICE],
        egress=[line for line in dev.lines if marker in line],
    )


def show(report: Report, visit: Visit) -> None:
    """Print what was seen at each hop, and whether it is as promised."""
    report.heading(f"GET http://{visit.customer}.example.com/", VISITS[visit.customer])
    for received in visit.fetched:
        report.seen("origin", str(received))
        if received.authorization:
            report.seen("", told_by(received.authorization.removeprefix("Bearer ")))
    for received in visit.logged:
        report.seen("log service", str(received))
    for line in visit.egress:
        report.seen("egress log", line)
    report.seen("client", f"{visit.answer.status}  {visit.answer.body or '(empty)'}")
    report.check(visit.customer, claims.OF_CUSTOMER[visit.customer](visit))


def told_by(token: str) -> str:
    """What a JWT says, in words."""
    try:
        return f"the JWT says {verified(token, JWT_KEY)}"
    except ValueError as error:
        return f"no JWT of ours: {error}"


async def play(report: Report, ca_file: Path) -> None:
    """Start everything, visit every customer, stop everything."""
    start = time.monotonic()
    report.heading("sluice dev", "starts the dispatcher, userworker and outbound services")
    async with (
        Origin(ca_file) as origin,
        sluice_dev(HERE, ca_file, ["--traces", *origin.options]) as dev,
    ):
        for line in dev.lines:
            report.line(line)
        report.line(f"(after {time.monotonic() - start:.1f} s)")
        for customer in VISITS:
            show(report, await visit(dev, origin, customer))
        await dev.line(_is_api_call)  # a trace is printed when it has been quiet for a second
    report.heading("Trace", "of the first request")
    trace = trace_with(dev.lines, _is_api_call)
    for line in trace:
        report.line(line)
    report.check("trace", claims.of_trace(trace))
    report.heading("Ctrl-C")
    report.check("stop", iter([("sluice dev stopped with exit code 0", dev.exit_code == 0)]))


def _is_api_call(line: str) -> bool:
    """Whether a line is the span of the call that the first request leads to."""
    return f"={claims.API_CALL}" in line


async def play_in_time(report: Report, ca_file: Path) -> None:
    """Play, and be done in time whatever happens."""
    try:
        async with asyncio.timeout(SECONDS):
            await play(report, ca_file)
    except (TimeoutError, OSError, aiohttp.ClientError) as error:
        report.failed.append(str(error) or f"not done after {SECONDS} s")


def main() -> int:
    """Play the demo. Returns the exit code."""
    report = Report()
    with tempfile.TemporaryDirectory(prefix="sluice-demo-") as folder:
        try:
            asyncio.run(play_in_time(report, Path(folder, "ca.pem")))
        except KeyboardInterrupt:
            return 130
    return report.end()


if __name__ == "__main__":
    sys.exit(main())
