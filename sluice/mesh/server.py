"""Serving gRPC: listen, tell how one is, drain."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine
from typing import Any

import grpc
from grpc_health.v1 import health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2_grpc

from sluice.mesh import health
from sluice.mesh.channel import KEEPALIVE_MS, MAX_MESSAGE, message_options
from sluice.mesh.env import Address, ConfigError
from sluice.mesh.parsed import ParsingServer
from sluice.mesh.roles import GuardedServer
from sluice.mesh.tls import Credentials

_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_UNWIND = 5.0  # seconds that a forced stop has to give back what it holds

MAX_STREAMS = 4096
"""Most calls at once of one connection: more than a service has places for, and lets wait."""

Add = Callable[[Any], None]
"""Adds a servicer to a server."""


class GrpcServer:
    """A gRPC server on `address` with health and reflection for every service added to it.

    With `credentials` it takes only peers with a certificate, and each method is called only by
    the roles that may (`sluice/mesh/roles.py`); health and reflection by every such peer. Without,
    it is plaintext: `ConfigError` for an address that other machines can reach, unless
    `allow_plaintext`.
    """

    def __init__(
        self,
        address: Address,
        *,
        allow_plaintext: bool,
        credentials: Credentials | None = None,
        max_message: int = MAX_MESSAGE,
    ) -> None:
        if not (credentials or address.is_loopback or allow_plaintext):
            raise ConfigError(
                f"SLUICE_UNSAFE_PLAINTEXT: other machines can reach {address}, and what they send "
                "would be trusted and not encrypted; set SLUICE_TLS_CERT, listen on loopback, or "
                "set it to 1"
            )
        self._address = address
        self._credentials = credentials
        self._options = _options(max_message)
        self._added: list[tuple[str, tuple[Add, ...]]] = []
        self._health = health.Health()
        self._server: grpc.aio.Server | None = None

    def add(self, full_service_name: str, *adds: Add) -> None:
        """Serve what `adds` add, which is that service. Only before `start`."""
        self._added.append((full_service_name, adds))
        self._health.add(full_service_name)

    def say(self, *names: str) -> None:
        """Let health list these names too, which tell how the server runs."""
        for name in names:
            self._health.add(name)

    async def start(self) -> Address:
        """Listen. Returns the address with the port in use; `ConfigError` where it is taken."""
        server = grpc.aio.server(options=self._options)
        guarded = ParsingServer(GuardedServer(server) if self._credentials else server)
        for _, adds in self._added:
            for add in adds:
                add(guarded)
        open_to_all = ParsingServer(server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, open_to_all)
        names = [name for name, _ in self._added]
        reflector = reflection.aio.ReflectionServicer(
            [*names, health.SERVICE_NAME, reflection.SERVICE_NAME]
        )
        reflection_pb2_grpc.add_ServerReflectionServicer_to_server(reflector, open_to_all)
        port = self._bind(server)
        await server.start()
        self._server = server
        return Address(self._address.host, port)

    def set_serving(self, serving: bool) -> None:
        """Set what `grpc.health.v1` says of every service here. It begins as serving."""
        self._health.set_serving(serving)

    async def stop(self, grace: float) -> None:
        """Drain: not serving, accept no more calls, give those in flight `grace` seconds, stop.

        Cancelling it ends the grace: the calls in flight are cancelled too.
        """
        self._health.end()
        if self._server is None:
            return
        try:
            await self._server.stop(grace)
        except asyncio.CancelledError:
            await self._server.stop(0)
            raise

    def _bind(self, server: grpc.aio.Server) -> int:
        address = str(self._address)
        try:
            if self._credentials is not None:
                return int(server.add_secure_port(address, self._credentials.for_server()))
            return int(server.add_insecure_port(address))
        except RuntimeError as error:
            raise ConfigError(f"cannot listen on {self._address}: {error}") from error


async def run_until_signalled(
    start: Callable[[], Coroutine[Any, Any, object]],
    stop: Callable[[], Coroutine[Any, Any, object]],
) -> int:
    """Run a service from `start` until SIGTERM or SIGINT, then `stop` it. Returns the exit code.

    A first signal begins the drain, also while `start` still runs, which it cancels. A second one
    cancels `stop`, which then has five seconds to unwind, and makes the exit code 1. `stop` is
    awaited whatever became of `start`, so it must cope with half a start.
    """
    loop = asyncio.get_running_loop()
    first, second = asyncio.Event(), asyncio.Event()
    for number in _SIGNALS:
        loop.add_signal_handler(number, lambda: (second if first.is_set() else first).set())
    try:
        try:
            if await _finishes(start(), first):
                await first.wait()
        finally:
            clean = await _finishes(stop(), second)
    finally:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)
    return 0 if clean else 1


async def _finishes(work: Coroutine[Any, Any, object], interrupt: asyncio.Event) -> bool:
    """Await `work`. False where `interrupt` came first: then it was cancelled."""
    task, interrupted = asyncio.create_task(work), asyncio.create_task(interrupt.wait())
    try:
        await asyncio.wait({task, interrupted}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            await task
            return True
        return False
    finally:
        interrupted.cancel()
        if task.cancel():
            await asyncio.wait({task}, timeout=_UNWIND)


def _options(max_message: int) -> list[tuple[str, int]]:
    return [
        *message_options(max_message),
        ("grpc.so_reuseport", 0),  # a port that is taken is an error, not a port that is shared
        ("grpc.keepalive_time_ms", KEEPALIVE_MS),
        ("grpc.keepalive_timeout_ms", 10_000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_ping_strikes", 0),  # peers ping quiet connections: never a strike
        ("grpc.max_concurrent_streams", MAX_STREAMS),
        # Above these gRPC cancels calls by chance, whoever made them, because one peer floods.
        ("grpc.server.max_pending_requests", 2 * MAX_STREAMS),
        ("grpc.server.max_pending_requests_hard_limit", 4 * MAX_STREAMS),
    ]
