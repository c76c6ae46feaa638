"""Workers in the style of Cloudflare's documentation, unchanged, in the guest."""

from __future__ import annotations

import pytest

from sluice.http1.server import Exchange
from sluice.wire.body import Whole
from sluice.wire.messages import Response
from tests.isolate.python.conftest import StartGuest
from tests.isolate.python.guest import Guest
from tests.workers.python.cases import CASES, ORIGIN, Case, files_of


async def _origin(exchange: Exchange, _: bytes) -> Response:
    status, headers, body = ORIGIN[exchange.request.url]
    return Response(
        status, [(name, value.encode()) for name, value in headers.items()], Whole(body)
    )


@pytest.mark.parametrize("worker", sorted({case.worker for case in CASES}))
async def test_worker(start: StartGuest, worker: str) -> None:
    """The Worker answers as its documentation says, and asks for what it should."""
    cases = [case for case in CASES if case.worker == worker]
    guest = await start(files_of(worker), bindings=cases[0].bindings)
    guest.answer = _origin
    for case in cases:
        await _ask(guest, case)


async def _ask(guest: Guest, case: Case) -> None:
    guest.subrequests.clear()
    reply = await guest.fetch(
        case.url, method=case.method, headers=list(case.sent_headers), body=case.sent
    )
    assert reply.error is None
    assert (reply.status, reply.body) == (case.status, case.body)
    assert [pair for pair in case.headers if pair not in reply.headers] == []
    asked = await guest.until(len(case.asked))
    assert sorted((each.method, each.url, each.body) for each in asked) == sorted(case.asked)
