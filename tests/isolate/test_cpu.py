"""Whose CPU time it is."""

from __future__ import annotations

from sluice.isolate.cpu import GREEDY, STRAY, CpuMeter
from sluice.isolate.invocation import Invocation, Limits
from sluice.mesh import tracing
from sluice.mesh.tracing import Kind
from sluice.pb import worker_pb2
from sluice.wire.errors import Reason


def invocation(cpu: float) -> Invocation[None]:
    """One that may use so many seconds."""
    span = tracing.start("test", Kind.INTERNAL, None)
    return Invocation(worker_pb2.Worker(name="a"), None, span, Limits(cpu=cpu))


def test_requests_in_flight_share() -> None:
    """What is used while requests are in flight is theirs, in equal parts."""
    meter, one, two = CpuMeter(), invocation(1), invocation(1)
    assert not meter.charge(0.5, [one, two], None)
    assert (one.cpu_used, two.cpu_used, meter.background) == (0.25, 0.25, 0.0)


def test_over_the_limit() -> None:
    """The one over its limit has its fate, the others none, and the process must end."""
    meter, small, large = CpuMeter(), invocation(0.1), invocation(10)
    assert meter.charge(1.0, [small, large], None)
    assert small.fate is not None
    assert small.fate.reason is Reason.EXCEEDED_CPU
    assert large.fate is None


def test_work_after_the_response_is_its_invocations() -> None:
    """`waitUntil` work counts towards the limit of the invocation whose it is."""
    meter, one = CpuMeter(), invocation(1)
    assert not meter.charge(0.6, [one], None)
    assert not meter.charge(0.9, [], one)
    assert meter.charge(1.2, [], one)
    assert round(meter.background, 6) == 0.6


def test_work_of_nobody() -> None:
    """Work that goes on when the time after the last response is over ends its process."""
    meter = CpuMeter()
    assert not meter.charge(STRAY / 2, [], None)
    assert not meter.charge(STRAY, [], None)
    assert meter.charge(STRAY * 1.1, [], None)


def test_clock_that_stands_still() -> None:
    """A process that is gone uses nothing, and nobody is charged twice."""
    meter, one = CpuMeter(), invocation(1)
    meter.charge(0.5, [one], None)
    assert not meter.charge(0.0, [one], None)
    assert not meter.charge(0.5, [one], None)
    assert one.cpu_used == 0.5


def test_a_greedy_invocation() -> None:
    """It is one that has used a second, faster than a twentieth of a core."""
    meter, one = CpuMeter(), invocation(10)
    meter.charge(GREEDY * 0.9, [one], None)
    assert not meter.greedy
    meter.charge(GREEDY * 1.1, [one], None)
    assert meter.greedy


def test_a_loop_that_shares_its_core_is_greedy() -> None:
    """Also where it is given a fifth of each twentieth of a second, and of some nothing."""
    meter, one = CpuMeter(), invocation(10)
    for tick in range(1, 400):
        meter.charge(0.01 * (tick - tick % 3), [one], None)
    assert meter.greedy


def test_who_is_not_greedy() -> None:
    """A stream that uses as much over a long time is not, nor are many requests in a row."""
    slow, stream = CpuMeter(), invocation(10)
    for tick in range(1, 1000):
        slow.charge(0.002 * tick, [stream], None)
    assert stream.cpu_used > GREEDY
    busy = CpuMeter()
    for tick in range(1, 100):
        busy.charge(0.05 * tick, [invocation(10)], None)
    assert (slow.greedy, busy.greedy) == (False, False)
