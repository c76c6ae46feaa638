"""Which invocations an isolate knows, and for how long."""

from __future__ import annotations

import time

from sluice.isolate.invocation import Invocation, Limits
from sluice.isolate.roster import AFTERLIFE, Roster
from sluice.mesh import tracing
from sluice.mesh.tracing import Kind
from sluice.pb import worker_pb2


def invocation() -> Invocation[None]:
    """One that nobody has begun."""
    return Invocation(worker_pb2.Worker(), None, tracing.start("", Kind.INTERNAL, None), Limits())


def test_a_token_is_good_until_its_time_is_over() -> None:
    """It is found from the request on until `AFTERLIFE` seconds after the response, no longer."""
    roster, own = Roster(), invocation()
    assert roster.find(own.token) is None
    roster.begin(own)
    assert roster.find(own.token) is own
    roster.end(own)
    assert (roster.find(own.token), roster.last) == (own, own)
    roster.forget_ended(time.monotonic() + AFTERLIFE - 1)
    assert roster.find(own.token) is own
    roster.forget_ended(time.monotonic() + AFTERLIFE)
    assert (roster.find(own.token), roster.last) == (None, None)


def test_no_token() -> None:
    """Nobody is found without a token."""
    assert Roster().find(None) is None


def test_an_end_counts_once() -> None:
    """Who ends a second time is not kept longer for it."""
    roster, own = Roster(), invocation()
    roster.begin(own)
    roster.end(own)
    used = roster.last_used
    roster.end(own)
    assert roster.last_used == used
    roster.forget_ended(time.monotonic() + AFTERLIFE)
    assert roster.find(own.token) is None


def test_who_has_shown() -> None:
    """Each is told once for what came out of it, and those that have ended are counted."""
    roster = Roster()
    shows, waits, ended = (invocation() for _ in range(3))
    for each in (shows, waits, ended):
        roster.begin(each)
    roster.shows(shows)
    roster.shows(ended)
    roster.end(ended)
    assert roster.take_shown() == ([shows], 1)
    assert roster.take_shown() == ([], 0)
    roster.shows(waits)
    roster.end(shows)
    assert roster.take_shown() == ([waits], 0)
