"""The two workerd processes that are no part of the mesh: the origin, and the plain chain.

The plain chain is the limit: the same Workers in one process, joined by service bindings and
`globalOutbound`, which hand a request over without a socket. Its dispatch namespace binding is
`workers/binding.js`. What the mesh carries as params are plain bindings of the Outbound Worker.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from bench import child, sources
from bench.chain import AUTHORITY, CUSTOMER, Chain
from sluice.isolate.workerd import find_workerd

WORKERS = Path(__file__).parent / "workers"
DATE = "2026-11-01"
"""Compatibility date of every Worker here, in both chains."""


def _modules(worker: str) -> str:
    return ", ".join(
        f'(name = "{name}", esModule = embed "{worker}/{name}")' for name in sources.FILES[worker]
    )


_NETWORK = '(name = "internet", network = (allow = ["public", "private", "local"]))'
_ORIGIN = f"""using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [(name = "origin", worker = (
    modules = [(name = "origin.js", esModule = embed "workers/origin.js")],
    compatibilityDate = "{DATE}"))],
  sockets = [(name = "http", service = "origin")],
);
"""
_PLAIN = f"""using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
    (name = "dispatch", worker = (
      modules = [{_modules("dispatch")}],
      compatibilityDate = "{DATE}",
      bindings = [(name = "dispatcher", wrapped = (
        moduleName = "bench:binding", innerBindings = [(name = "user", service = "user")]))])),
    (name = "user", worker = (
      modules = [{_modules("user")}],
      compatibilityDate = "{DATE}",
      globalOutbound = "outbound")),
    (name = "outbound", worker = (
      modules = [{_modules("outbound")}],
      compatibilityDate = "{DATE}",
      bindings = [
        (name = "customer_name", text = "{CUSTOMER}"),
        (name = "url", text = "http://{AUTHORITY}/"),
        (name = "JWT_KEY", text = "{sources.JWT_KEY}")])),
    {_NETWORK},
  ],
  extensions = [(modules = [
    (name = "bench:binding", esModule = embed "workers/binding.js", internal = true)])],
  sockets = [(name = "http", service = "dispatch")],
);
"""


@contextlib.contextmanager
def origin(folder: Path) -> Iterator[tuple[int, int]]:
    """A running origin: its port and its process."""
    with _serving(_ORIGIN, "origin", folder) as (port, pid):
        yield port, pid


@contextlib.contextmanager
def plain(folder: Path, origin_url: str) -> Iterator[Chain]:
    """The plain chain, running."""
    sources.write(folder, origin_url)
    with _serving(_PLAIN, "plain", folder) as (port, pid):
        yield Chain("plain", port, lambda: {"workerd": pid})


@contextlib.contextmanager
def _serving(config: str, name: str, folder: Path) -> Iterator[tuple[int, int]]:
    file, log, port = folder / f"{name}.capnp", folder / f"{name}.log", child.free_port()
    file.write_text(config)
    workers = folder / "workers"
    if not workers.exists():
        workers.symlink_to(WORKERS, target_is_directory=True)
    workerd = str(find_workerd(os.environ))
    argv = [
        workerd,
        "serve",
        "--experimental",
        str(file),
        f"--socket-addr=http={child.HOST}:{port}",
    ]
    with child.running(argv, log) as process:
        child.wait_for_port(port, process)
        yield port, process.pid
