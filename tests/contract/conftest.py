"""Each service alone: in this process with fakes for its peers, or deployed.

`SLUICE_CONTRACT_USERWORKER=host:port` (and `_OUTBOUND`, `_DISPATCHER`) names a deployed one. Its
Workers are then put by the deployed dispatcher, with `SLUICE_API_TOKEN` where it needs one.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from services.dispatcher import config as dispatcher_config
from services.dispatcher.service import DispatcherService
from services.outbound import config as outbound_config
from services.outbound.service import OutboundService
from services.userworker import config as userworker_config
from services.userworker.service import UserWorkerService
from sluice.pb import outbound_pb2_grpc, registry_pb2_grpc, userworker_pb2_grpc
from tests.contract import target
from tests.contract.target import Target


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short path: a unix socket's may have 107 bytes."""
    path = Path(tempfile.mkdtemp(prefix="sl-"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest_asyncio.fixture
async def userworker(folder: Path) -> AsyncIterator[Target]:
    """The userworker service."""
    registry = target.deployed("dispatcher")
    if (address := target.deployed("userworker")) and registry:
        async with target.connected(address, registry) as found:
            yield found
        return
    async with (
        target.serving(
            registry_pb2_grpc.add_RegistryServiceServicer_to_server,
            target.FakeRegistry(),
            "sluice.v1.RegistryService",
        ) as registry,
        target.serving(
            outbound_pb2_grpc.add_OutboundServiceServicer_to_server,
            target.FakeOutbound(),
            "sluice.v1.OutboundService",
        ) as outbound,
    ):
        service = UserWorkerService(
            userworker_config.read(
                {
                    "SLUICE_GRPC_LISTEN": "127.0.0.1:0",
                    "SLUICE_REGISTRY": str(registry),
                    "SLUICE_OUTBOUND": str(outbound),
                    "SLUICE_RUN_DIR": str(folder),
                    "SLUICE_DRAIN_GRACE": "1s",
                }
            )
        )
        async with target.connected(await service.start(), registry, {}) as found:
            yield found
        await service.stop()


@pytest_asyncio.fixture
async def outbound(folder: Path) -> AsyncIterator[Target]:
    """The outbound service."""
    registry = target.deployed("dispatcher")
    if (address := target.deployed("outbound")) and registry:
        async with target.connected(address, registry) as found:
            yield found
        return
    async with target.serving(
        registry_pb2_grpc.add_RegistryServiceServicer_to_server,
        target.FakeRegistry(),
        "sluice.v1.RegistryService",
    ) as registry:
        service = OutboundService(
            outbound_config.read(
                {
                    "SLUICE_GRPC_LISTEN": "127.0.0.1:0",
                    "SLUICE_REGISTRY": str(registry),
                    "SLUICE_RUN_DIR": str(folder),
                    "SLUICE_DRAIN_GRACE": "1s",
                }
            )
        )
        async with target.connected(await service.start(), registry, {}) as found:
            yield found
        await service.stop()


@pytest_asyncio.fixture
async def dispatcher(folder: Path) -> AsyncIterator[Target]:
    """The dispatcher service. Its registry is its own."""
    if address := target.deployed("dispatcher"):
        async with target.connected(address, address) as found:
            yield found
        return
    async with (
        target.serving(
            userworker_pb2_grpc.add_UserWorkerServiceServicer_to_server,
            target.FakeUserWorker(),
            "sluice.v1.UserWorkerService",
        ) as userworker,
        target.serving(
            outbound_pb2_grpc.add_OutboundServiceServicer_to_server,
            target.FakeOutbound(),
            "sluice.v1.OutboundService",
        ) as outbound,
    ):
        service = DispatcherService(
            dispatcher_config.read(
                {
                    "SLUICE_GRPC_LISTEN": "127.0.0.1:0",
                    "SLUICE_HTTP_LISTEN": "127.0.0.1:0",
                    "SLUICE_USERWORKER": str(userworker),
                    "SLUICE_OUTBOUND": str(outbound),
                    "SLUICE_DATABASE_URL": f"sqlite+aiosqlite:///{folder}/registry.db",
                    "SLUICE_RUN_DIR": str(folder),
                    "SLUICE_DRAIN_GRACE": "1s",
                }
            )
        )
        address = await service.start()
        async with target.connected(address, address, {}) as found:
            yield found
        await service.stop()
