"""`python -m fuzz`: fuzz the targets in turn, and print what came of it.

Exit code 1 where anything was found. Inputs that reach new code are kept in the folder, and the
next run begins with them.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import click

from fuzz.process import Figures, fuzz
from fuzz.target import NAMES


@click.command(help=__doc__)
@click.option("--target", "names", type=click.Choice(NAMES), multiple=True, help="May be repeated.")
@click.option("--minutes", default=10.0, show_default=True, help="For each target.")
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(".fuzz"),
    show_default=True,
    help="Where inputs, findings and logs are kept.",
)
def main(names: tuple[str, ...], minutes: float, folder: Path) -> None:
    """Fuzz."""
    runs = [_fuzz(name, minutes, folder / name) for name in names or NAMES]
    for figures in runs:
        print(_line(figures))
    sys.exit(any(figures.findings for figures in runs))


def _fuzz(name: str, minutes: float, folder: Path) -> Figures:
    print(f"{time.strftime('%H:%M:%S')} {name}: {minutes:g} minutes in {folder}", flush=True)
    return fuzz(name, folder, minutes * 60)


def _line(figures: Figures) -> str:
    return (
        f"{figures.target:10} {figures.executions:>10,} executions in {figures.seconds:,.0f} s, "
        f"{figures.coverage:,} edges of Python code, {figures.corpus:,} inputs kept, "
        f"{figures.findings} findings"
    )


if __name__ == "__main__":
    main()
