"""Running Workers: what the three services share. One call, one response."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from sluice.http1.server import Exchange
from sluice.isolate import control, workerd
from sluice.isolate.invocation import Invocation
from sluice.isolate.isolate import Isolate
from sluice.isolate.output import Output
from sluice.isolate.pool import Pool, PoolConfig
from sluice.isolate.sandbox import trial
from sluice.isolate.sandbox.launcher import Launcher
from sluice.isolate.version import Version, version_of
from sluice.mesh import attributes, logs
from sluice.pb import worker_pb2
from sluice.wire.errors import Reason, SluiceError
from sluice.wire.messages import Request, Response
from sluice.wire.websocket import MAX_MESSAGE

Detail = TypeVar("Detail")
OnSubrequest = Callable[[Invocation[Detail], Exchange], Awaitable[Response]]
ConfigOf = Callable[[worker_pb2.Bundle, workerd.Runtime], dict[str, bytes]]


@dataclass(frozen=True, slots=True)
class RunnerConfig:
    """How a service runs Workers."""

    runtime: workerd.Runtime
    pool: PoolConfig
    wall_time: float = 60.0
    """Seconds that an invocation may take until its response begins."""
    max_message: int = MAX_MESSAGE
    """Most bytes of one WebSocket message."""


class Runner(Generic[Detail]):
    """Runs invocations of Workers, each in the isolate of its version."""

    def __init__(
        self,
        config: RunnerConfig,
        bundle: Callable[[str], Awaitable[worker_pb2.Bundle]],
        config_of: ConfigOf,
        on_subrequest: OnSubrequest[Detail],
    ) -> None:
        self.output = Output()
        self._config = config
        self._bundle = bundle
        self._config_of = config_of
        self._on_subrequest = on_subrequest
        runtime = config.runtime
        self._launcher = Launcher(runtime.posture, runtime.executable, runtime.data_bytes)
        self._pool = Pool(config.pool, self._start)

    async def try_sandbox(self) -> None:
        """Raise `ConfigError` where anything gets out of the sandbox."""
        await trial.check(self._launcher, self._config.runtime.folder)

    def begin(self) -> None:
        """Start looking after the isolates."""
        self._pool.begin()

    async def aclose(self) -> None:
        """Stop every isolate. Requests in flight fail."""
        await self._pool.aclose()
        await self._launcher.aclose()

    async def invoke(
        self, invocation: Invocation[Detail], request: Request, said: Mapping[str, str]
    ) -> Response:
        """Serve `request` by `invocation.worker`, whose digest is set.

        `said` are further control headers for the guest. The response must be closed: its body or
        WebSocket is as long as the invocation. Raises `SluiceError` for everything but a response
        of the Worker.
        """
        try:
            response, isolate = await self._respond(invocation, request, said)
        except BaseException as error:
            invocation.span.fail(error)
            invocation.span.end()
            raise

        def closed(_: object) -> None:
            isolate.end(invocation)
            invocation.span.end()

        response.watch(closed)
        return response

    async def _respond(
        self, invocation: Invocation[Detail], request: Request, said: Mapping[str, str]
    ) -> tuple[Response, Isolate]:
        isolate, cold = await self._pool.acquire(version_of(invocation.worker))
        invocation.span.set(attributes.COLD_START, cold)
        try:
            async with asyncio.timeout(self._config.wall_time):
                response, returned = await isolate.send(
                    invocation, request, {control.TOKEN: invocation.token, **said}
                )
            if error := returned.get(control.ERROR):
                await response.aclose()
                control.raise_thrown(error)
        except TimeoutError as error:
            isolate.end(invocation)
            raise SluiceError(
                Reason.EXCEEDED_WALL_TIME, f"no response within {self._config.wall_time:g} s"
            ) from error
        except SluiceError as error:
            isolate.end(invocation)
            raise await isolate.explain(invocation, error) from error
        except BaseException:
            isolate.end(invocation)
            raise
        return response, isolate

    async def _start(self, version: Version) -> Isolate:
        bundle = await self._bundle(version.digest)

        def output(line: str) -> None:
            self.output.add((version.dispatch_namespace, version.name), version.digest, line)
            logs.emit(
                "console",
                {
                    attributes.DISPATCH_NAMESPACE: version.dispatch_namespace,
                    attributes.WORKER: version.name,
                    "line": line,
                },
            )

        return await Isolate.start(
            version,
            self._config_of(bundle, self._config.runtime),
            self._config.runtime,
            self._launcher,
            self._receive,
            control.thrown,
            output,
            self._config.max_message,
        )

    async def _receive(self, isolate: Isolate, exchange: Exchange) -> Response:
        """Take a subrequest from an isolate's egress socket."""
        invocation = isolate.find(exchange.control.get(control.TOKEN))
        if invocation is None:
            raise SluiceError(
                Reason.DESTINATION_PROHIBITED,
                "This Worker is not permitted to access the internet outside of a request.",
            )
        if exchange.upgrade is not None:
            raise SluiceError(
                Reason.NOT_SUPPORTED, f"upgrade to {exchange.upgrade!r} is not carried"
            )
        invocation.subrequests += 1
        if invocation.subrequests > invocation.limits.subrequests:
            raise SluiceError(
                Reason.EXCEEDED_SUBREQUESTS,
                f"the invocation made more than {invocation.limits.subrequests} subrequests",
            )
        return await self._on_subrequest(invocation, exchange)
