"""The mesh as three real processes, for tests: started, deployed to, asked, killed, stopped."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp
import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from sluice.mesh.channel import dial
from sluice.mesh.env import Address
from sluice.mesh.roles import Role
from sluice.pb import registry_pb2, registry_pb2_grpc, worker_pb2
from tests.certificates import credentials, tls_variables
from tests.e2e.languages import Language
from tests.e2e.twin import dispatching, twin

SERVICES = ("dispatcher", "userworker", "outbound")
ROOT = Path(__file__).resolve().parents[2]

_READY = 20.0
_STOP = 20.0


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def es_module(source: str, **settings: Any) -> worker_pb2.Bundle:
    """A bundle with one ES module."""
    module = worker_pb2.Module(
        name="index.js", kind=worker_pb2.Module.KIND_ES_MODULE, content=source.encode()
    )
    return worker_pb2.Bundle(
        main_module="index.js", modules=[module], compatibility_date="2026-01-01", **settings
    )


class ServiceProcess:
    """One service, its log lines kept."""

    def __init__(self, name: str, variables: Mapping[str, str]) -> None:
        self.name = name
        self.lines: list[dict[str, Any]] = []
        self._variables = variables
        self._changed = asyncio.Condition()

    async def start(self) -> None:
        """Start the process."""
        self.listening = asyncio.Event()
        self.process: Process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            f"services.{self.name}",
            stdout=PIPE,
            stderr=asyncio.subprocess.STDOUT,
            cwd=ROOT,
            env=dict(self._variables),
            limit=1 << 20,
        )
        self._reader = asyncio.create_task(self._read())

    async def wait(self) -> int:
        """The exit status, once the process has ended."""
        async with asyncio.timeout(_STOP):
            status = await self.process.wait()
            await self._reader
        return status

    async def line(self, **fields: Any) -> dict[str, Any]:
        """The first log line with these fields, now or to come."""

        def found() -> dict[str, Any] | None:
            return next((line for line in self.lines if fields.items() <= line.items()), None)

        async with asyncio.timeout(_READY), self._changed:
            await self._changed.wait_for(lambda: found() is not None)
        line = found()
        assert line is not None
        return line

    async def _read(self) -> None:
        assert self.process.stdout is not None
        async for raw in self.process.stdout:
            try:
                line = json.loads(raw)
            except ValueError:
                line = {"raw": raw.decode(errors="replace")}
            if str(line.get("message")).startswith("listening on "):
                self.listening.set()
            async with self._changed:
                self.lines.append(line)
                self._changed.notify_all()


class Mesh:
    """The three services on free ports, with a registry of their own.

    With a folder of `certificates`, as `sluice certs` makes it, they speak mTLS.
    """

    def __init__(self, folder: Path, certificates: Path | None = None, /, **variables: str) -> None:
        self.http = f"http://127.0.0.1:{free_port()}"
        self.grpc = {name: Address("127.0.0.1", free_port()) for name in SERVICES}
        environment = {
            "PATH": os.environ["PATH"],
            "SLUICE_HTTP_LISTEN": self.http.removeprefix("http://"),
            "SLUICE_REGISTRY": str(self.grpc["dispatcher"]),
            "SLUICE_USERWORKER": str(self.grpc["userworker"]),
            "SLUICE_OUTBOUND": str(self.grpc["outbound"]),
            "SLUICE_DATABASE_URL": f"sqlite+aiosqlite:///{folder}/registry.db",
            "SLUICE_RUN_DIR": str(folder),
            "SLUICE_DRAIN_GRACE": "5s",
            **variables,
        }
        self.folder = folder
        self.certificates = certificates
        self.services = {
            name: ServiceProcess(
                name,
                {
                    **environment,
                    "SLUICE_GRPC_LISTEN": str(self.grpc[name]),
                    **tls_variables(certificates, Role(name)),
                },
            )
            for name in SERVICES
        }

    async def __aenter__(self) -> Self:
        await asyncio.gather(*(service.start() for service in self.services.values()))
        await asyncio.gather(*(self.healthy(name) for name in SERVICES))
        self.session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0), auto_decompress=False
        )
        self._channel = self.dial("dispatcher")
        self.registry = registry_pb2_grpc.RegistryServiceStub(self._channel)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None
    ) -> None:
        await self.session.close()
        await self._channel.close()
        self.terminate()
        statuses = [await service.wait() for service in self.services.values()]
        if kind is None:
            assert statuses == [0, 0, 0]

    def terminate(self) -> None:
        """Ask every service to stop, once: a second signal would force it."""
        for service in self.services.values():
            if service.process.returncode is None and not self._terminated:
                service.process.send_signal(signal.SIGTERM)
        self._terminated = True

    _terminated = False

    async def healthy(self, name: str) -> None:
        """Wait until a service says that it is serving."""
        async with asyncio.timeout(_READY):
            await self.services[name].listening.wait()  # gRPC waits between attempts to connect
            async with self.dial(name) as channel:
                health = health_pb2_grpc.HealthStub(channel)
                await health.Check(health_pb2.HealthCheckRequest(), wait_for_ready=True)

    def dial(self, name: str, caller: Role = Role.CLIENT) -> grpc.aio.Channel:
        """A channel to a service; with mTLS, as `caller`."""
        return dial(self.grpc[name], Role(name), credentials(self.certificates, caller))

    async def namespace(self, name: str) -> None:
        """Create a dispatch namespace."""
        await self.registry.CreateNamespace(registry_pb2.CreateNamespaceRequest(name=name))

    async def deploy(self, name: str, bundle: worker_pb2.Bundle | str, namespace: str = "") -> str:
        """Put a Worker, in `namespace` or at account level. Returns its digest."""
        put = await self.registry.PutWorker(
            registry_pb2.PutWorkerRequest(
                worker=worker_pb2.Worker(dispatch_namespace=namespace, name=name),
                bundle=es_module(bundle) if isinstance(bundle, str) else bundle,
            )
        )
        return str(put.worker.worker.digest)

    async def get(self, host: str, path: str = "/", **options: Any) -> tuple[int, str]:
        """Status and text of what a client gets for `http://<host><path>`."""
        headers = {"host": host, **options.pop("headers", {})}
        async with self.session.get(self.http + path, headers=headers, **options) as response:
            return response.status, await response.text()


def dispatch_bundle(source: str = "", **binding: Any) -> worker_pb2.Bundle:
    """A dispatch Worker in JavaScript, by host if it is not given, with a binding `dispatcher`."""
    bundle = es_module(source) if source else twin("by_host", Language.JAVASCRIPT)
    return dispatching(bundle, **binding)


@asynccontextmanager
async def running(
    folder: Path, certificates: Path | None = None, /, **variables: str
) -> AsyncIterator[Mesh]:
    """A mesh with the namespace `production` and the dispatch Worker `dispatch`."""
    async with Mesh(folder, certificates, **variables) as mesh:
        await mesh.namespace("production")
        await mesh.deploy("dispatch", dispatch_bundle())
        yield mesh
