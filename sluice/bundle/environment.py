"""Named environments: what `[env.<name>]` changes, and what it inherits.

<https://developers.cloudflare.com/workers/wrangler/environments/>
"""

from __future__ import annotations

from typing import Any, NamedTuple

from sluice.bundle.document import ConfigError, type_name

NOT_INHERITED = frozenset({"vars", "dispatch_namespaces", "secrets", "define"})
"""Keys of the top level that a named environment does not have unless it says them itself."""


class Effective(NamedTuple):
    """A config with one environment chosen."""

    values: dict[str, Any]
    places: dict[str, str]
    """Where the keys of the environment stand: `env.<name>.<key>`."""

    warnings: list[str]


def choose(document: dict[str, Any], environment: str | None, file: str) -> Effective:
    """The values that hold in `environment`, or at the top level for None. Raises `ConfigError`."""
    top = {key: value for key, value in document.items() if key not in ("env", "$schema")}
    named = document.get("env", {})
    if not isinstance(named, dict):
        raise ConfigError(f"{file}: env: expected a table, got {type_name(named)}")
    if environment is None:
        return Effective(top, {}, [])
    chosen = named.get(environment)
    if chosen is None:
        there = f"there are {', '.join(sorted(named))}" if named else "there are none"
        raise ConfigError(f"{file}: env.{environment}: no such environment; {there}")
    if not isinstance(chosen, dict):
        raise ConfigError(f"{file}: env.{environment}: expected a table, got {type_name(chosen)}")
    inherited = {key: value for key, value in top.items() if key not in NOT_INHERITED}
    if "name" not in chosen and isinstance(top.get("name"), str):
        inherited["name"] = f"{top['name']}-{environment}"
    return Effective(
        inherited | chosen,
        {key: f"env.{environment}.{key}" for key in chosen},
        [
            f"{file}: {key}: not inherited by env.{environment}, which does not say it"
            for key in top
            if key in NOT_INHERITED and key not in chosen
        ],
    )
