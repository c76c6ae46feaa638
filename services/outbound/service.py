"""The service as a whole: what it is made of, how it starts, how it stops."""

from __future__ import annotations

from contextlib import AsyncExitStack

from services.outbound.config import Config
from services.outbound.origin.client import GuardedClient
from services.outbound.origin.destination import Guard
from services.outbound.subrequests import Subrequests
from sluice.mesh.channel import dial
from sluice.mesh.env import Address
from sluice.mesh.pair import OUTBOUND_FETCH
from sluice.mesh.roles import Role
from sluice.mesh.served import Served
from sluice.registry.client import RegistryClient
from sluice.registry.source import MAX_MESSAGE


class OutboundService:
    """Performs subrequests for whoever calls `OutboundFetch`."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._running = AsyncExitStack()

    async def start(self) -> Address:
        """Start serving. Returns the gRPC address."""
        config, running = self._config, self._running
        channel = dial(
            config.registry, Role.DISPATCHER, config.mesh.credentials, max_message=MAX_MESSAGE
        )
        running.push_async_callback(channel.close)
        registry = RegistryClient(channel)
        running.push_async_callback(registry.aclose)
        # The mesh's own ports stay closed to Workers, whatever --allow-address opens.
        mesh = config.mesh.listen, config.registry, config.userworker
        own_ports = {address.port for address in mesh}
        guard = Guard(
            config.allow_address,
            own_ports,
            denied=config.deny_address,
            allowed_ports=config.allow_ports,
        )
        client = GuardedClient(config.client, guard, config.connect_to)
        running.push_async_callback(client.aclose)
        subrequests = Subrequests(config.runner, registry, client)
        running.push_async_callback(subrequests.runner.aclose)
        await subrequests.runner.try_sandbox()
        subrequests.runner.begin()
        server = config.mesh.server()
        server.say(*config.runner.runtime.posture.health_names)
        server.add(OUTBOUND_FETCH.service, Served(OUTBOUND_FETCH, subrequests.fetch).add_to)
        address = await server.start()
        own_ports.add(address.port)  # which the system may have chosen
        running.push_async_callback(server.stop, config.mesh.drain_grace)
        return address

    async def stop(self) -> None:
        """Drain: accept no more, let what is in flight finish within the grace, then all else."""
        await self._running.aclose()
