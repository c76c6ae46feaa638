"""The mesh: the three services as processes of their own, with the Workers deployed."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import child, sources
from bench.chain import CUSTOMER, Chain
from bench.processes import isolates
from bench.workerd import DATE
from sluice.cli import dev_mesh
from sluice.cli.remote_registry import RemoteRegistry
from sluice.isolate.workerd import find_workerd
from sluice.pb import worker_pb2

NAMESPACE = "production"
_ISOLATES = {"dispatcher": "dispatch", "userworker": "user", "outbound": "outbound"}


@dataclass(frozen=True, slots=True)
class Mesh:
    """How to run one mesh."""

    name: str
    tree: Path = Path()
    """The checkout whose services run."""
    profiled: str | None = None
    """Service that runs under cProfile."""

    @contextlib.contextmanager
    def running(self, folder: Path, origin_port: int) -> Iterator[Chain]:
        """Run it with the quickstart's Workers, and its files in `folder`."""
        with self.services(folder, origin_port) as (ports, services):
            sources.write(folder, f"http://{child.HOST}:{origin_port}")
            asyncio.run(deploy(ports, folder))
            yield Chain(self.name, ports.http, lambda: _processes(services))

    @contextlib.contextmanager
    def services(
        self, folder: Path, origin_port: int
    ) -> Iterator[tuple[dev_mesh.Ports, dict[str, int]]]:
        """Run the services: where they listen, and which process each is."""
        ports = dev_mesh.choose_ports(0, 0)
        allowed = [f"{child.HOST}/32:{origin_port}"]
        database = folder / "sluice.db"
        settings = dev_mesh.Settings(ports, "dispatch", database, folder, allow_address=allowed)
        user = {**os.environ, "SLUICE_WORKERD": str(find_workerd(os.environ))}
        with contextlib.ExitStack() as stack:
            services = {}
            for service in dev_mesh.SERVICES:
                environment = dev_mesh.environment(service, user, settings)
                argv, log = self._command(service, folder), folder / f"{service}.log"
                process = stack.enter_context(
                    child.running(argv, log, env=environment, cwd=self.tree)
                )
                child.wait_for_port(ports.address(service).port, process)
                services[service] = process.pid
            yield ports, services

    def profile_file(self, folder: Path) -> Path:
        """Where cProfile writes what the profiled service did, when it ends."""
        return folder / f"{self.profiled}.prof"

    def _command(self, service: str, folder: Path) -> list[str]:
        profile = ["-m", "cProfile", "-o", str(self.profile_file(folder).absolute())]
        under = profile if service == self.profiled else []
        return [sys.executable, *under, "-m", f"services.{service}"]


def _processes(services: dict[str, int]) -> dict[str, int]:
    """Each service, and its one isolate."""
    python = {f"py-{name}": pid for name, pid in services.items()}
    workerd = {f"workerd-{_ISOLATES[name]}": _isolate(pid) for name, pid in services.items()}
    return python | workerd


def _isolate(service: int) -> int:
    """The one isolate that a service started."""
    found = isolates(service)
    if len(found) != 1:
        raise RuntimeError(f"a service has {len(found)} isolates, not one")
    return found[0]


async def deploy(
    ports: dev_mesh.Ports, folder: Path, customers: Mapping[str, worker_pb2.Bundle] | None = None
) -> None:
    """Deploy the quickstart's Workers, and `customers`, by name."""
    await dev_mesh.serving(ports)
    dispatch, user, outbound = (_bundle(folder, name) for name in sources.FILES)
    dispatch.dispatch_namespaces.add(
        binding="dispatcher",
        dispatch_namespace=NAMESPACE,
        outbound_service="outbound",
        outbound_parameters=["params_object"],
    )
    outbound.secrets["JWT_KEY"] = sources.JWT_KEY
    async with RemoteRegistry(ports.address("dispatcher")) as registry:
        await registry.create_namespace(NAMESPACE)
        await registry.put_worker(worker_pb2.Worker(name="dispatch"), dispatch)
        await registry.put_worker(worker_pb2.Worker(name="outbound"), outbound)
        await registry.put_worker(_customer(CUSTOMER), user)
        for name, bundle in (customers or {}).items():
            await registry.put_worker(_customer(name), bundle)


def script(source: str, **settings: Any) -> worker_pb2.Bundle:
    """The bundle of a Worker in one ES module."""
    module = worker_pb2.Module(
        name="index.js", kind=worker_pb2.Module.KIND_ES_MODULE, content=source.encode()
    )
    return worker_pb2.Bundle(
        main_module=module.name, modules=[module], compatibility_date=DATE, **settings
    )


def _customer(name: str) -> worker_pb2.Worker:
    return worker_pb2.Worker(dispatch_namespace=NAMESPACE, name=name)


def _bundle(folder: Path, worker: str) -> worker_pb2.Bundle:
    names = list(sources.FILES[worker])
    modules = [
        worker_pb2.Module(
            name=name,
            kind=worker_pb2.Module.KIND_ES_MODULE,
            content=(folder / worker / name).read_bytes(),
        )
        for name in sorted(names)
    ]
    return worker_pb2.Bundle(main_module=names[0], modules=modules, compatibility_date=DATE)
