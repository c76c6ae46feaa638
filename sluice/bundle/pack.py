"""From files and settings to a bundle."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from sluice.bundle.config import WorkerConfig
from sluice.pb import worker_pb2


class Packed(NamedTuple):
    """A Worker ready to deploy."""

    name: str
    bundle: worker_pb2.Bundle
    warnings: tuple[str, ...]


def pack(config: WorkerConfig) -> worker_pb2.Bundle:
    """The bundle of a Worker with a config. Raises `ConfigError` or `SluiceError`."""
    raise NotImplementedError


def pack_path(path: Path) -> Packed:
    """The Worker at `path`, an entry of a `customers/` folder.

    A folder with a wrangler config, a folder with `index.js` or `main.py`, or a single file named
    after the Worker. Raises `ConfigError` or `SluiceError`.
    """
    raise NotImplementedError
