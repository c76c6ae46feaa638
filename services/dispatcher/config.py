"""The settings of the dispatcher service."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from sluice.isolate import settings
from sluice.isolate.invocation import Limits
from sluice.isolate.runner import RunnerConfig
from sluice.mesh import tls
from sluice.mesh.env import Address, ConfigError, Environment
from sluice.mesh.roles import Role
from sluice.mesh.tls import Credentials


@dataclass(frozen=True, slots=True)
class Config:
    """What the service is told at its start. Documented in `docs/configuration.md`."""

    http_listen: Address
    grpc_listen: Address
    userworker: Address
    outbound: Address
    database_url: str
    dispatch_worker: str
    api_token: str | None
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
        http_listen=env.address("HTTP_LISTEN", "127.0.0.1:8787"),
        grpc_listen=env.address("GRPC_LISTEN", "127.0.0.1:50051"),
        userworker=env.address("USERWORKER", "127.0.0.1:50052"),
        outbound=env.address("OUTBOUND", "127.0.0.1:50053"),
        database_url=env.text("DATABASE_URL", "sqlite+aiosqlite:///sluice.db"),
        dispatch_worker=env.text("DISPATCH_WORKER", "dispatch"),
        api_token=env.text("API_TOKEN", "") or None,
        runner=settings.runner_config(env, variables),
        limits=settings.limits(env),
        drain_grace=env.duration("DRAIN_GRACE", "30s"),
        allow_plaintext=env.flag("UNSAFE_PLAINTEXT"),
        credentials=tls.read(env, Role.DISPATCHER),
        log_level=env.text("LOG_LEVEL", "info"),
        warnings=(),
    )
    if config.api_token is None and not config.grpc_listen.is_loopback:
        raise ConfigError(
            "SLUICE_API_TOKEN: must be set, because other machines can reach the management API "
            f"at {config.grpc_listen}"
        )
    return replace(config, warnings=tuple(env.unknown()))
