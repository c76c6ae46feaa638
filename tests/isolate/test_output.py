"""What Workers print is kept within bounds, whoever prints what."""

from __future__ import annotations

import sys

import pytest

from sluice.isolate.console import LINE
from sluice.isolate.output import KEPT_BYTES, KEPT_LINES, Output

ACME = ("production", "acme")


async def kept(output: Output) -> list[str]:
    """The lines at hand."""
    return [line.text async for line in output.follow(ACME, forever=False)]


async def test_the_last_lines_are_kept() -> None:
    """Ordinary lines are kept up to their number, the last ones in order."""
    output = Output()
    for number in range(KEPT_LINES + 3):
        output.add(ACME, "digest", f"{number:100}")
    lines = await kept(output)
    assert [int(line) for line in lines] == list(range(3, KEPT_LINES + 3))


@pytest.mark.parametrize(
    "text",
    ["x" * LINE, "\U0001f512" + "\ufffd" * (LINE - 4)],
    ids=["ASCII", "four bytes a character in memory"],
)
async def test_long_lines_are_few(text: str) -> None:
    """A Worker's lines take so much memory and no more; the longest one is kept."""
    output = Output()
    for _ in range(KEPT_LINES):
        output.add(ACME, "digest", text)
    lines = await kept(output)
    assert lines
    assert sum(map(sys.getsizeof, lines)) <= KEPT_BYTES
