"""A runner whose Workers are given as source, for tests."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from sluice.http1.server import Exchange
from sluice.isolate.capacity import Capacity
from sluice.isolate.invocation import Invocation, Limits
from sluice.isolate.pool import PoolConfig
from sluice.isolate.program import direct_program, user_program
from sluice.isolate.runner import Runner, RunnerConfig
from sluice.isolate.runtime import Runtime
from sluice.mesh import tracing
from sluice.mesh.tracing import Kind
from sluice.pb import worker_pb2
from sluice.wire.body import Whole
from sluice.wire.customer import Customer
from sluice.wire.errors import Reason, SluiceError
from sluice.wire.messages import Request, Response
from tests.bodies import read_all


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
    _arrived: asyncio.Event = field(default_factory=asyncio.Event)

    async def bundle(self, digest: str) -> worker_pb2.Bundle:
        return self.bundles[digest]

    async def on_subrequest(self, invocation: Invocation[str], exchange: Exchange) -> Response:
        self.subrequests.append((invocation.detail, exchange.request))
        self._arrived.set()
        if self.answer is not None:
            return await self.answer(invocation, exchange)
        return Response(200, body=Whole(f"for {invocation.detail}".encode()))

    async def until(self, count: int) -> list[str]:
        """The URLs of the subrequests, in order of their text, once there are `count`."""
        async with asyncio.timeout(10):
            while len(self.subrequests) < count:
                self._arrived.clear()
                await self._arrived.wait()
        return sorted(request.url for _, request in self.subrequests)

    async def fetch(
        self,
        source: str | worker_pb2.Bundle,
        url: str = "http://acme.example.com/",
        *,
        detail: str = "d",
        name: str = "acme",
        limits: Limits | None = None,
        said: dict[str, str] | None = None,
        request: Request | None = None,
    ) -> tuple[int, str]:
        """Status and text of the answer of a Worker with that source."""
        response = await self.start(
            source,
            request or Request("GET", url),
            detail=detail,
            name=name,
            limits=limits,
            said=said,
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
        name: str = "acme",
        limits: Limits | None = None,
        said: dict[str, str] | None = None,
    ) -> Response:
        """The response, its body still to be read."""
        digest = source if isinstance(source, str) else str(id(source))
        self.bundles[digest] = bundle_of(source) if isinstance(source, str) else source
        invocation = Invocation(
            worker_pb2.Worker(dispatch_namespace="ns", name=name, digest=digest),
            detail,
            tracing.start("test", Kind.INTERNAL, None),
            limits or Limits(),
            customer=Customer("ns", name),
        )
        return await self.runner.invoke(invocation, request, said or {})


MakeWorkers = Callable[..., Workers]


def begin(
    runtime: Runtime,
    *,
    wall_time: float,
    trusted: bool = False,
    capacity: Capacity | None = None,
    **pool: Any,
) -> Workers:
    """User Workers whose runner has begun, or the operator's own. Close it at the end."""
    workers = Workers()
    config = RunnerConfig(runtime, PoolConfig(**pool), wall_time, capacity=capacity or Capacity())
    program_of = direct_program if trusted else user_program
    workers.runner = Runner(config, workers.bundle, program_of, workers.on_subrequest)
    workers.runner.begin()
    return workers


async def reason_of(answer: Awaitable[tuple[int, str]]) -> Reason | int:
    """Status of an answer, or why there is none."""
    try:
        return (await answer)[0]
    except SluiceError as error:
        return error.reason
