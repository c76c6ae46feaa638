"""What a process prints: within its budget line by line, over it counted."""

from __future__ import annotations

import asyncio

import pytest

from sluice.isolate.console import LINE, Budget, Console

RATE = 1024
"""With what four seconds leave, and 128 for each line: 28 lines of 18 bytes."""


class Pipe(asyncio.ReadTransport):
    """A transport that says whether it is read."""

    paused = False

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False


class Heard:
    """A console, and what it passed on."""

    def __init__(self, rate: int = RATE) -> None:
        self.lines: list[str] = []
        self.dropped: list[int] = []
        self.said = asyncio.Event()
        self.pipe = Pipe()
        self.console = Console(rate, self.lines.append, self._drop)
        self.console.connection_made(self.pipe)

    def _drop(self, count: int) -> None:
        self.dropped.append(count)
        self.said.set()


def test_budget_refills() -> None:
    """Four seconds' worth may be used at once, then so much a second."""
    budget = Budget(10)
    assert budget.take(40, 100.0)
    assert not budget.take(1, 100.0)
    assert budget.take(10, 101.0)
    assert not budget.take(11, 102.0)
    assert budget.take(40, 1000.0)
    assert not budget.take(1, 1000.0)


@pytest.mark.parametrize("size", [1, 2, 7, 100])
async def test_lines_in_any_pieces(size: int) -> None:
    """Lines are the same however they come; the last needs no end."""
    heard = Heard(1 << 20)
    text = b"one\n\ntwo\r\nth\xc3\xa9\n\xff\nlast"
    for at in range(0, len(text), size):
        heard.console.data_received(text[at : at + size])
    heard.console.connection_lost(None)
    assert heard.lines == ["one", "", "two", "thé", "\ufffd", "last"]
    assert heard.dropped == []
    await heard.console.ended


@pytest.mark.parametrize("size", [1000, 70_000, 1 << 20])
async def test_giant_line_is_cut(size: int) -> None:
    """Of a line without end its beginning is passed on; the rest is counted, and the next line whole."""
    heard = Heard(1 << 20)
    text = b"x" * 1_000_000 + b"\nnext\n"
    for at in range(0, len(text), size):
        heard.console.data_received(text[at : at + size])
    heard.console.connection_lost(None)
    assert heard.lines == ["x" * LINE, "next"]
    assert heard.dropped == [1_000_000 - LINE]


async def test_flood_is_dropped_and_counted() -> None:
    """Over the budget all is dropped, within a line too, and what was passed and dropped adds up."""
    heard = Heard()
    sent = 0
    for number in range(1000):
        piece = f"line {number:04} of 1000".encode()
        heard.console.data_received(piece + b"\nbegun ")
        sent += len(piece) + 7
    passed = sum(len(line) + 1 for line in heard.lines)
    heard.console.connection_lost(None)
    assert 20 < len(heard.lines) < 40
    assert heard.dropped == [sent - passed]


async def test_goes_on_after_a_second() -> None:
    """The next second says how much was dropped, and passes on whole lines again."""
    heard = Heard(64 * 1024)
    heard.console.data_received(b"x\n" * 100_000 + b"half of ")
    passed = len(heard.lines)
    assert heard.dropped == []
    await asyncio.wait_for(heard.said.wait(), 5)
    assert heard.dropped == [200_008 - 2 * passed]
    heard.console.data_received(b"a line\nwhole\n")
    assert heard.lines[passed:] == ["whole"]
    heard.console.connection_lost(None)
    assert heard.dropped[1:] == [len("a line\n")]


async def test_flood_is_not_read() -> None:
    """A process that prints megabytes a second waits for the second's end; one that is gone does not."""
    heard = Heard()
    for _ in range(100):
        heard.console.data_received(b"x" * 262_144)
    assert heard.pipe.paused
    await asyncio.wait_for(heard.said.wait(), 5)
    assert not heard.pipe.paused
    heard.console.finish()
    for _ in range(100):
        heard.console.data_received(b"x" * 262_144)
    assert not heard.pipe.paused
    heard.console.connection_lost(None)


async def test_tail_is_kept() -> None:
    """The last bytes are kept, dropped or not: they say why a process died."""
    heard = Heard()
    heard.console.data_received(b"x" * 1_000_000)
    heard.console.data_received(b"\nout of memory\n")
    assert heard.console.tail.endswith(b"x\nout of memory\n")
    assert len(heard.console.tail) == 32 * 1024
    heard.console.connection_lost(None)
