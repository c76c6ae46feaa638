"""Serving gRPC: listen, tell how one is, drain."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine
from typing import Any

from grpc_health.v1 import health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2_grpc

from sluice.mesh import errors, health, roles
from sluice.mesh.channel import MAX_MESSAGE
from sluice.mesh.env import Address, SettingError
from sluice.mesh.tls import Credentials
from sluice.rpc.server import Server

_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_UNWIND = 5.0  # seconds that a forced stop has to give back what it holds

Add = Callable[[Any], None]
"""Adds a servicer to a server."""


class GrpcServer:
    """A gRPC server on `address` with health and reflection for every service added to it.

    With `credentials` it takes only peers with a certificate, and each method is called only by
    the roles that may (`sluice/mesh/roles.py`); health and reflection by every such peer. Without,
    it is plaintext: `SettingError` for an address that other machines can reach, unless
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
            raise SettingError(
                f"SLUICE_UNSAFE_PLAINTEXT: other machines can reach {address}, and what they send "
                "would be trusted and not encrypted; set SLUICE_TLS_CERT, listen on loopback, or "
                "set it to 1"
            )
        self._address = address
        self._credentials = credentials
        self._max_message = max_message
        self._added: list[tuple[str, tuple[Add, ...]]] = []
        self._health = health.Health()
        self._server: Server | None = None

    def add(self, full_service_name: str, *adds: Add) -> None:
        """Serve what `adds` add, which is that service. Only before `start`."""
        self._added.append((full_service_name, adds))
        self._health.add(full_service_name)

    def say(self, *names: str) -> None:
        """Let health list these names too, which tell how the server runs."""
        for name in names:
            self._health.add(name)

    async def start(self) -> Address:
        """Listen. Returns the address with the port in use; `SettingError` where it is taken."""
        credentials = self._credentials
        server = Server(
            self._max_message,
            errors.explain,
            roles.admit if credentials else None,
            credentials.for_server() if credentials else None,
        )
        for name, adds in self._added:
            if credentials:
                roles.check(name)
            for add in adds:
                add(server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        names = [name for name, _ in self._added]
        reflector = reflection.aio.ReflectionServicer(
            [*names, health.SERVICE_NAME, reflection.SERVICE_NAME]
        )
        reflection_pb2_grpc.add_ServerReflectionServicer_to_server(reflector, server)
        host = self._address.host
        try:
            port = await server.start(host, self._address.port)
        except OSError as error:
            raise SettingError(f"cannot listen on {self._address}: {error.strerror}") from error
        self._server = server
        return Address(host, port)

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
        await self._server.stop(grace)


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
