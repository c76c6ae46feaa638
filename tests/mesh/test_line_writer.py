"""A reader that stalls costs lines, and no time."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator

import pytest

from sluice.mesh.line_writer import PATIENCE, LineWriter

LINE = b"x" * 999 + b"\n"


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """Both ends of a pipe, in blocking mode, as a container's log driver gives it."""
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


def notice(count: int) -> bytes:
    """What is said of lines that were dropped."""
    return b"dropped %d\n" % count


def test_stalled_reader(pipe: tuple[int, int]) -> None:
    """Ten thousand lines that nobody reads are over soon; what fits is whole, the rest is counted."""
    read, write = pipe
    writer = LineWriter(write, notice)
    start = time.monotonic()
    for _ in range(10_000):
        writer.write(LINE)
    assert time.monotonic() - start < 10 * PATIENCE
    kept = os.read(read, 1 << 20)
    writer.write(b"next\n")
    *lines, dropped, last = (kept + os.read(read, 1 << 20)).splitlines(keepends=True)
    assert set(lines) == {LINE}
    assert (dropped, last) == (notice(10_000 - len(lines)), b"next\n")


def test_line_cut_by_a_stall(pipe: tuple[int, int]) -> None:
    """A line that was begun is ended before any other, however long it is."""
    read, write = pipe
    writer = LineWriter(write, notice)
    long = b"y" * 500_000 + b"\n"
    writer.write(long)
    writer.write(b"lost\n")
    got = b""
    while not got.endswith(b"next\n"):
        got += os.read(read, 1 << 20)
        writer.write(b"next\n")
    assert got.startswith(long + b"dropped ")
    assert b"lost" not in got


def test_slow_reader_gets_all(pipe: tuple[int, int]) -> None:
    """A reader that stops for a moment shorter than the patience misses nothing."""
    read, write = pipe
    got = bytearray()

    def reading() -> None:
        time.sleep(PATIENCE / 5)
        while not got.endswith(b"end\n"):
            got.extend(os.read(read, 1 << 16))

    thread = threading.Thread(target=reading)
    thread.start()
    writer = LineWriter(write, notice)
    for _ in range(100):
        writer.write(LINE)
    writer.write(b"end\n")
    thread.join()
    assert bytes(got) == LINE * 100 + b"end\n"


def test_nobody_reads(pipe: tuple[int, int]) -> None:
    """A pipe without a reader is an error at once, each time."""
    read, write = pipe
    gone = os.dup(write)
    ends = os.pipe()
    os.dup2(ends[1], gone)
    os.close(ends[1])
    os.close(ends[0])
    writer = LineWriter(gone, notice)
    for _ in range(3):
        with pytest.raises(BrokenPipeError):
            writer.write(LINE)
    os.close(gone)
    assert read
