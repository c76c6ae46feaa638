from __future__ import annotations

import asyncio
import sys
from pathlib import Path

QUICKSTART = Path(__file__).parents[2] / "examples" / "quickstart"


async def test_demo() -> None:
    """The demo finds every promise of the seed kept, shows each hop, and exits with 0."""
    demo = await asyncio.create_subprocess_exec(
        *(sys.executable, QUICKSTART / "demo.py"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await demo.communicate()
    printed = output.decode()
    assert demo.returncode == 0, printed
    for hop in ("origin ", "log service ", "egress log ", "client ", "└── "):
        assert f"\n  {hop}" in printed
    assert "All 16 claims hold." in printed
