"""From files and settings to a bundle."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from sluice.bundle import secrets
from sluice.bundle.config import DEFAULT_COMPATIBILITY_DATE, Outbound, WorkerConfig, load
from sluice.bundle.document import ConfigError, find, shown
from sluice.bundle.modules import collect
from sluice.bundle.validate import check_name, validate
from sluice.pb import worker_pb2
from sluice.wire.errors import SluiceError

MAIN_FILES = ("index.js", "index.mjs", "worker.js", "worker.mjs", "main.py")
"""What the main module of a folder without a config may be called."""


class Packed(NamedTuple):
    """A Worker ready to deploy."""

    name: str
    bundle: worker_pb2.Bundle
    warnings: tuple[str, ...]


def pack(config: WorkerConfig) -> worker_pb2.Bundle:
    """The bundle of a Worker. Raises `ConfigError`."""
    main_module, modules = collect(config)
    bundle = worker_pb2.Bundle(
        main_module=main_module,
        modules=modules,
        compatibility_date=config.compatibility_date,
        compatibility_flags=config.compatibility_flags,
        secrets=config.secrets,
        limits=worker_pb2.Limits(
            cpu_ms=config.limits.cpu_ms, subrequests=config.limits.subrequests
        ),
    )
    # A secret takes the place of a var of its name, as in wrangler dev.
    bundle.vars.update({k: v for k, v in config.vars.items() if k not in config.secrets})
    for bound in config.dispatch_namespaces:
        bundle.dispatch_namespaces.add(
            binding=bound.binding,
            dispatch_namespace=bound.namespace,
            outbound_service=_service(bound.outbound) if bound.outbound else "",
            outbound_parameters=bound.outbound.parameters if bound.outbound else (),
            egress=bound.egress,
        )
    try:
        validate(bundle)
    except SluiceError as error:
        raise ConfigError(f"{shown(config.path)}: {error.message}") from error
    return bundle


def pack_path(path: Path) -> Packed:
    """The Worker at `path`, with its `.dev.vars`. Raises `ConfigError`."""
    config = settings(path)
    return Packed(config.name, pack(config), config.warnings)


def settings(path: Path, environment: str | None = None) -> WorkerConfig:
    """The settings of the Worker at `path`. Raises `ConfigError`.

    A config file, a folder with one, a folder with one of `MAIN_FILES`, or a single file named
    after the Worker. The last two have no `environment`.
    """
    if environment is not None:
        return load(path, environment)
    if path.is_dir() and find(path) is None:
        return _bare(path.name, _main_file(path), secrets.load(path, None), alone=False)
    if path.suffix in (".js", ".mjs", ".py"):
        return _bare(path.stem, path, {}, alone=True)
    return load(path)


def entries(folder: Path) -> list[Path]:
    """The Workers in a `customers/` folder, by name: folders, and `.js`, `.mjs` and `.py` files."""
    return sorted(
        path
        for path in folder.iterdir()
        if path.name[0] not in "._" and (path.is_dir() or path.suffix in (".js", ".mjs", ".py"))
    )


def _main_file(folder: Path) -> Path:
    found = [folder / name for name in MAIN_FILES if (folder / name).is_file()]
    if not found:
        raise ConfigError(
            f"{folder.name}/: no Worker: expected wrangler.toml, wrangler.jsonc, "
            f"or one of {', '.join(MAIN_FILES)}"
        )
    if len(found) > 1:
        names = " and ".join(path.name for path in found)
        raise ConfigError(f"{folder.name}/: {names}: a wrangler.toml has to say which is main")
    return found[0]


def _bare(name: str, main: Path, secret: dict[str, str], *, alone: bool) -> WorkerConfig:
    """The settings of a Worker that has no config. One that is `alone` shares its folder."""
    try:
        check_name(name, "the Worker is named after its file or folder")
    except SluiceError as error:
        raise ConfigError(f"{shown(main)}: {error.message}") from error
    return WorkerConfig(
        path=main,
        name=name,
        main=main,
        compatibility_date=DEFAULT_COMPATIBILITY_DATE,
        secrets=secret,
        find_additional_modules=main.suffix == ".py" and not alone,
    )


def _service(outbound: Outbound) -> str:
    """Name of the Outbound Worker. Every Worker's default environment is called production."""
    if outbound.environment in (None, "production"):
        return outbound.service
    return f"{outbound.service}-{outbound.environment}"
