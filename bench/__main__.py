"""`python -m bench`: measure the mesh beside the plain chain, in turns, and print the ratios."""

from __future__ import annotations

import contextlib
import json
import pstats
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click

from bench import generators, report, workerd
from bench.child import HOST
from bench.generators import Generator
from bench.measure import Sample, measure, order
from bench.mesh import Mesh

SERVICES = ("dispatcher", "userworker", "outbound")
GENERATORS = {"own": generators.own, "wrk": generators.wrk}
MESH, BESIDE, PLAIN = "mesh", "beside", "plain"
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
    "--beside",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Measure the services of another checkout, too.",
)
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
    beside: Path | None,
    profile: str | None,
) -> None:
    """Run the benchmark."""
    load = GENERATORS[generator]
    with tempfile.TemporaryDirectory(prefix="sluice-bench-") as name:
        folder = Path(name)
        if profile:
            _profile(folder, profile, connections[-1], seconds, load)
            return
        meshes = [Mesh(MESH)] + ([Mesh(BESIDE, beside)] if beside else [])
        samples = _samples(folder, meshes, rounds, seconds, connections, load)
    if as_json:
        print(json.dumps([asdict(sample) for sample in samples], indent=1))
        return
    for mesh in meshes:
        print(report.text(samples, mesh.name, PLAIN))
    if beside:
        print(report.text(samples, MESH, BESIDE))


def _samples(
    folder: Path,
    meshes: Sequence[Mesh],
    rounds: int,
    seconds: float,
    connections: tuple[int, ...],
    generator: Generator,
) -> list[Sample]:
    with contextlib.ExitStack() as stack:
        port, origin = stack.enter_context(workerd.origin(folder))
        chains = []
        for mesh in meshes:
            own = folder / mesh.name
            own.mkdir()
            chains.append(stack.enter_context(mesh.running(own, port)))
        chains.append(stack.enter_context(workerd.plain(folder, f"http://{HOST}:{port}")))
        for chain in chains:
            chain.check()
            generator(chain.port, connections[-1], WARM_UP)
        return [
            _said(measure(chain, origin, generator, count, seconds, round_))
            for round_, count, chain in order(chains, connections, rounds)
        ]


def _said(sample: Sample) -> Sample:
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
    mesh = Mesh(MESH, profiled=service)
    with workerd.origin(folder) as (port, _), mesh.running(folder, port) as chain:
        chain.check()
        generator(chain.port, connections, seconds)
    profile = pstats.Stats(str(mesh.profile_file(folder)))
    profile.strip_dirs().sort_stats("tottime").print_stats(50)


if __name__ == "__main__":
    main()
