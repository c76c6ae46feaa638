"""Each service alone: in this process with fakes for its peers, or deployed.

`SLUICE_CONTRACT_USERWORKER=host:port` (and `_OUTBOUND`, `_DISPATCHER`) names a deployed one. Its
Workers are then put by the deployed dispatcher, with `SLUICE_API_TOKEN` where it needs one, and by
mTLS with the certificates in `SLUICE_CONTRACT_CERTS`, a folder of `sluice certs` with all roles.
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
from sluice.mesh.pair import INVOKE, OUTBOUND_FETCH
from sluice.mesh.roles import Role
from sluice.mesh.served import Served
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
    registry = target.deployed(Role.DISPATCHER)
    if (address := target.deployed(Role.USERWORKER)) and registry:
        async with target.connected_to_deployed(Role.USERWORKER, address, registry) as found:
            yield found
        return
    async with (
        target.fake_registry() as registry,
        target.serving(
            OUTBOUND_FETCH.service, Served(OUTBOUND_FETCH, target.echo).add_to
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
        async with target.connected(Role.USERWORKER, await service.start(), registry) as found:
            yield found
        await service.stop()


@pytest_asyncio.fixture
async def outbound(folder: Path) -> AsyncIterator[Target]:
    """The outbound service."""
    registry = target.deployed(Role.DISPATCHER)
    if (address := target.deployed(Role.OUTBOUND)) and registry:
        async with target.connected_to_deployed(Role.OUTBOUND, address, registry) as found:
            yield found
        return
    async with target.fake_registry() as registry:
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
        async with target.connected(Role.OUTBOUND, await service.start(), registry) as found:
            yield found
        await service.stop()


@pytest_asyncio.fixture
async def dispatcher(folder: Path) -> AsyncIterator[Target]:
    """The dispatcher service. Its registry is its own."""
    if address := target.deployed(Role.DISPATCHER):
        async with target.connected_to_deployed(Role.DISPATCHER, address, address) as found:
            yield found
        return
    async with (
        target.serving(INVOKE.service, Served(INVOKE, target.echo).add_to) as userworker,
        target.serving(
            OUTBOUND_FETCH.service, Served(OUTBOUND_FETCH, target.echo).add_to
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
        async with target.connected(Role.DISPATCHER, address, address) as found:
            yield found
        await service.stop()
