"""The settings of the userworker service."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from sluice.isolate import settings
from sluice.isolate.invocation import Limits
from sluice.isolate.runner import RunnerConfig
from sluice.mesh import tls
from sluice.mesh.env import Address, Environment
from sluice.mesh.roles import Role
from sluice.mesh.tls import Credentials


@dataclass(frozen=True, slots=True)
class Config:
    """What the service is told at its start. Documented in `docs/configuration.md`."""

    grpc_listen: Address
    registry: Address
    outbound: Address
    runner: RunnerConfig
    limits: Limits
    drain_grace: float
    allow_plaintext: bool
    credentials: Credentials | None
    log_level: str
    warnings: tuple[str, ...]


def read(variables: Mapping[str, str]) -> Config:
    """Read `SLUICE_*` variables. Raises `ConfigError` that names the variable."""
    env = Environment(variables)
    config = Config(
        grpc_listen=env.address("GRPC_LISTEN", "127.0.0.1:50052"),
        registry=env.address("REGISTRY", "127.0.0.1:50051"),
        outbound=env.address("OUTBOUND", "127.0.0.1:50053"),
        runner=settings.runner_config(env, variables),
        limits=settings.limits(env),
        drain_grace=env.duration("DRAIN_GRACE", "30s"),
        allow_plaintext=env.flag("UNSAFE_PLAINTEXT"),
        credentials=tls.read(env, Role.USERWORKER),
        log_level=env.text("LOG_LEVEL", "info"),
        warnings=(),
    )
    return replace(config, warnings=tuple(env.unknown()))
