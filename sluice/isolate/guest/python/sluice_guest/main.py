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
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from sluice_guest import broker, egress, imports, sockets, threads, trace, worker
from sluice_guest.server import Server
from sluice_guest.transports import aiohttp_client, http_client, httpcore, urllib3
from sluice_guest.worker import Description, LoadError, Worker
from workers import bindings

_BACKLOG = 1024


def run(folder: str, listener_fd: int, broker_fd: int) -> None:
    """Serve the Worker in `folder` on a listening unix socket. Its way out is by the broker.

    Returns when `worker.json` says `once` and the first invocation is over; else never.
    """
    os.chdir(folder)
    sys.dont_write_bytecode = True
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(line_buffering=True, errors="backslashreplace")
    _install(broker_fd)
    with asyncio.Runner() as runner:
        _run_on(runner.get_loop(), _serve(Path.cwd(), listener_fd))


def _run_on(loop: asyncio.AbstractEventLoop, serving: Coroutine[Any, Any, None]) -> None:
    """Run to the end. A `SystemExit` in a task ends that task, where asyncio ends the loop too."""
    loop.set_exception_handler(_show)
    task = loop.create_task(serving)
    while not task.done():
        try:
            loop.run_until_complete(task)
        except SystemExit as error:
            trace.show(error)


def _show(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Print what nobody handles: of a task that nobody awaits, say."""
    error = context.get("exception")
    if error is None:
        loop.default_exception_handler(context)
    elif not isinstance(error, SystemExit):  # which was shown when it was raised
        trace.show(error)


def _install(broker_fd: int) -> None:
    """Change what the Worker's code will find, before any of it runs."""
    broker.install(broker_fd)
    aiohttp_client.install()
    http_client.install()
    sockets.install()
    threads.install()
    imports.install({urllib3.MODULE: urllib3.patch, httpcore.MODULE: httpcore.patch})


async def _serve(folder: Path, listener_fd: int) -> None:
    loop = asyncio.get_running_loop()
    loop.set_task_factory(threads.task_of_invocation)
    description = Description.read(folder)
    bindings.set_static(description.bindings)
    egress.open_session()
    server = Server(_loaded(folder, description.main), description)
    listener = server.listener()
    with socket.socket(fileno=listener_fd) as listening:
        listening.setblocking(False)
        serving = await loop.create_unix_server(listener, sock=listening, backlog=_BACKLOG)
        if description.once:
            await server.served.wait()
            await listener.lost.wait()
        else:
            await serving.serve_forever()


def _loaded(folder: Path, main: str) -> Worker | LoadError:
    try:
        return worker.load(folder, main)
    except LoadError as error:
        return error
