"""A Worker's settings, as wrangler's config files have them.

Formats and keys: <https://developers.cloudflare.com/workers/wrangler/configuration/>.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

DEFAULT_COMPATIBILITY_DATE = "2026-11-01"
"""For a Worker that is a bare file, and so has no config to say it."""


class ConfigError(Exception):
    """A config that cannot be read. The message names file and key, or file, line and column."""


@dataclass(frozen=True, slots=True)
class Rule:
    """Which files are modules of which type (`ESModule`, `CommonJS`, `Text`, ...)."""

    type: str
    globs: tuple[str, ...]
    fallthrough: bool = False


@dataclass(frozen=True, slots=True)
class Outbound:
    """The Outbound Worker of a dispatch namespace binding, and what `get()` may pass to it."""

    service: str
    environment: str | None = None
    parameters: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DispatchNamespace:
    """A binding to a dispatch namespace."""

    binding: str
    namespace: str
    outbound: Outbound | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of every invocation. None: the platform's."""

    cpu_ms: int | None = None
    subrequests: int | None = None


@dataclass(frozen=True, slots=True)
class WorkerConfig:
    """One Worker's settings. `main` and `base_dir` are absolute; `path` is the config's."""

    path: Path
    name: str
    main: Path
    compatibility_date: str
    compatibility_flags: tuple[str, ...] = ()
    vars: dict[str, Any] | None = None
    secrets: dict[str, str] | None = None
    rules: tuple[Rule, ...] = ()
    dispatch_namespaces: tuple[DispatchNamespace, ...] = ()
    limits: Limits = Limits()
    base_dir: Path | None = None
    find_additional_modules: bool = False
    warnings: tuple[str, ...] = ()


def find(folder: Path) -> Path | None:
    """The config file in `folder`: `wrangler.json`, `wrangler.jsonc` or `wrangler.toml`."""
    raise NotImplementedError


def load(path: Path, environment: str | None = None) -> WorkerConfig:
    """Read a config file, or the one in a folder.

    `environment` picks an `[env.<name>]`, by wrangler's inheritance rules. Raises `ConfigError`.
    """
    raise NotImplementedError
