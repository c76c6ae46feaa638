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


def test_who_shows_pays() -> None:
    """Of which something came out pays for what was used since something last did."""
    meter, one, two, idle = CpuMeter(), invocation(1), invocation(1), invocation(1)
    meter.charge(0.25, [one, two, idle], None)
    meter.charge(0.5, [one, two, idle], None, [one, two])
    assert (one.cpu_used, two.cpu_used, idle.cpu_used, meter.background) == (0.25, 0.25, 0, 0)
    meter.charge(0.7, [two, idle], None, [], ended=1)
    assert (two.cpu_used, idle.cpu_used) == (0.25, 0)


def test_who_only_waits_pays_for_nobody() -> None:
    """However much others use meanwhile."""
    meter, idle = CpuMeter(), invocation(0.1)
    for tick in range(1, 1000):
        other = invocation(0.1)
        assert not meter.charge(0.05 * tick, [idle, other], None, [other])
    assert (idle.cpu_used, idle.fate) == (0, None)


def test_loop_under_traffic() -> None:
    """A loop ends at the limit, though new requests wait behind it all the time."""
    meter, waiting = CpuMeter(), [invocation(30)]
    ticks = 1
    while not meter.charge(0.05 * ticks, waiting, None):
        waiting = [*waiting, invocation(30)][-500:]
        ticks += 1
        assert ticks < 1000
    assert 0.05 * ticks > 30


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
    meter.charge(0.5, [one], None, [one])
    assert not meter.charge(0.0, [one], None, [one])
    assert not meter.charge(0.5, [one], None, [one])
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
        slow.charge(0.002 * tick, [stream], None, [stream])
    assert stream.cpu_used > GREEDY
    busy = CpuMeter()
    for tick in range(1, 100):
        one = invocation(10)
        busy.charge(0.05 * tick, [one], None, [one])
    assert (slow.greedy, busy.greedy) == (False, False)


def test_a_flood_of_subrequests_is_greedy() -> None:
    """What an invocation makes the services do counts, though it uses little CPU time itself."""
    for subrequests, greedy in ((20, True), (1, False)):  # in each twentieth of a second
        meter, one = CpuMeter(), invocation(10)
        for tick in range(1, 100):
            for _ in range(subrequests):
                one.subrequests += 1
                meter.subrequest()
            meter.charge(0.0005 * tick, [one], None, [one])
        assert meter.greedy is greedy
        assert one.cpu_used < 0.1


def test_many_requests_with_a_few_subrequests_each_are_not_greedy() -> None:
    """A busy Worker is not one that floods, however many subrequests it makes in all."""
    meter = CpuMeter()
    for tick in range(1, 200):
        one = invocation(10)
        for _ in range(20):
            one.subrequests += 1
            meter.subrequest()
        meter.charge(0.01 * tick, [one], None, [one])
    assert not meter.greedy
