"""The settings of the outbound service."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

from services.outbound.origin.client import ClientConfig
from services.outbound.origin.ports import PortRange
from sluice.isolate import settings as isolate_settings
from sluice.isolate.runner import RunnerConfig
from sluice.mesh import settings as mesh_settings
from sluice.mesh.address_range import AddressRange
from sluice.mesh.connect_to import ConnectTo
from sluice.mesh.env import Address, Environment, SettingError
from sluice.mesh.roles import Role
from sluice.mesh.settings import MeshConfig

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Config:
    """What the service is told at its start. Documented in `docs/configuration.md`."""

    mesh: MeshConfig
    registry: Address
    userworker: Address
    """Where the userworker service is. It is not called, but kept from Workers."""
    runner: RunnerConfig
    client: ClientConfig
    connect_to: tuple[ConnectTo, ...]
    allow_address: tuple[AddressRange, ...]
    deny_address: tuple[AddressRange, ...]
    allow_ports: tuple[PortRange, ...]
    warnings: tuple[str, ...]


def read(variables: Mapping[str, str]) -> Config:
    """Read `SLUICE_*` and `SSL_CERT_FILE`. Raises `SettingError` that names the variable."""
    env = Environment(variables)
    mesh = mesh_settings.read(env, Role.OUTBOUND, "127.0.0.1:50053")
    runner = isolate_settings.runner_config(env, variables)
    config = Config(
        mesh=mesh,
        registry=mesh.peer(env, "REGISTRY", "127.0.0.1:50051"),
        userworker=env.address("USERWORKER", "127.0.0.1:50052"),
        runner=runner,
        client=_client(env, variables, runner),
        connect_to=_parsed(env, "CONNECT_TO", ConnectTo.parse),
        allow_address=_parsed(env, "ALLOW_ADDRESS", AddressRange.parse),
        deny_address=_parsed(env, "DENY_ADDRESS", AddressRange.parse),
        allow_ports=_parsed(env, "ALLOW_PORTS", PortRange.parse),
        warnings=(),
    )
    return replace(config, warnings=tuple(env.unknown()))


def _client(env: Environment, variables: Mapping[str, str], runner: RunnerConfig) -> ClientConfig:
    return ClientConfig(
        connect_timeout=env.duration("CONNECT_TIMEOUT", "10s"),
        dns_timeout=env.duration("DNS_TIMEOUT", "5s"),
        tls_timeout=env.duration("TLS_TIMEOUT", "5s"),
        first_byte_timeout=env.duration("FIRST_BYTE_TIMEOUT", "60s"),
        idle_timeout=env.duration("BODY_IDLE_TIMEOUT", "60s"),
        max_connections=env.integer("MAX_CONNECTIONS", 1000, least=1),
        max_connections_per_worker=env.integer("MAX_CONNECTIONS_PER_WORKER", 100, least=1),
        max_connections_per_host=env.integer("MAX_CONNECTIONS_PER_HOST", 250, least=1),
        max_websockets=env.integer("MAX_WEBSOCKETS", 1000, least=1),
        max_websockets_per_worker=env.integer("MAX_WEBSOCKETS_PER_WORKER", 250, least=1),
        max_lookups=env.integer("MAX_LOOKUPS", 128, least=1),
        max_lookups_per_worker=env.integer("MAX_LOOKUPS_PER_WORKER", 16, least=1),
        max_message=runner.max_message,
        ca_file=variables.get("SSL_CERT_FILE") or None,
    )


def _parsed(env: Environment, name: str, parse: Callable[[str], T]) -> tuple[T, ...]:
    try:
        return tuple(parse(word) for word in env.words(name))
    except ValueError as error:
        raise SettingError(f"SLUICE_{name}: {error}") from error
