"""A Python Worker that does what it is sent: the attacker, who may run any code in its process."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from typing import Any

from sluice.isolate.invocation import Limits
from sluice.pb import worker_pb2
from sluice.wire.body import Whole
from sluice.wire.messages import Request
from tests.isolate.workers import Workers

_SOURCE = '''
import asyncio, ctypes, errno, fcntl, gc, json, mmap, os, resource, signal, socket, struct, sys
import threading, time, urllib.request
import _socket
from workers import Response, fetch

kept = {}
libc = ctypes.CDLL(None, use_errno=True)

def call(number, *arguments):
    """A system call, by its number on x86_64."""
    wide = [a if isinstance(a, (bytes, ctypes.Array)) else ctypes.c_long(a) for a in arguments]
    result = libc.syscall(ctypes.c_long(number), *wide)
    if result == -1:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result

def egress():
    from sluice_guest import broker
    return broker.connected(5)

def tokens():
    """Of the live invocations of this process, wherever they are."""
    from sluice_guest.invocation import Invocation
    gc.unfreeze()
    found = [o for o in gc.get_objects() if isinstance(o, Invocation) and not o.is_over]
    return sorted({each.token for each in found})

async def on_fetch(request, env, ctx):
    lines = (await request.text()).splitlines()
    scope = {**globals(), "request": request, "env": env, "ctx": ctx}
    exec("async def attack():\\n" + "\\n".join("    " + line for line in lines), scope)
    try:
        done = await scope["attack"]()
    except (OSError, ValueError) as error:
        number = getattr(error, "errno", None)
        return Response(json.dumps(errno.errorcode.get(number) or type(error).__name__))
    return Response(json.dumps(done, default=repr))
'''


def python_bundle(source: str, **modules: str) -> worker_pb2.Bundle:
    """A bundle with a main module, and others by their names without `.py`."""
    named = {"main.py": source, **{f"{name}.py": text for name, text in modules.items()}}
    return worker_pb2.Bundle(
        main_module="main.py",
        modules=[
            worker_pb2.Module(
                name=name, kind=worker_pb2.Module.KIND_PYTHON, content=dedent(text).encode()
            )
            for name, text in named.items()
        ],
        compatibility_date="2026-01-01",
    )


PUPPET = python_bundle(_SOURCE)


@dataclass
class Puppet:
    """The attacker in the sandbox of one posture."""

    workers: Workers
    folder: Path
    """Where the isolates have their folders."""

    has_own_root: bool
    """Whether it has namespaces, and so a root, of its own."""

    async def run(
        self, code: str, *, name: str = "mallory", detail: str = "d", limits: Limits | None = None
    ) -> Any:
        """What the body of an async function returns there, or the name of the error it ends with."""
        request = Request("POST", "http://a.test/", body=Whole(dedent(code).strip().encode()))
        status, text = await self.workers.fetch(
            PUPPET, request=request, name=name, detail=detail, limits=limits
        )
        assert status == 200, text
        return json.loads(text)

    def folders(self) -> set[Path]:
        """Folders of the isolates that are there."""
        return {path for path in self.folder.iterdir() if path.name.startswith("i-")}
