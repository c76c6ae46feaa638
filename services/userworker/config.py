"""The settings of the userworker service."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from sluice.isolate import settings as isolate_settings
from sluice.isolate.runner import RunnerConfig
from sluice.mesh import settings as mesh_settings
from sluice.mesh.env import Address, Environment
from sluice.mesh.roles import Role
from sluice.mesh.settings import MeshConfig


@dataclass(frozen=True, slots=True)
class Config:
    """What the service is told at its start. Documented in `docs/configuration.md`."""

    mesh: MeshConfig
    registry: Address
    outbound: Address
    runner: RunnerConfig
    warnings: tuple[str, ...]


def read(variables: Mapping[str, str]) -> Config:
    """Read `SLUICE_*` variables. Raises `SettingError` that names the variable."""
    env = Environment(variables)
    mesh = mesh_settings.read(env, Role.USERWORKER, "127.0.0.1:50052")
    config = Config(
        mesh=mesh,
        registry=mesh.peer(env, "REGISTRY", "127.0.0.1:50051"),
        outbound=mesh.peer(env, "OUTBOUND", "127.0.0.1:50053"),
        runner=isolate_settings.runner_config(env, variables),
        warnings=(),
    )
    return replace(config, warnings=tuple(env.unknown()))
