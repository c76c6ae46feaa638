"""The three services of `sluice dev`: their ports, their environment, whether they serve yet."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import grpc.aio
from grpc_health.v1 import health_pb2, health_pb2_grpc

from sluice.bundle.config import ConfigError
from sluice.mesh import channel
from sluice.mesh.env import PREFIX, Address
from sluice.mesh.tls import VARIABLES

HOST = "127.0.0.1"

SERVICES = ("dispatcher", "userworker", "outbound")

START = 20.0
"""Seconds that the services have to serve."""

_LOOK = 0.05
_INHERITED = ("HOME", "LANG", "PATH", "PYTHONPATH", "SSL_CERT_DIR", "SSL_CERT_FILE", "TMPDIR", "TZ")
_INHERITED_PREFIXES = ("LC_", "OTEL_", "SLUICE_")
_FOR_THE_COMMAND = (
    "SLUICE_DISPATCHER",
    "SLUICE_USERWORKER",
    *(PREFIX + name for name in VARIABLES),
)
_TOKEN = "SLUICE_API_TOKEN"  # noqa: S105 # the name of a variable
_DRAIN_GRACE = "2s"


@dataclass(frozen=True)
class Ports:
    """Where everything listens, on loopback."""

    http: int
    dispatcher: int
    userworker: int
    outbound: int

    def address(self, service: str) -> Address:
        """Where a service listens for gRPC."""
        return Address(HOST, getattr(self, service))

    def grpc(self) -> dict[str, Address]:
        """Where each service listens for gRPC."""
        return {service: self.address(service) for service in SERVICES}


def choose_ports(http: int, grpc_port: int) -> Ports:
    """Those ports, the gRPC ones being three in a row; 0 is any free one.

    Raises `ConfigError` that names a port that is taken.
    """
    with ExitStack() as held:  # all at once, so that no free one is chosen twice
        chosen = [held.enter_context(_listening(http, "--port"))]
        for offset in range(len(SERVICES)):
            port = grpc_port + offset if grpc_port else 0
            chosen.append(held.enter_context(_listening(port, "--grpc-port")))
        return Ports(*(listener.getsockname()[1] for listener in chosen))


def _listening(port: int, option: str) -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
    except OSError as error:
        listener.close()
        raise ConfigError(
            f"cannot listen on {HOST}:{port}: {error.strerror} ({option} 0 takes a free port)"
        ) from error
    return listener


@dataclass(frozen=True)
class Settings:
    """What `sluice dev` decides about its services."""

    ports: Ports
    dispatch_worker: str
    database: Path
    run_folder: Path
    """Holds the sockets and files of isolates."""

    connect_to: Sequence[str] = ()
    allow_address: Sequence[str] = ()
    sandboxed: bool = True
    """Whether this machine can confine Workers."""


def environment(service: str, user: Mapping[str, str], settings: Settings) -> dict[str, str]:
    """The environment of a service: what is passed on of the user's, then what is decided."""
    ports = settings.ports
    chosen = {
        "dispatcher": {
            "SLUICE_HTTP_LISTEN": f"{HOST}:{ports.http}",
            "SLUICE_USERWORKER": str(ports.address("userworker")),
            "SLUICE_OUTBOUND": str(ports.address("outbound")),
            "SLUICE_DATABASE_URL": f"sqlite+aiosqlite:///{settings.database.absolute()}",
            "SLUICE_DISPATCH_WORKER": settings.dispatch_worker,
        },
        "userworker": {
            "SLUICE_REGISTRY": str(ports.address("dispatcher")),
            "SLUICE_OUTBOUND": str(ports.address("outbound")),
        },
        "outbound": {
            "SLUICE_REGISTRY": str(ports.address("dispatcher")),
            "SLUICE_USERWORKER": str(ports.address("userworker")),
            "SLUICE_CONNECT_TO": ",".join(settings.connect_to),
            "SLUICE_ALLOW_ADDRESS": ",".join(settings.allow_address),
        },
    }
    return {
        "SLUICE_DRAIN_GRACE": _DRAIN_GRACE,
        **_passed_on(user, service),
        "SLUICE_GRPC_LISTEN": str(ports.address(service)),
        "SLUICE_RUN_DIR": str(settings.run_folder),
        **({} if settings.sandboxed else {"SLUICE_UNSAFE_NO_SANDBOX": "1"}),
        **chosen[service],
    }


def _passed_on(user: Mapping[str, str], service: str) -> dict[str, str]:
    withheld = _FOR_THE_COMMAND if service == "dispatcher" else (*_FOR_THE_COMMAND, _TOKEN)
    return {
        name: value
        for name, value in user.items()
        if (name in _INHERITED or name.startswith(_INHERITED_PREFIXES)) and name not in withheld
    }


async def serving(ports: Ports) -> None:
    """Wait until all three services say that they serve. Raises `ConfigError` if they do not."""
    try:
        async with asyncio.timeout(START), asyncio.TaskGroup() as group:
            for service, address in ports.grpc().items():
                group.create_task(_serves(address), name=service)
    except TimeoutError as error:
        raise ConfigError(f"the services do not serve after {START:g} s") from error


async def _listens(address: Address) -> None:
    """Wait until somebody listens. gRPC would wait for up to a second between two attempts."""
    while True:
        try:
            _, writer = await asyncio.open_connection(*address)
        except OSError:
            await asyncio.sleep(_LOOK)
        else:
            writer.close()
            return


async def _serves(address: Address) -> None:
    await _listens(address)
    async with channel.dial(address) as connection:
        health = health_pb2_grpc.HealthStub(connection)
        while True:
            try:
                answer = await health.Check(health_pb2.HealthCheckRequest(), wait_for_ready=True)
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.UNAVAILABLE:
                    raise
            else:
                if answer.status == health_pb2.HealthCheckResponse.SERVING:
                    return
            await asyncio.sleep(_LOOK)
