"""A config file as plain values: TOML, or JSON with comments, by file name."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import json5

NAMES = ("wrangler.json", "wrangler.jsonc", "wrangler.toml")
"""The names that wrangler looks for, in its order."""

MAX_BYTES = 1024 * 1024
"""Most bytes of a config file."""

_TOML_PLACE = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")
_JSON_PLACE = re.compile(r"^<string>:(\d+) (.*) at column (\d+)$", re.DOTALL)


class ConfigError(Exception):
    """A config that cannot be used. The message names file and key, or file, line and column."""


def find(folder: Path) -> Path | None:
    """The config file in `folder`, or None."""
    return next((folder / name for name in NAMES if (folder / name).is_file()), None)


def shown(path: Path) -> str:
    """How messages name a file: with the folder that holds it, which tells one from another."""
    return f"{path.parent.name}/{path.name}" if path.parent.name else path.name


def read(path: Path) -> dict[str, Any]:
    """The table in a file. Raises `ConfigError`."""
    if path.suffix not in (".toml", ".json", ".jsonc"):
        raise ConfigError(f"{shown(path)}: not a config: expected .toml, .json or .jsonc")
    text = read_text(path)
    document = _toml(text, path) if path.suffix == ".toml" else _jsonc(text, path)
    if not isinstance(document, dict):
        raise ConfigError(f"{shown(path)}: expected an object, got {type_name(document)}")
    return document


def read_text(path: Path) -> str:
    """The text of a file. Raises `ConfigError`."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{shown(path)}: {error.strerror}") from error
    if len(data) > MAX_BYTES:
        raise ConfigError(f"{shown(path)}: over {MAX_BYTES} bytes")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{shown(path)}:{line}: not UTF-8") from error


def type_name(value: object) -> str:
    """What a value is called in a message, with its article."""
    names: dict[type, str] = {
        str: "a string",
        bool: "a boolean",
        int: "a number",
        float: "a number",
        list: "a list",
        dict: "a table",
        type(None): "null",
    }
    return names.get(type(value), f"a {type(value).__name__}")


def _toml(text: str, path: Path) -> Any:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        message = str(error)
        place = _TOML_PLACE.search(message)
        if place is None:
            raise ConfigError(f"{shown(path)}: {message}") from error
        line, column = place.groups()
        if line is None:
            line, column = _end(text)
        what = message[: place.start()]
        raise ConfigError(f"{shown(path)}:{line}:{column}: {what}") from error


def _jsonc(text: str, path: Path) -> Any:
    try:
        return json5.loads(text, allow_duplicate_keys=False)
    except ValueError as error:
        place = _JSON_PLACE.match(str(error))
        if place is None:
            raise ConfigError(f"{shown(path)}: {error}") from error
        line, what, column = place.groups()
        what = what.replace("\n", "\\n")
        raise ConfigError(f"{shown(path)}:{line}:{column}: {what}") from error


def _end(text: str) -> tuple[str, str]:
    """Line and column of the end of `text`."""
    lines = text.split("\n")
    return str(len(lines)), str(len(lines[-1]) + 1)
