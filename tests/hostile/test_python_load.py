"""A Python Worker that is hostile when it is loaded, and by the names of its modules."""

from __future__ import annotations

import pytest

from sluice.isolate.invocation import Limits
from sluice.wire.errors import Reason, SluiceError
from tests.hostile.puppet import Puppet, python_bundle

LOADS = {
    "an exit": ("import os; os._exit(0)", Reason.ISOLATE_DIED),
    "an exit with a status": ("import os; os._exit(3)", Reason.WORKER_LOAD_FAILED),
    "sys.exit": ("import sys; sys.exit(0)", Reason.WORKER_LOAD_FAILED),
    "SystemExit": ("raise SystemExit('bye')", Reason.WORKER_LOAD_FAILED),
    "KeyboardInterrupt": ("raise KeyboardInterrupt", Reason.WORKER_LOAD_FAILED),
    "GeneratorExit": ("raise GeneratorExit", Reason.WORKER_LOAD_FAILED),
    "an exception without words": ("class E(Exception):\n    def __str__(self): raise RuntimeError\nraise E", Reason.WORKER_LOAD_FAILED),
    "a syntax error": ("def (", Reason.WORKER_LOAD_FAILED),
    "a NUL": ("x = 1\0", Reason.WORKER_LOAD_FAILED),
    "a bomb": ("x = []\nwhile True: x.append(bytearray(1 << 20))", Reason.WORKER_LOAD_FAILED),
    "a loop": ("while True: pass", Reason.EXCEEDED_CPU),
    "an abort": ("import os; os.abort()", Reason.ISOLATE_DIED),
    "its own death": ("import os; os.kill(os.getpid(), 9)", Reason.ISOLATE_DIED),
    "a closed listener": ("import os; os.close(3)", Reason.WORKER_LOAD_FAILED),
    "all closed": ("import os; os.closerange(0, 100)", Reason.WORKER_LOAD_FAILED),
    "a nest": ("x = " + "(" * 5000 + ")" * 5000, Reason.WORKER_LOAD_FAILED),
    "no handler": ("on_fetch = 1", Reason.WORKER_LOAD_FAILED),
    "a handler that raises to be called": ("class C(type):\n    def __getattribute__(c, n): raise SystemExit\nclass Default(metaclass=C): pass", Reason.WORKER_EXCEPTION),
    "a handler that exits": ("async def on_fetch(r): raise SystemExit(1)", Reason.WORKER_EXCEPTION),
    "a handler that interrupts": ("async def on_fetch(r): raise KeyboardInterrupt", None),
    "a handler that cancels": ("import asyncio\nasync def on_fetch(r): raise asyncio.CancelledError", None),
    "an exit that loops": ("import atexit, sys\ndef loop():\n    while True: pass\natexit.register(loop)\nimport os; os._exit(1)", Reason.WORKER_LOAD_FAILED),
}  # fmt: skip


@pytest.mark.parametrize("load", LOADS)
async def test_load(solo: Puppet, load: str) -> None:
    """Code that is hostile when it is loaded fails with a documented reason, and harms no other."""
    source, expected = LOADS[load]
    limits = Limits(cpu=0.5 if expected is Reason.EXCEEDED_CPU else 20)
    with pytest.raises(SluiceError) as raised:
        await solo.workers.fetch(python_bundle(source), name="loads", limits=limits)
    if expected is not None:
        assert raised.value.reason is expected
    assert await solo.run("return 'served'", name="a neighbour") == "served"


NAMES = ["/etc/cron.d/x.py", "../x.py", "a/../../x.py", "a/./b.py", "", "a//b.py", "a\0b.py", "x" * 300 + ".py", "/".join("a" * 20) + ".py", "main.py/x.py"]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
async def test_module_names(solo: Puppet, name: str) -> None:
    """A module whose name leads elsewhere is written nowhere."""
    bundle = python_bundle("x = 1")
    bundle.modules.add(name=name, kind=bundle.modules[0].kind, content=b"x = 1")
    with pytest.raises(SluiceError) as raised:
        await solo.workers.fetch(bundle)
    assert raised.value.reason is Reason.WORKER_LOAD_FAILED
