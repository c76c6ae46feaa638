"""A Worker's folder: config, secrets and scripts, as customers write them, packed for deploying.

The first byte says which file the rest is; the others are as they should be.
"""

from __future__ import annotations

import contextlib
import tempfile
from functools import lru_cache
from pathlib import Path

from fuzz.target import Target
from sluice.bundle.config import load
from sluice.bundle.document import ConfigError
from sluice.bundle.pack import pack, settings

_CONFIG = b'name = "a"\nmain = "index.js"\ncompatibility_date = "2026-01-01"\n'
_SCRIPT = b"export default { fetch() { return new Response() } }"
_FILES = ("wrangler.toml", "wrangler.jsonc", ".dev.vars", "index.js")


def _read(data: bytes) -> None:
    folder = _folder()
    name = _FILES[(data[0] if data else 0) % len(_FILES)]
    files = {"index.js": _SCRIPT, name: data[1:]}
    if name != "wrangler.jsonc":
        files.setdefault("wrangler.toml", _CONFIG)
    for file in _FILES:
        if file in files:
            (folder / file).write_bytes(files[file])
        else:
            (folder / file).unlink(missing_ok=True)
    for environment in (None, "staging"):
        with contextlib.suppress(ConfigError):
            pack(load(folder, environment))
            pack(settings(folder, environment))


@lru_cache(maxsize=1)
def _folder() -> Path:
    """In memory, where the machine has a place for that."""
    shared = Path("/dev/shm")
    folder = tempfile.TemporaryDirectory(
        prefix="sluice-fuzz-", dir=shared if shared.is_dir() else None
    )
    _kept.append(folder)
    worker = Path(folder.name) / "worker"
    worker.mkdir()
    (worker / "other.js").write_bytes(b"export const other = 1")
    (worker / "page.html").write_bytes(b"<p>")
    return worker


_kept: list[tempfile.TemporaryDirectory[str]] = []

_TOML = b"""name = "a"
main = "index.js"
compatibility_date = "2026-01-01"
compatibility_flags = ["nodejs_compat"]
find_additional_modules = true
base_dir = "."

[vars]
A = { b = [1, 2.5, "x"], c = true }

[[rules]]
type = "Text"
globs = ["**/*.html"]
fallthrough = true

[[dispatch_namespaces]]
binding = "DISPATCH"
namespace = "production"
outbound = { service = "out", environment = "staging", parameters = ["p"] }

[limits]
cpu_ms = 50
subrequests = 5

[env.staging]
name = "b"
vars = { B = "1" }
"""
_JSONC = b"""{ // a comment
  "name": "a", "main": "index.js", "compatibility_date": "2026-01-01",
  "vars": {"A": {"b": [1, 2.5, null, "\\u00e9"]}, }, /* another */
  "dispatch_namespaces": [{"binding": "D", "namespace": "n", "remote": true}],
  "limits": {"cpu_ms": 50}, "routes": [], "unknown": 0, "env": {"staging": {}},
}
"""
_VARS = b"A=1\n# comment\nexport B='two words'\nC=\"x\\ny\"\n\nD = plain # comment\n"
_MODULE = b"""import { other } from "./other.js";
import text from './page.html';
export { other as again } from "./other.js";
const fs = require("fs");
export default { async fetch() { await import("./missing.js"); return new Response(text) } };
"""

TARGET = Target(
    "bundle",
    _read,
    {
        "wrangler.toml": b"\0" + _TOML,
        "wrangler.jsonc": b"\1" + _JSONC,
        ".dev.vars": b"\2" + _VARS,
        "a module": b"\3" + _MODULE,
        "a service worker": b"\3addEventListener('fetch', (e) => e.respondWith(fetch(e.request)))",
        "a bare toml": b"\0" + _CONFIG,
    },
)
