from __future__ import annotations

import asyncio
import socket
from dataclasses import replace
from pathlib import Path

import pytest

from sluice.bundle.document import ConfigError
from sluice.cli import dev_mesh
from sluice.cli.dev_mesh import HOST, SERVICES, Ports, Settings, choose_ports, environment
from sluice.mesh.env import Address
from sluice.mesh.server import GrpcServer

SETTINGS = Settings(
    Ports(8787, 50051, 50052, 50053),
    "dispatch",
    Path("/tmp/x/registry.db"),
    Path("/tmp/x/run"),
    connect_to=("api.example.com:443:127.0.0.1:8443", "::[::1]:1"),
    allow_address=("127.0.0.0/8", "::1/128"),
)


def test_free_ports_differ() -> None:
    """Port 0 takes a free port for each listener."""
    ports = choose_ports(0, 0)
    chosen = {ports.http, ports.dispatcher, ports.userworker, ports.outbound}
    assert len(chosen) == 4
    assert 0 not in chosen


@pytest.mark.parametrize("option", ["--port", "--grpc-port"])
def test_taken_port_is_named(option: str) -> None:
    """The error has the address, and the option that gets round it."""
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        port = taken.getsockname()[1]
        arguments = (port, 0) if option == "--port" else (0, port)
        with pytest.raises(ConfigError, match=rf"127\.0\.0\.1:{port}: .*in use \({option} 0 "):
            choose_ports(*arguments)


def test_grpc_ports_are_three_in_a_row() -> None:
    """The services' ports follow the dispatcher's, as they do by default."""
    for base in range(20_000, 60_000, 101):
        try:
            ports = choose_ports(0, base)
        except ConfigError:
            continue  # one of the three is taken on this machine
        assert (ports.dispatcher, ports.userworker, ports.outbound) == (base, base + 1, base + 2)
        return
    pytest.fail("no three free ports in a row")


def test_services_find_each_other() -> None:
    """Each service listens where the others look for it."""
    found = {service: environment(service, {}, SETTINGS) for service in SERVICES}
    listen = {service: env["SLUICE_GRPC_LISTEN"] for service, env in found.items()}
    assert found["dispatcher"]["SLUICE_USERWORKER"] == listen["userworker"]
    assert found["userworker"]["SLUICE_OUTBOUND"] == listen["outbound"]
    assert found["userworker"]["SLUICE_REGISTRY"] == listen["dispatcher"]
    assert found["outbound"]["SLUICE_REGISTRY"] == listen["dispatcher"]
    assert found["outbound"]["SLUICE_USERWORKER"] == listen["userworker"]
    assert found["dispatcher"]["SLUICE_HTTP_LISTEN"] == "127.0.0.1:8787"
    database = found["dispatcher"]["SLUICE_DATABASE_URL"]
    assert database == "sqlite+aiosqlite:////tmp/x/registry.db"


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("sandboxed", [True, False])
def test_sandbox_is_left_out_only_where_there_is_none(service: str, sandboxed: bool) -> None:
    """The unsafe switch is set for a machine that cannot confine, and for no other."""
    found = environment(service, {}, replace(SETTINGS, sandboxed=sandboxed))
    assert found.get("SLUICE_UNSAFE_NO_SANDBOX") == (None if sandboxed else "1")


def test_only_outbound_gets_past_the_guard() -> None:
    """The ways past the guard are the outbound service's, as lists."""
    outbound = environment("outbound", {}, SETTINGS)
    assert outbound["SLUICE_CONNECT_TO"] == "api.example.com:443:127.0.0.1:8443,::[::1]:1"
    assert outbound["SLUICE_ALLOW_ADDRESS"] == "127.0.0.0/8,::1/128"
    assert "SLUICE_CONNECT_TO" not in environment("userworker", {}, SETTINGS)


USER = {
    "PATH": "/bin",
    "SSL_CERT_FILE": "/ca.pem",
    "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4317",
    "SLUICE_LOG_LEVEL": "debug",
    "SLUICE_GRPC_LISTEN": "0.0.0.0:1",
    "SLUICE_DISPATCHER": "elsewhere:1",
    "SLUICE_API_TOKEN": "token",
    "SLUICE_TLS_CERT": "/certs/client/cert.pem",
    "AWS_SECRET_ACCESS_KEY": "secret",
}


def test_what_the_user_set_is_passed_on() -> None:
    """Settings pass, what `dev` decides wins, and what is no service's business stays out."""
    userworker = environment("userworker", USER, SETTINGS)
    for name in ("PATH", "SSL_CERT_FILE", "OTEL_EXPORTER_OTLP_ENDPOINT", "SLUICE_LOG_LEVEL"):
        assert userworker[name] == USER[name]
    assert userworker["SLUICE_GRPC_LISTEN"] == "127.0.0.1:50052"
    assert "SLUICE_DISPATCHER" not in userworker
    assert "SLUICE_API_TOKEN" not in userworker
    assert "SLUICE_TLS_CERT" not in userworker
    assert "AWS_SECRET_ACCESS_KEY" not in userworker
    assert environment("dispatcher", USER, SETTINGS)["SLUICE_API_TOKEN"] == "token"


async def test_serving_waits_for_every_service() -> None:
    """It returns once all three say that they serve, whenever they come up."""
    ports = choose_ports(0, 0)
    waiting = asyncio.create_task(dev_mesh.serving(ports))
    servers = []
    for address in ports.grpc().values():
        assert not waiting.done()
        server = GrpcServer(Address(address.host, address.port), allow_plaintext=False)
        server.set_serving(False)
        await server.start()
        servers.append(server)
    for server in servers:
        assert not (await asyncio.wait({waiting}, timeout=0.2))[0]
        server.set_serving(True)
    await waiting
    for server in servers:
        await server.stop(0)


async def test_serving_has_a_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Services that never serve are an error that says how long it waited."""
    monkeypatch.setattr(dev_mesh, "START", 0.1)
    with pytest.raises(ConfigError, match=r"do not serve after 0\.1 s"):
        await dev_mesh.serving(choose_ports(0, 0))
