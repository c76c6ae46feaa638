"""What wrk prints, read."""

from __future__ import annotations

import pytest

from bench.generators import read_wrk

PRINTED = """Running 2s test @ http://127.0.0.1:8787/
  1 threads and 32 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency    15.31ms    9.88ms 120.55ms   88.01%
    Req/Sec     2.24k   312.51     2.70k    70.00%
  Latency Distribution
     50%   13.20ms
     75%   17.94ms
     90%   25.41ms
     99%   1.05s
  4462 requests in 2.00s, 405.22KB read
"""


def test_reads_counts_and_latencies() -> None:
    """Requests, seconds and percentiles, whatever their unit."""
    load = read_wrk(PRINTED, cpu=0.1)
    assert (load.requests, load.failed, load.seconds, load.cpu) == (4462, 0, 2.0, 0.1)
    assert load.p50 == pytest.approx(0.0132)
    assert load.p99 == pytest.approx(1.05)


def test_counts_every_failure() -> None:
    """Refusals and broken connections alike."""
    printed = (
        f"{PRINTED}  Socket errors: connect 1, read 2, write 0, timeout 3\n"
        "  Non-2xx or 3xx responses: 10\n"
    )
    assert read_wrk(printed, cpu=0).failed == 16


def test_shows_what_cannot_be_read() -> None:
    """Output without figures is an error that shows it."""
    with pytest.raises(RuntimeError, match="unable to connect"):
        read_wrk("unable to connect to 127.0.0.1:8787 Connection refused\n", cpu=0)
