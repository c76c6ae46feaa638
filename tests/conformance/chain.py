"""The two chains of the same Workers: the mesh, and plain workerd in one process."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from asyncio.subprocess import DEVNULL
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from sluice.isolate.workerd import find_workerd
from sluice.pb import worker_pb2
from tests.conformance.messages import Message, read_response
from tests.e2e.mesh import Mesh, free_port

WORKERS = Path(__file__).parent / "workers"
DATE = "2026-01-01"
FLAGS = ("enable_request_signal",)
MODULES = {
    "dispatch": ("dispatch.js",),
    "user": tuple(sorted(path.name for path in WORKERS.glob("user*.js"))),
    "outbound": ("outbound.js",),
}
"""Modules of each Worker; the one named after it is its main module."""

_READ = 10.0


@dataclass
class Chain:
    """One of the two, as a client sees it."""

    name: str
    port: int

    @contextlib.asynccontextmanager
    async def connect(
        self,
    ) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        """A connection to it, broken off at the end if it is still open."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=1 << 20)
        try:
            async with asyncio.timeout(_READ):
                yield reader, writer
        finally:
            writer.transport.abort()

    async def ask(self, raw: bytes, method: str = "GET") -> Message:
        """Send a request as it is. Returns the response; 000 where there is none."""
        async with self.connect() as (reader, writer):
            try:
                writer.write(raw)
                return await read_response(reader, method)
            except (ConnectionError, asyncio.IncompleteReadError):
                return Message("HTTP/1.1 000 none", [], ended="cut")


def _bundle(name: str, variables: Mapping[str, str]) -> worker_pb2.Bundle:
    bundle = worker_pb2.Bundle(
        main_module=f"{name}.js", compatibility_date=DATE, compatibility_flags=FLAGS
    )
    for module in MODULES[name]:
        bundle.modules.add(
            name=module,
            kind=worker_pb2.Module.KIND_ES_MODULE,
            content=(WORKERS / module).read_bytes(),
        )
    bundle.vars.update(variables)
    return bundle


async def deploy(mesh: Mesh, variables: Mapping[str, str]) -> Chain:
    """Put the Workers into the mesh."""
    dispatch = _bundle("dispatch", variables)
    dispatch.dispatch_namespaces.add(
        binding="dispatcher", dispatch_namespace="production", outbound_service="outbound"
    )
    await mesh.deploy("outbound", _bundle("outbound", variables))
    await mesh.deploy("user", _bundle("user", variables), "production")
    await mesh.deploy("dispatch", dispatch)
    return Chain("mesh", int(mesh.http.rsplit(":", 1)[1]))


@contextlib.asynccontextmanager
async def plain(folder: Path, variables: Mapping[str, str]) -> AsyncIterator[Chain]:
    """The same Workers in one workerd, joined by a service binding and by `globalOutbound`."""
    (folder / "workers").symlink_to(WORKERS, target_is_directory=True)
    (folder / "config.capnp").write_text(_config(variables))
    port = free_port()
    with (folder / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            find_workerd(os.environ),
            "serve",
            "--experimental",
            "config.capnp",
            f"--socket-addr=http=127.0.0.1:{port}",
            cwd=folder,
            stdin=DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        await _listening(port, process, folder / "log")
        yield Chain("plain", port)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def _listening(port: int, process: asyncio.subprocess.Process, log: Path) -> None:
    async with asyncio.timeout(_READ):
        while True:
            if process.returncode is not None:
                raise RuntimeError(log.read_text())
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                return
            await asyncio.sleep(0.02)


def _config(variables: Mapping[str, str]) -> str:
    texts = ", ".join(f'(name = "{name}", text = "{v}")' for name, v in variables.items())
    namespace = (
        '(name = "dispatcher", wrapped = (moduleName = "conformance:binding", '
        'innerBindings = [(name = "user", service = "user")]))'
    )
    services = [
        _service("dispatch", f"{texts}, {namespace}", "internet"),
        _service("user", texts, "outbound"),
        _service("outbound", texts, "internet"),
    ]
    return f"""using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
    {", ".join(services)},
    (name = "internet", network = (allow = ["public", "private", "local"])),
  ],
  extensions = [(modules = [
    (name = "conformance:binding", esModule = embed "workers/binding.js", internal = true)])],
  sockets = [(name = "http", service = "dispatch")],
);
"""


def _service(name: str, bindings: str, outbound: str) -> str:
    main_first = sorted(MODULES[name], key=lambda module: module != f"{name}.js")
    modules = ", ".join(f'(name = "{m}", esModule = embed "workers/{m}")' for m in main_first)
    flags = ", ".join(f'"{flag}"' for flag in FLAGS)
    return f"""(name = "{name}", worker = (modules = [{modules}],
      compatibilityDate = "{DATE}", compatibilityFlags = [{flags}],
      bindings = [{bindings}], globalOutbound = "{outbound}"))"""
