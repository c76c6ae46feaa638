"""Running Workers: what the three services share. One call, one response."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from sluice.isolate import control
from sluice.isolate.capacity import Capacity
from sluice.isolate.console import Console
from sluice.isolate.egress import Egress, OnSubrequest
from sluice.isolate.folder import sweep
from sluice.isolate.invocation import Invocation, Limits
from sluice.isolate.isolate import Isolate
from sluice.isolate.launchers import Launchers
from sluice.isolate.output import Output
from sluice.isolate.pool import Pool, PoolConfig
from sluice.isolate.program import Language, Program, language_of
from sluice.isolate.runtime import Runtime
from sluice.isolate.version import Version, version_of
from sluice.mesh import attributes, logs
from sluice.pb import worker_pb2
from sluice.wire.bounded import bound, bound_response
from sluice.wire.customer import Customer
from sluice.wire.errors import Reason, SluiceError
from sluice.wire.messages import Request, Response
from sluice.wire.places import Places
from sluice.wire.websocket import MAX_MESSAGE

Detail = TypeVar("Detail")
ProgramOf = Callable[[worker_pb2.Bundle, Runtime], Program]


@dataclass(frozen=True, slots=True)
class RunnerConfig:
    """How a service runs Workers."""

    runtime: Runtime
    pool: PoolConfig
    wall_time: float = 60.0
    """Seconds that an invocation may take until its response begins."""
    max_message: int = MAX_MESSAGE
    """Most bytes of one WebSocket message."""
    limits: Limits = field(default_factory=Limits)
    """Of an invocation for which nothing else names any."""
    capacity: Capacity = field(default_factory=Capacity)


class Runner(Generic[Detail]):
    """Runs invocations of Workers, each in the isolate of its version."""

    def __init__(
        self,
        config: RunnerConfig,
        bundle: Callable[[str], Awaitable[worker_pb2.Bundle]],
        program_of: ProgramOf,
        on_subrequest: OnSubrequest[Detail],
    ) -> None:
        self.output = Output()
        self._config = config
        self._bundle = bundle
        self._program_of = program_of
        self._egress = Egress(config.capacity, on_subrequest)
        self._places: Places[Customer] = Places(
            config.capacity.invocations, Reason.LOAD_SHED, "places for invocations"
        )
        self._launchers = Launchers(config.runtime)
        self._pool = Pool(config.pool, self._start)

    async def try_sandbox(self) -> None:
        """Raise `SettingError` where anything gets out of the sandbox."""
        await self._launchers.check()

    def begin(self) -> None:
        """Start looking after the isolates, those of services before that were killed included."""
        sweep(self._config.runtime.folder)
        self._pool.begin()

    async def aclose(self) -> None:
        """Stop every isolate. Requests in flight fail."""
        await self._pool.aclose()
        await self._launchers.aclose()

    async def invoke(
        self, invocation: Invocation[Detail], request: Request, said: Mapping[str, str]
    ) -> Response:
        """Serve `request` by `invocation.worker`, whose digest is set.

        `said` are further control headers for the guest. The response must be closed: its body or
        WebSocket is as long as the invocation. Raises `SluiceError` for everything but a response
        of the Worker: `LOAD_SHED` where there is no place for one more invocation.
        """
        try:
            bound(request, self._config.capacity.request_body, "request's body")
            await self._places.take(invocation.customer)
            try:
                response, isolate = await self._respond(invocation, request, said)
            except BaseException:
                self._places.give(invocation.customer)
                raise
        except BaseException as error:
            invocation.span.fail(error)
            invocation.span.end()
            raise

        def closed(_: object) -> None:
            isolate.invocations.end(invocation)
            invocation.flow = None  # It has the response; the invocation is kept for a while.
            self._places.give(invocation.customer)
            invocation.span.end()

        invocation.flow = response.watch(closed)
        return response

    async def _respond(
        self, invocation: Invocation[Detail], request: Request, said: Mapping[str, str]
    ) -> tuple[Response, Isolate]:
        isolate, cold = await self._pool.acquire(await self._version(invocation))
        invocation.span.set(attributes.COLD_START, cold)
        try:
            async with asyncio.timeout(self._config.wall_time):
                response, returned = await isolate.send(
                    invocation, request, {control.TOKEN: invocation.token, **said}
                )
            if error := returned.get(control.ERROR):
                await response.aclose()
                control.raise_thrown(error)
            await bound_response(response, self._config.capacity.response_body)
        except TimeoutError as error:
            if time.monotonic() - isolate.invocations.last_shown > self._config.wall_time / 2:
                # It may be blocked. Not where it serves others: who asks for what never comes
                # would have the process that all customers share replaced.
                isolate.usable = False
            isolate.invocations.end(invocation)
            raise SluiceError(
                Reason.EXCEEDED_WALL_TIME, f"no response within {self._config.wall_time:g} s"
            ) from error
        except SluiceError as error:
            # A process that died, it seems, may have closed its sockets and live on.
            if error.reason in (Reason.EXCEEDED_MEMORY, Reason.ISOLATE_DIED):
                isolate.usable = False
            isolate.invocations.end(invocation)
            raise await isolate.explain(invocation, error) from error
        except BaseException:
            isolate.invocations.end(invocation)
            raise
        return response, isolate

    async def _version(self, invocation: Invocation[Detail]) -> Version:
        version = version_of(invocation.worker)
        if self._config.runtime.python_once:
            bundle = await self._bundle(version.digest)
            if language_of(bundle) is Language.PYTHON:
                return version._replace(invocation=invocation.id)
        return version

    async def _start(self, version: Version) -> Isolate:
        bundle = await self._bundle(version.digest)
        program = self._program_of(bundle, self._config.runtime)

        return await Isolate.start(
            version,
            program,
            self._config.runtime.folder,
            await self._launchers.of(program.language),
            self._egress.serve,
            control.thrown,
            self._console(version),
            self._config.max_message,
        )

    def _console(self, version: Version) -> Console:
        worker = (version.dispatch_namespace, version.name)
        fields = {attributes.DISPATCH_NAMESPACE: worker[0], attributes.WORKER: worker[1]}

        def output(line: str) -> None:
            self.output.add(worker, version.digest, line)
            logs.emit("console", {**fields, "line": line})

        def dropped(count: int) -> None:
            line = f"{count} bytes that the Worker printed were dropped: it prints too much"
            self.output.add(worker, version.digest, line)
            logs.emit("console_dropped", {**fields, "bytes": count})

        return Console(self._config.capacity.log_rate, output, dropped)
