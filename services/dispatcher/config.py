"""The settings of the dispatcher service."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from sluice.isolate import settings as isolate_settings
from sluice.isolate.runner import RunnerConfig
from sluice.mesh import settings as mesh_settings
from sluice.mesh.env import Address, Environment, SettingError
from sluice.mesh.roles import Role
from sluice.mesh.settings import MeshConfig

_LEAST_GRACE = 0.1
"""Seconds. Four times in it all connections are looked at."""


@dataclass(frozen=True, slots=True)
class Config:
    """What the service is told at its start. Documented in `docs/configuration.md`."""

    http_listen: Address
    client_rate: int
    """Bytes a second that a client must send or take, while it is waited for. 0: any will do."""

    client_grace: float
    """Seconds until that counts."""

    mesh: MeshConfig
    userworker: Address
    outbound: Address
    database_url: str = field(repr=False)
    dispatch_worker: str
    api_token: str | None = field(repr=False)
    runner: RunnerConfig
    warnings: tuple[str, ...]


def read(variables: Mapping[str, str]) -> Config:
    """Read `SLUICE_*` variables. Raises `SettingError` that names the variable."""
    env = Environment(variables)
    mesh = mesh_settings.read(env, Role.DISPATCHER, "127.0.0.1:50051")
    config = Config(
        http_listen=env.address("HTTP_LISTEN", "127.0.0.1:8787"),
        client_rate=env.size("CLIENT_RATE", "240B"),
        client_grace=_client_grace(env),
        mesh=mesh,
        userworker=mesh.peer(env, "USERWORKER", "127.0.0.1:50052"),
        outbound=mesh.peer(env, "OUTBOUND", "127.0.0.1:50053"),
        database_url=env.text("DATABASE_URL", "sqlite+aiosqlite:///sluice.db"),
        dispatch_worker=env.text("DISPATCH_WORKER", "dispatch"),
        api_token=env.text("API_TOKEN", "") or None,
        runner=isolate_settings.runner_config(env, variables),
        warnings=(),
    )
    if config.api_token is None and not config.mesh.listen.is_loopback:
        raise SettingError(
            "SLUICE_API_TOKEN: must be set, because other machines can reach the management API "
            f"at {config.mesh.listen}"
        )
    return replace(config, warnings=tuple(env.unknown()))


def _client_grace(env: Environment) -> float:
    grace = env.duration("CLIENT_GRACE", "5s")
    if grace < _LEAST_GRACE:
        raise SettingError(f"SLUICE_CLIENT_GRACE: must be at least {_LEAST_GRACE * 1000:g}ms")
    return grace
