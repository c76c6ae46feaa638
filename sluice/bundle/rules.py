"""Which kind of module a file is: the config's rules, then wrangler's defaults, then its suffix.

<https://developers.cloudflare.com/workers/wrangler/bundling/>
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

from sluice.bundle.config import Rule
from sluice.pb.worker_pb2 import Module

DEFAULT_RULES = (
    Rule("Text", ("**/*.txt", "**/*.html", "**/*.sql")),
    Rule("Data", ("**/*.bin",)),
    Rule("CompiledWasm", ("**/*.wasm",)),
    Rule("PythonModule", ("**/*.py",)),
)
"""Wrangler's, and the one that it adds for a Python Worker."""

_KINDS = {
    "ESModule": Module.KIND_ES_MODULE,
    "CommonJS": Module.KIND_COMMON_JS,
    "Text": Module.KIND_TEXT,
    "Data": Module.KIND_DATA,
    "CompiledWasm": Module.KIND_WASM,
    "PythonModule": Module.KIND_PYTHON,
}

_SUFFIXES = {
    ".js": Module.KIND_ES_MODULE,
    ".mjs": Module.KIND_ES_MODULE,
    ".cjs": Module.KIND_COMMON_JS,
    ".json": Module.KIND_JSON,
}


def effective(rules: Iterable[Rule]) -> list[Rule]:
    """The rules that hold, defaults included: one without `fallthrough` is the last of its type."""
    closed: set[str] = set()
    held = []
    for rule in (*rules, *DEFAULT_RULES):
        if rule.type not in closed:
            held.append(rule)
        if not rule.fallthrough:
            closed.add(rule.type)
    return held


def matched(name: str, rules: Iterable[Rule]) -> Module.Kind | None:
    """The kind that the first matching rule gives the module `name`, or None."""
    for rule in rules:
        if any(_pattern(glob).fullmatch(name) for glob in rule.globs):
            return _KINDS[rule.type]
    return None


def by_suffix(name: str) -> Module.Kind | None:
    """The kind of an imported file that no rule matches, or None."""
    return next((kind for suffix, kind in _SUFFIXES.items() if name.endswith(suffix)), None)


@lru_cache(maxsize=256)
def _pattern(glob: str) -> re.Pattern[str]:
    """As npm's glob-to-regexp has it, which wrangler uses: only `*` and `**` are special."""
    special = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*"}
    pieces = re.split(r"(\*\*/|\*\*|\*)", glob)
    return re.compile("".join(special.get(piece) or re.escape(piece) for piece in pieces))
