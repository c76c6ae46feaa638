"""`python -m bench`: measure the mesh beside the plain chain, in turns, and print the ratios."""

from __future__ import annotations

import json
import pstats
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

import click

from bench import generators, report, workerd
from bench.child import HOST
from bench.generators import Generator
from bench.measure import Sample, measure, order
from bench.mesh import mesh, profile_file

SERVICES = ("dispatcher", "userworker", "outbound")
GENERATORS = {"own": generators.own, "wrk": generators.wrk}
WARM_UP = 2.0
"""Seconds of load before the first round, for each chain: workerd compiles what is hot."""


@click.command(help=__doc__)
@click.option("--rounds", default=4, show_default=True, help="Turns that each chain has.")
@click.option("--seconds", default=4.0, show_default=True, help="Length of a turn.")
@click.option(
    "--connections", default=[1, 32], show_default=True, multiple=True, help="May be repeated."
)
@click.option("--load", "generator", type=click.Choice(list(GENERATORS)), default="own")
@click.option("--json", "as_json", is_flag=True, help="Print every sample as JSON.")
@click.option(
    "--profile",
    type=click.Choice(SERVICES),
    help="Load the mesh alone, with this service under cProfile, and print its top functions.",
)
def main(
    rounds: int,
    seconds: float,
    connections: tuple[int, ...],
    generator: str,
    as_json: bool,
    profile: str | None,
) -> None:
    """Run the benchmark."""
    with tempfile.TemporaryDirectory(prefix="sluice-bench-") as name:
        folder = Path(name)
        if profile:
            _profile(folder, profile, connections[-1], seconds, GENERATORS[generator])
            return
        samples = _samples(folder, rounds, seconds, connections, GENERATORS[generator])
    if as_json:
        print(json.dumps([asdict(sample) for sample in samples], indent=1))
    else:
        print(report.text(samples, "mesh", "plain"))


def _samples(
    folder: Path, rounds: int, seconds: float, connections: tuple[int, ...], generator: Generator
) -> list[Sample]:
    with (
        workerd.origin(folder) as (port, origin),
        workerd.plain(folder, f"http://{HOST}:{port}") as plain,
        mesh(folder, port) as whole,
    ):
        chains = (whole, plain)
        for chain in chains:
            chain.check()
            generator(chain.port, connections[-1], WARM_UP)
        return [
            _measured(measure(chain, origin, generator, count, seconds, round_))
            for round_, count, chain in order(chains, connections, rounds)
        ]


def _measured(sample: Sample) -> Sample:
    """Say on standard error that it goes on."""
    print(
        f"round {sample.round + 1}, {sample.chain}, {sample.connections} connections: "
        f"{sample.rate:,.0f} requests/s",
        file=sys.stderr,
    )
    return sample


def _profile(
    folder: Path, service: str, connections: int, seconds: float, generator: Generator
) -> None:
    with workerd.origin(folder) as (port, _), mesh(folder, port, service) as whole:
        whole.check()
        generator(whole.port, connections, seconds)
    profile = pstats.Stats(str(profile_file(folder, service)))
    profile.strip_dirs().sort_stats("tottime").print_stats(50)


if __name__ == "__main__":
    main()
