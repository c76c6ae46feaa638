"""Secrets from `.dev.vars`, a dotenv file beside the config.

<https://developers.cloudflare.com/workers/configuration/secrets/#local-development-with-secrets>
"""

from __future__ import annotations

from io import StringIO
from pathlib import Path

from dotenv.parser import parse_stream

from sluice.bundle.document import ConfigError, read_text, shown


def load(folder: Path, environment: str | None) -> dict[str, str]:
    """The secrets of `.dev.vars.<environment>`, or where that is absent of `.dev.vars`.

    As in wrangler, nothing is interpolated and the two are not merged. Raises `ConfigError`.
    """
    names = [f".dev.vars.{environment}"] if environment else []
    for path in (folder / name for name in [*names, ".dev.vars"]):
        if path.is_file():
            return read(path)
    return {}


def read(path: Path) -> dict[str, str]:
    """The secrets in a dotenv file. Raises `ConfigError`."""
    secrets = {}
    for binding in parse_stream(StringIO(read_text(path))):
        text = binding.original.string  # with the blank lines before it
        line = binding.original.line + text[: -len(text.lstrip()) or None].count("\n")
        if binding.error:
            raise ConfigError(f"{shown(path)}:{line}: expected NAME=value")
        if binding.key is None:
            continue
        if binding.value is None:
            raise ConfigError(f"{shown(path)}:{line}: {binding.key} has no value")
        secrets[binding.key] = binding.value
    return secrets
