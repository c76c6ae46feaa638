"""`python -m soak`: load the whole mesh for a while, kill its parts, and check what must hold.

In the first half isolates and services are killed, in the second only isolates, so that the
services' memory can be watched. Exit code 1 where a check fails.
"""

from __future__ import annotations

import asyncio
import random
import sys
import tempfile
from pathlib import Path

import click

from soak.run import Plan, run


@click.command(help=__doc__)
@click.option("--minutes", default=30.0, show_default=True)
@click.option("--seed", type=int, help="Of all that is random. Printed; chosen where not given.")
@click.option("--clients", default=8, show_default=True, help="Requests at a time.")
def main(minutes: float, seed: int | None, clients: int) -> None:
    """Soak."""
    chosen = random.randrange(2**32) if seed is None else seed
    print(f"seed {chosen}, {minutes:g} minutes, {clients} clients", flush=True)
    # A short name: a unix socket's path may have 107 bytes.
    with tempfile.TemporaryDirectory(prefix="sl-") as folder:
        checks = asyncio.run(run(Path(folder), Plan(minutes * 60, chosen, clients), _said))
    for check in checks:
        print(f"{'ok  ' if check.holds else 'FAIL'}  {check.what}: {check.figures}")
    sys.exit(not all(check.holds for check in checks))


def _said(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    main()
