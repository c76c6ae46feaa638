"""The service as a whole: what it is made of, how it starts, how it stops."""

from __future__ import annotations

import logging
from contextlib import AsyncExitStack
from functools import partial

from services.dispatcher.config import Config
from services.dispatcher.dispatch import Dispatch
from services.dispatcher.ingress import Ingress
from services.dispatcher.registry_servicer import RegistryServicer
from sluice.http1.limits import Limits
from sluice.mesh.caller import Caller
from sluice.mesh.channel import dial, link
from sluice.mesh.env import Address
from sluice.mesh.pair import DISPATCH, INVOKE, OUTBOUND_FETCH
from sluice.mesh.roles import Role
from sluice.mesh.served import Served
from sluice.pb import registry_pb2_grpc, userworker_pb2_grpc
from sluice.registry.directory import Directory
from sluice.registry.source import MAX_MESSAGE
from sluice.registry.store import Store

_log = logging.getLogger(__name__)


class DispatcherService:
    """Takes HTTP requests, runs the dispatch Worker, keeps the registry."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._running = AsyncExitStack()

    async def start(self) -> Address:
        """Start serving. Returns the gRPC address."""
        config, running = self._config, self._running
        store = await Store.open(config.database_url)
        running.push_async_callback(store.aclose)
        directory = Directory(store)
        running.push_async_callback(directory.aclose)
        userworker_channel = dial(config.userworker, Role.USERWORKER, config.mesh.credentials)
        running.push_async_callback(userworker_channel.close)
        userworker_link = link(config.userworker, Role.USERWORKER, config.mesh.credentials)
        running.push_async_callback(userworker_link.close)
        outbound_link = link(config.outbound, Role.OUTBOUND, config.mesh.credentials)
        running.push_async_callback(outbound_link.close)
        dispatch = Dispatch(
            config.runner,
            config.dispatch_worker,
            directory,
            Caller(INVOKE, userworker_link, "userworker"),
            Caller(OUTBOUND_FETCH, outbound_link, "outbound"),
        )
        running.push_async_callback(dispatch.runner.aclose)
        await dispatch.runner.try_sandbox()
        dispatch.runner.begin()
        registry = RegistryServicer(
            directory,
            userworker_pb2_grpc.UserWorkerServiceStub(userworker_channel).TailWorker,
            config.api_token,
        )
        server = config.mesh.server(MAX_MESSAGE)
        server.say(*config.runner.runtime.posture.health_names)
        server.add(DISPATCH.service, Served(DISPATCH, dispatch.serve).add_to)
        server.add(
            "sluice.v1.RegistryService",
            partial(registry_pb2_grpc.add_RegistryServiceServicer_to_server, registry),
        )
        address = await server.start()
        running.push_async_callback(server.stop, config.mesh.drain_grace)
        limits = Limits(
            max_message=config.runner.max_message,
            min_rate=config.client_rate,
            rate_grace=config.client_grace,
        )
        ingress = Ingress(dispatch, config.http_listen, limits)
        _log.info("HTTP on %s", await ingress.start())
        running.push_async_callback(ingress.stop, config.mesh.drain_grace)
        return address

    async def stop(self) -> None:
        """Drain: accept no more, let what is in flight finish within the grace, then all else."""
        await self._running.aclose()
