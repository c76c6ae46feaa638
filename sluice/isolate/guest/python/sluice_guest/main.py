"""The entry of the process: `run` serves a folder's Worker on a listening socket.

Importing this module imports all that the server needs, and starts nothing: a zygote does it once,
then forks and confines each isolate.
"""

from __future__ import annotations

import asyncio
import io
import os
import socket
import sys
from pathlib import Path

from sluice_guest import egress, worker
from sluice_guest.server import Server
from sluice_guest.transports import aiohttp_client
from sluice_guest.worker import Description, LoadError, Worker
from workers import bindings

_BACKLOG = 1024


def run(folder: str, listener_fd: int) -> None:
    """Serve the Worker in `folder` on a listening unix socket, until the process ends."""
    os.chdir(folder)
    sys.dont_write_bytecode = True
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(line_buffering=True, errors="backslashreplace")
    aiohttp_client.install(egress.SOCKET)
    asyncio.run(_serve(Path(folder), listener_fd))


async def _serve(folder: Path, listener_fd: int) -> None:
    description = Description.read(folder)
    bindings.set_static(description.bindings)
    egress.open_session()
    server = Server(_loaded(folder, description.main), description)
    with socket.socket(fileno=listener_fd) as listener:
        listener.setblocking(False)
        loop = asyncio.get_running_loop()
        serving = await loop.create_unix_server(server.protocol(), sock=listener, backlog=_BACKLOG)
        await serving.serve_forever()


def _loaded(folder: Path, main: str) -> Worker | LoadError:
    try:
        return worker.load(folder, main)
    except LoadError as error:
        return error
