"""Real workerd, and a way to run a Worker from its source."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from sluice.http1.server import Exchange
from sluice.isolate.invocation import Invocation, Limits
from sluice.isolate.pool import PoolConfig
from sluice.isolate.runner import Runner, RunnerConfig
from sluice.isolate.workerd import Runtime, direct_config, find_workerd, user_config
from sluice.mesh import tracing
from sluice.mesh.tracing import Kind
from sluice.pb import worker_pb2
from sluice.wire.body import Whole, read_all
from sluice.wire.messages import Request, Response


@pytest.fixture
def run_folder() -> Iterator[Path]:
    """A short path: a unix socket's may have 107 bytes."""
    folder = Path(tempfile.mkdtemp(prefix="sl-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def bundle_of(
    source: str, kind: worker_pb2.Module.Kind = worker_pb2.Module.KIND_ES_MODULE
) -> worker_pb2.Bundle:
    """A bundle with one module."""
    module = worker_pb2.Module(name="index.js", kind=kind, content=source.encode())
    return worker_pb2.Bundle(
        main_module="index.js", modules=[module], compatibility_date="2026-01-01"
    )


@dataclass
class Workers:
    """A runner whose bundles are put by hand, and what its Workers' subrequests were."""

    runner: Runner[str] = field(init=False)
    bundles: dict[str, worker_pb2.Bundle] = field(default_factory=dict)
    answer: Callable[[Invocation[str], Exchange], Awaitable[Response]] | None = None
    subrequests: list[tuple[str, Request]] = field(default_factory=list)

    async def bundle(self, digest: str) -> worker_pb2.Bundle:
        return self.bundles[digest]

    async def on_subrequest(self, invocation: Invocation[str], exchange: Exchange) -> Response:
        self.subrequests.append((invocation.detail, exchange.request))
        if self.answer is not None:
            return await self.answer(invocation, exchange)
        return Response(200, body=Whole(f"for {invocation.detail}".encode()))

    async def fetch(
        self,
        source: str | worker_pb2.Bundle,
        url: str = "http://acme.example.com/",
        *,
        detail: str = "d",
        limits: Limits | None = None,
        said: dict[str, str] | None = None,
        request: Request | None = None,
    ) -> tuple[int, str]:
        """Status and text of the answer of a Worker with that source."""
        response = await self.start(
            source, request or Request("GET", url), detail=detail, limits=limits, said=said
        )
        body = await read_all(response.body, 1 << 20)
        assert body is not None
        return response.status, body.decode()

    async def start(
        self,
        source: str | worker_pb2.Bundle,
        request: Request,
        *,
        detail: str = "d",
        limits: Limits | None = None,
        said: dict[str, str] | None = None,
    ) -> Response:
        """The response, its body still to be read."""
        digest = source if isinstance(source, str) else str(id(source))
        self.bundles[digest] = bundle_of(source) if isinstance(source, str) else source
        invocation = Invocation(
            worker_pb2.Worker(dispatch_namespace="ns", name="acme", digest=digest),
            detail,
            tracing.start("test", Kind.INTERNAL, None),
            limits or Limits(),
        )
        return await self.runner.invoke(invocation, request, said or {})


MakeWorkers = Callable[..., Workers]


@pytest.fixture
async def make_workers(run_folder: Path) -> AsyncIterator[MakeWorkers]:
    """Makes runners; all are closed at the end, and leave no process and no file."""
    made: list[Workers] = []

    def make(*, trusted: bool = False, wall_time: float = 10.0, **pool: Any) -> Workers:
        workers = Workers()
        config = RunnerConfig(
            Runtime(find_workerd({}), run_folder), PoolConfig(**pool), wall_time=wall_time
        )
        config_of = direct_config if trusted else user_config
        workers.runner = Runner(config, workers.bundle, config_of, workers.on_subrequest)
        workers.runner.begin()
        made.append(workers)
        return workers

    yield make
    for workers in made:
        await workers.runner.aclose()
    assert list(run_folder.iterdir()) == [], "an isolate left files behind"


@pytest.fixture
async def workers(make_workers: MakeWorkers) -> Workers:
    """User Workers, behind the gate."""
    return make_workers()
