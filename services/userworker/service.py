"""The service as a whole: what it is made of, how it starts, how it stops."""

from __future__ import annotations

from contextlib import AsyncExitStack

from services.userworker.config import Config
from services.userworker.tail import Tail
from services.userworker.user_workers import UserWorkers
from sluice.mesh.caller import Caller
from sluice.mesh.channel import dial, link
from sluice.mesh.env import Address
from sluice.mesh.pair import INVOKE, OUTBOUND_FETCH
from sluice.mesh.roles import Role
from sluice.mesh.served import Served
from sluice.registry.client import RegistryClient
from sluice.registry.source import MAX_MESSAGE


class UserWorkerService:
    """Runs user Workers for whoever calls `Invoke`."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._running = AsyncExitStack()

    async def start(self) -> Address:
        """Start serving. Returns the gRPC address."""
        config, running = self._config, self._running
        registry_channel = dial(
            config.registry, Role.DISPATCHER, config.mesh.credentials, max_message=MAX_MESSAGE
        )
        running.push_async_callback(registry_channel.close)
        outbound_link = link(config.outbound, Role.OUTBOUND, config.mesh.credentials)
        running.push_async_callback(outbound_link.close)
        registry = RegistryClient(registry_channel)
        running.push_async_callback(registry.aclose)
        outbound = Caller(OUTBOUND_FETCH, outbound_link, "outbound")
        workers = UserWorkers(config.runner, registry, outbound)
        running.push_async_callback(workers.runner.aclose)
        await workers.runner.try_sandbox()
        workers.runner.begin()
        server = config.mesh.server()
        invoke = Served(INVOKE, workers.invoke)
        server.say(*config.runner.runtime.posture.health_names)
        server.add(INVOKE.service, invoke.add_to, Tail(workers.runner.output).add_to)
        address = await server.start()
        running.push_async_callback(server.stop, config.mesh.drain_grace)
        return address

    async def stop(self) -> None:
        """Drain: accept no more, let what is in flight finish within the grace, then all else."""
        await self._running.aclose()
