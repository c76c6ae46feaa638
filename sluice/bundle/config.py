"""A Worker's settings, as wrangler's config files have them.

Formats and keys: <https://developers.cloudflare.com/workers/wrangler/configuration/>. A key that
wrangler knows and Sluice has no use for is a warning, as is one that neither knows.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sluice.bundle import document, egress, secrets
from sluice.bundle.document import ConfigError, find
from sluice.bundle.environment import choose
from sluice.bundle.keys import NOT_SUPPORTED
from sluice.bundle.section import Section
from sluice.bundle.validate import check_name, is_date
from sluice.pb import worker_pb2
from sluice.wire.errors import SluiceError

__all__ = [
    "DEFAULT_COMPATIBILITY_DATE",
    "ConfigError",
    "DispatchNamespace",
    "Limits",
    "Outbound",
    "Rule",
    "WorkerConfig",
    "find",
    "load",
]

DEFAULT_COMPATIBILITY_DATE = "2026-11-01"
"""For a Worker that is a bare file, and so has no config to say it."""

RULE_TYPES = ("ESModule", "CommonJS", "Text", "Data", "CompiledWasm", "PythonModule")
"""Types of module that a rule may give."""

_NOT_SUPPORTED = "wrangler's, but not supported by Sluice, ignored"


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
    egress: worker_pb2.EgressPolicy | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of every invocation. None: the platform's."""

    cpu_ms: int | None = None
    subrequests: int | None = None


@dataclass(frozen=True, slots=True)
class WorkerConfig:
    """One Worker's settings. `path` is the config's file, or the bare Worker's own."""

    path: Path
    name: str
    main: Path
    compatibility_date: str
    compatibility_flags: tuple[str, ...] = ()
    vars: dict[str, Any] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict, repr=False)
    rules: tuple[Rule, ...] = ()
    dispatch_namespaces: tuple[DispatchNamespace, ...] = ()
    limits: Limits = field(default_factory=Limits)
    base_dir: Path | None = None
    """Folder that names modules and that `rules` search. None: the folder of `main`."""

    find_additional_modules: bool = False
    """Whether every file that `rules` match is a module, and not only what `main` imports."""

    warnings: tuple[str, ...] = ()


def load(path: Path, environment: str | None = None) -> WorkerConfig:
    """Read a config file, or the one in a folder.

    `environment` picks an `[env.<name>]`, by wrangler's inheritance rules. Raises `ConfigError`.
    """
    path = _config_file(path)
    file = document.shown(path)
    chosen = choose(document.read(path), environment, file)
    top = Section(file, chosen.values, chosen.warnings, places=chosen.places)
    config = _read(top, path, secrets.load(path.parent, environment))
    top.ignore(NOT_SUPPORTED, _NOT_SUPPORTED)
    top.finish()
    return replace(config, warnings=tuple(chosen.warnings))


def _config_file(path: Path) -> Path:
    if not path.is_dir():
        return path
    found = find(path)
    if found is None:
        raise ConfigError(f"{path.name}/: no {', '.join(document.NAMES)} in this folder")
    return found


def _read(top: Section, path: Path, secret: dict[str, str]) -> WorkerConfig:
    main = path.parent / top.required("main")
    base_dir = top.name("base_dir")
    no_bundle = top.boolean("no_bundle") or main.suffix == ".py"
    additional = top.boolean("find_additional_modules")
    return WorkerConfig(
        path=path,
        name=_worker_name(top),
        main=main,
        compatibility_date=_date(top),
        compatibility_flags=top.strings("compatibility_flags"),
        vars=top.json("vars"),
        secrets=secret,
        rules=tuple(_rule(rule) for rule in top.tables("rules")),
        dispatch_namespaces=tuple(_namespace(ns) for ns in top.tables("dispatch_namespaces")),
        limits=_limits(top.table("limits")),
        base_dir=None if base_dir is None else path.parent / base_dir,
        find_additional_modules=no_bundle if additional is None else additional,
    )


def _worker_name(top: Section) -> str:
    name = top.required("name")
    try:
        check_name(name, "name")
    except SluiceError as error:
        raise top.error("name", error.message.removeprefix("name: ")) from error
    return name


def _date(top: Section) -> str:
    date = top.required("compatibility_date")
    if not is_date(date):
        raise top.error("compatibility_date", f"expected a date, YYYY-MM-DD, got {date!r}")
    return date


def _rule(rule: Section) -> Rule:
    kind = rule.required("type")
    if kind not in RULE_TYPES:
        raise rule.error("type", f"expected one of {', '.join(RULE_TYPES)}, got {kind!r}")
    read = Rule(kind, rule.strings("globs"), rule.boolean("fallthrough") or False)
    if not read.globs:
        raise rule.error("globs", "missing")
    rule.finish()
    return read


def _namespace(binding: Section) -> DispatchNamespace:
    outbound = binding.table("outbound")
    policy = binding.table("egress")
    read = DispatchNamespace(
        binding.required("binding"),
        binding.required("namespace"),
        None if outbound is None else _outbound(outbound),
        None if policy is None else egress.read(policy),
    )
    binding.ignore(frozenset({"remote"}), _NOT_SUPPORTED)
    binding.finish()
    return read


def _outbound(outbound: Section) -> Outbound:
    read = Outbound(
        outbound.required("service"),
        outbound.name("environment"),
        outbound.strings("parameters"),
    )
    outbound.finish()
    return read


def _limits(limits: Section | None) -> Limits:
    if limits is None:
        return Limits()
    read = Limits(limits.count("cpu_ms"), limits.count("subrequests"))
    limits.finish()
    return read
