"""The Workers of `tests/workers/python` in the sandbox, by a service's own runner."""

from __future__ import annotations

import asyncio

import pytest

from sluice.http1.server import Exchange
from sluice.isolate.invocation import Invocation
from sluice.pb import worker_pb2
from sluice.wire.body import Whole
from sluice.wire.messages import Request, Response
from tests.bodies import read_all
from tests.isolate.workers import MakeWorkers, Workers
from tests.workers.python.cases import CASES, ORIGIN, Case, files_of

FOR_ONE_REQUEST = ("hello", "form", "streaming", "transform", "wait_until", "vendored")
"""Those that are also asked with a process for each request."""

_KINDS = {
    "py": worker_pb2.Module.KIND_PYTHON,
    "html": worker_pb2.Module.KIND_TEXT,
    "txt": worker_pb2.Module.KIND_TEXT,
}


def _bundle(case: Case) -> worker_pb2.Bundle:
    bundle = worker_pb2.Bundle(main_module="main.py", compatibility_date="2026-01-01")
    for name, content in files_of(case.worker).items():
        kind = _KINDS.get(name.rpartition(".")[2], worker_pb2.Module.KIND_DATA)
        bundle.modules.add(name=name, kind=kind, content=content)
    bundle.vars.update(case.bindings)
    return bundle


class _Origin:
    """Answers subrequests, and keeps method, URL and body of each."""

    def __init__(self) -> None:
        self.asked: asyncio.Queue[tuple[str, str, bytes | None]] = asyncio.Queue()

    async def answer(self, _: Invocation[str], exchange: Exchange) -> Response:
        request = exchange.request
        content = await read_all(request.body, 1 << 20)
        self.asked.put_nowait((request.method, request.url, content))
        status, headers, body = ORIGIN[request.url]
        fields = [(name, value.encode()) for name, value in headers.items()]
        return Response(status, fields, Whole(body))


async def _ask(workers: Workers, origin: _Origin, case: Case) -> None:
    fields = [(name, value.encode()) for name, value in case.sent_headers]
    length = len(case.sent) if case.sent else None
    request = Request(case.method, case.url, fields, Whole(case.sent), length)
    response = await workers.start(_bundle(case), request)
    assert await read_all(response.body, 1 << 20) == case.body
    assert response.status == case.status
    named = [(name, value.encode("latin-1")) for name, value in case.headers]
    assert [pair for pair in named if pair not in response.headers] == []
    async with asyncio.timeout(10):
        asked = [await origin.asked.get() for _ in case.asked]
    assert sorted(asked) == sorted(case.asked)
    assert origin.asked.empty()


@pytest.mark.parametrize(
    ("worker", "once"),
    [
        *((worker, False) for worker in sorted({case.worker for case in CASES})),
        *((worker, True) for worker in FOR_ONE_REQUEST),
    ],
)
async def test_worker(make_workers: MakeWorkers, worker: str, once: bool) -> None:
    """It answers in the sandbox as it does outside, and asks for the same."""
    workers, origin = make_workers(python_once=once), _Origin()
    workers.answer = origin.answer
    for case in CASES:
        if case.worker == worker:
            await _ask(workers, origin, case)
