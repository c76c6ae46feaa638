from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest_asyncio
from aiohttp import web

from services.dispatcher import config as dispatcher_config
from services.dispatcher.service import DispatcherService
from services.outbound import config as outbound_config
from services.outbound.service import OutboundService
from services.userworker import config as userworker_config
from services.userworker.service import UserWorkerService
from sluice.mesh.channel import dial
from sluice.mesh.env import Address
from sluice.pb import registry_pb2, registry_pb2_grpc, worker_pb2
from tests.e2e.chain import HOST
from tests.e2e.languages import JAVASCRIPT, Languages
from tests.e2e.mesh import free_port
from tests.e2e.origin import Origin
from tests.e2e.twin import dispatching, twin

AT_ONCE = 20


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def local_mesh(local_folder: Path) -> AsyncIterator[tuple[str, Address]]:
    """The three services in this process, so that their tasks can be counted. HTTP and gRPC."""
    http, *grpc = (f"127.0.0.1:{free_port()}" for _ in range(4))
    variables = {
        "SLUICE_HTTP_LISTEN": http,
        "SLUICE_REGISTRY": grpc[0],
        "SLUICE_USERWORKER": grpc[1],
        "SLUICE_OUTBOUND": grpc[2],
        "SLUICE_DATABASE_URL": f"sqlite+aiosqlite:///{local_folder}/registry.db",
        "SLUICE_RUN_DIR": str(local_folder),
        "SLUICE_DRAIN_GRACE": "1s",
        "SLUICE_ALLOW_ADDRESS": "127.0.0.1/32",
    }
    at = [{**variables, "SLUICE_GRPC_LISTEN": address} for address in grpc]
    services: list[DispatcherService | UserWorkerService | OutboundService] = [
        DispatcherService(dispatcher_config.read(at[0])),
        UserWorkerService(userworker_config.read(at[1])),
        OutboundService(outbound_config.read(at[2])),
    ]
    for service in services:
        await service.start()
    address = Address("127.0.0.1", int(grpc[0].rpartition(":")[2]))
    async with dial(address) as channel:
        registry = registry_pb2_grpc.RegistryServiceStub(channel)
        await registry.CreateNamespace(registry_pb2.CreateNamespaceRequest(name="production"))
    yield f"http://{http}/", address
    for service in services:
        await service.stop()


def running() -> Counter[str]:
    """The tasks of this loop, by what they run."""
    return Counter(task.get_coro().__qualname__ for task in asyncio.all_tasks())  # type: ignore[union-attr]


async def test_cancelled_requests_leave_no_task(
    local_mesh: tuple[str, Address], origin: Origin, languages: Languages
) -> None:
    """Requests cancelled at random moments leave no task behind in any of the three services."""

    async def slowly(_: web.Request) -> web.StreamResponse:
        await asyncio.sleep(random.random() * 0.02)
        return web.Response(body=b"x" * 100_000)

    origin.answer = slowly
    cancelled = 1_000 if languages == JAVASCRIPT else 100
    url, address = local_mesh
    async with dial(address) as channel:
        registry = registry_pb2_grpc.RegistryServiceStub(channel)
        for namespace, name, bundle in (
            ("", "dispatch", dispatching(twin("by_host", languages.dispatch))),
            ("", "outbound", twin("tags", languages.outbound)),
            ("production", "acme", twin("sends_on", languages.user)),
        ):
            worker = worker_pb2.Worker(dispatch_namespace=namespace, name=name)
            await registry.PutWorker(registry_pb2.PutWorkerRequest(worker=worker, bundle=bundle))
    async with aiohttp.ClientSession() as session:

        async def request(patience: float | None) -> None:
            timeout = aiohttp.ClientTimeout(total=patience)
            headers = {"host": HOST, "x-url": origin.url}
            try:
                async with session.get(url, headers=headers, timeout=timeout) as response:
                    await response.read()
            except TimeoutError:
                pass

        await asyncio.gather(*(request(None) for _ in range(8)))
        before = running()
        for _ in range(cancelled // AT_ONCE):
            await asyncio.gather(*(request(random.random() * 0.05) for _ in range(AT_ONCE)))
        await request(None)
        async with asyncio.timeout(20):
            while left := running() - before:
                await asyncio.wait(
                    [t for t in asyncio.all_tasks() if t.get_coro().__qualname__ in left],  # type: ignore[union-attr]
                    timeout=0.5,
                )
