"""`python -m bench.languages`: isolates of Python Workers beside those of JavaScript Workers.

The languages take turns. In a turn, isolates of one trivial Worker start one after the other, rest
and are weighed; then one of them, and one whose Worker makes a subrequest, are loaded.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import click
import uvloop

from bench.figures import Spread
from bench.isolates import Memory, Warm, isolates, memory

LANGUAGES = ("js", "py")
WORKERS = ("hello", "relay")
CONNECTIONS = (1, 16)
REST = 1.0
"""Seconds until isolates that were asked once are weighed."""

WARM_UP = 0.5
"""Seconds of load before what is measured: workerd compiles what is hot."""


@dataclass(frozen=True, slots=True)
class Turn:
    """What one language did in one round."""

    first: float
    """Seconds of the median cold start, from the request to the end of the answer."""
    memory: Memory
    """Of one isolate, the mean of all."""
    warm: Mapping[tuple[str, int], Warm]
    """By Worker and number of connections."""


@click.command(help=__doc__)
@click.option("--rounds", default=6, show_default=True, help="Turns of each language.")
@click.option("--seconds", default=1.5, show_default=True, help="Length of each of four loads.")
@click.option("--isolates", "count", default=8, show_default=True, help="Cold starts of a turn.")
def main(rounds: int, seconds: float, count: int) -> None:
    """Measure."""
    turns: dict[str, list[Turn]] = {language: [] for language in LANGUAGES}
    for round_ in range(rounds):
        for language in LANGUAGES if round_ % 2 == 0 else reversed(LANGUAGES):
            print(f"round {round_ + 1}, {language}", file=sys.stderr)
            turns[language].append(uvloop.run(_turn(language, seconds, count)))
    print(text(turns["js"], turns["py"]))


async def _turn(language: str, seconds: float, count: int) -> Turn:
    async with isolates(os.environ) as made:
        await made.start(f"hello.{language}")  # it waits for the sandbox to be tried
        started = [await made.start(f"hello.{language}") for _ in range(count)]
        await asyncio.sleep(REST)
        weights = [memory(each) for each in started]
        loaded = {"hello": started[-1], "relay": await made.start(f"relay.{language}")}
        warm = {}
        for worker in WORKERS:
            await made.load(loaded[worker], CONNECTIONS[-1], WARM_UP)
            for connections in CONNECTIONS:
                warm[worker, connections] = await made.load(loaded[worker], connections, seconds)
    return Turn(statistics.median(each.first for each in started), _mean(weights), warm)


def _mean(weights: Sequence[Memory]) -> Memory:
    return Memory(
        private=sum(each.private for each in weights) // len(weights),
        proportional=sum(each.proportional for each in weights) // len(weights),
    )


def text(js: Sequence[Turn], python: Sequence[Turn]) -> str:
    """Each figure of both, and their ratio within a round: min / median / max of the rounds."""
    head = f"{'min / median / max':<34}{'JavaScript':>24}{'Python':>24}{'Python ÷ JavaScript':>24}"
    return "\n".join([head, *(_line(*row, js, python) for row in _rows())])


def _rows() -> Iterator[tuple[str, str, Callable[[Turn], float]]]:
    """Name, format and value of each figure."""
    yield "cold start to the answer, ms", ".0f", lambda turn: turn.first * 1e3
    yield "idle: private memory, MB", ".1f", lambda turn: turn.memory.private / 1e6
    yield "idle: PSS, MB", ".1f", lambda turn: turn.memory.proportional / 1e6
    for worker in WORKERS:
        for count in CONNECTIONS:
            yield from _of_load(worker, count)


def _of_load(worker: str, count: int) -> Iterator[tuple[str, str, Callable[[Turn], float]]]:
    def of(value: Callable[[Warm], float]) -> Callable[[Turn], float]:
        return lambda turn: value(turn.warm[worker, count])

    name = f"{worker}, {count} at a time:"
    yield f"{name} p50, ms", ".2f", of(lambda warm: warm.p50 * 1e3)
    yield f"{name} requests/s", ",.0f", of(lambda warm: warm.rate)
    yield f"{name} its CPU, µs", ",.0f", of(lambda warm: warm.isolate_cpu)
    yield f"{name} host's CPU, µs", ",.0f", of(lambda warm: warm.host_cpu)


def _line(
    name: str,
    form: str,
    value: Callable[[Turn], float],
    js: Sequence[Turn],
    python: Sequence[Turn],
) -> str:
    ratios = Spread.of([value(p) / value(j) for j, p in zip(js, python, strict=True)])
    of_js, of_python = (Spread.of([value(turn) for turn in turns]) for turns in (js, python))
    cells = (_shown(of_js, form), _shown(of_python, form), _shown(ratios, ".2f"))
    return f"{name:<34}" + "".join(f"{cell:>24}" for cell in cells)


def _shown(spread: Spread, form: str) -> str:
    return f"{spread.least:{form}} / {spread.median:{form}} / {spread.most:{form}}"


if __name__ == "__main__":
    main()
