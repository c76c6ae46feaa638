"""The settings of running Workers, which all three services have."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

from sluice.isolate.capacity import Capacity
from sluice.isolate.invocation import Limits
from sluice.isolate.pool import PoolConfig
from sluice.isolate.runner import RunnerConfig
from sluice.isolate.runtime import Runtime
from sluice.isolate.sandbox.machine import survey
from sluice.isolate.sandbox.posture import choose
from sluice.isolate.workerd import find_workerd
from sluice.mesh.channel import MAX_MESSAGE
from sluice.mesh.env import Environment, SettingError
from sluice.wire.places import Bounds

_LARGEST_MESSAGE = MAX_MESSAGE - 2**20


def runner_config(env: Environment, variables: Mapping[str, str]) -> RunnerConfig:
    """Read them. Raises `SettingError` that names the variable."""
    return RunnerConfig(
        _runtime(env, variables),
        _pool(env),
        wall_time=env.duration("WALL_TIME", "60s"),
        max_message=_max_message(env),
        limits=Limits(
            cpu=env.duration("CPU_LIMIT", "30s"),
            subrequests=env.integer("SUBREQUEST_LIMIT", 10_000),
        ),
        capacity=_capacity(env),
    )


def _runtime(env: Environment, variables: Mapping[str, str]) -> Runtime:
    env.text("WORKERD", "")  # read by `find_workerd`
    try:
        executable = find_workerd(variables)
    except FileNotFoundError as error:
        raise SettingError(f"SLUICE_WORKERD: {error}") from error
    folder = Path(env.text("RUN_DIR", "") or tempfile.gettempdir())
    posture = choose(
        env.text("SANDBOX", "auto"),
        unsafe=env.flag("UNSAFE_NO_SANDBOX"),
        machine=survey(executable, folder),
    )
    return Runtime(
        executable=executable,
        folder=folder,
        posture=posture,
        heap_bytes=env.size("WORKER_MEMORY", "128MiB"),
        python_once=_python_once(env),
    )


def _pool(env: Environment) -> PoolConfig:
    return PoolConfig(
        max_isolates=env.integer("MAX_ISOLATES", 100, least=1),
        idle=env.duration("ISOLATE_IDLE", "5m"),
        recycle_bytes=env.size("ISOLATE_RECYCLE", "512MiB"),
        starts=Bounds(
            total=env.integer("MAX_STARTS", 8, least=1),
            queue=env.integer("MAX_WAITING_STARTS", 100),
            wait=env.duration("MAX_WAIT", "5s"),
        ),
    )


def _capacity(env: Environment) -> Capacity:
    """What all Workers together, and one of them, may cost the service."""
    waiting = env.integer("MAX_WAITING", 1000)
    invocations = Bounds(
        total=env.integer("MAX_INVOCATIONS", 2000, least=1),
        each=env.integer("MAX_INVOCATIONS_PER_WORKER", 500, least=1),
        queue=waiting,
        queue_each=waiting // 4,
        wait=env.duration("MAX_WAIT", "5s"),
    )
    return Capacity(
        invocations,
        connections=env.integer("CONNECTION_LIMIT", 6, least=1),
        connection_wait=env.duration("CONNECTION_WAIT", "30s"),
        open_subrequests=env.integer("OPEN_SUBREQUEST_LIMIT", 1000, least=1),
        request_body=env.size("REQUEST_BODY_LIMIT", "100MiB") or None,
        response_body=env.size("RESPONSE_BODY_LIMIT", "0B") or None,
        log_rate=env.size("LOG_RATE", "64KiB"),
    )


def _python_once(env: Environment) -> bool:
    """Whether an invocation of a Python Worker has a process of its own."""
    isolation = env.text("PYTHON_ISOLATION", "process")
    if isolation not in ("process", "request"):
        raise SettingError(f"SLUICE_PYTHON_ISOLATION: {isolation!r} is not process or request")
    return isolation == "request"


def _max_message(env: Environment) -> int:
    """The limit of a WebSocket message, which has to fit in one gRPC message."""
    size = env.size("WEBSOCKET_MESSAGE_LIMIT", "1MiB")
    if not 1 <= size <= _LARGEST_MESSAGE:
        raise SettingError(
            f"SLUICE_WEBSOCKET_MESSAGE_LIMIT: not between 1B and {_LARGEST_MESSAGE // 2**20}MiB"
        )
    return size
