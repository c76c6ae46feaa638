"""Running a load generator as a process: this package's own, or wrk."""

from __future__ import annotations

import json
import re
import resource
import subprocess
import sys
from collections.abc import Callable
from typing import TypeAlias

from bench.chain import AUTHORITY
from bench.child import HOST
from bench.load import Load

Generator: TypeAlias = Callable[[int, int, float], Load]
"""`(port, connections, seconds)`: load that port."""

_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0}


def own(port: int, connections: int, seconds: float) -> Load:
    """`bench.load`."""
    arguments = [str(port), AUTHORITY, str(connections), str(seconds)]
    printed = _printed([sys.executable, "-m", "bench.load", *arguments], seconds)
    return Load(**json.loads(printed))


def wrk(port: int, connections: int, seconds: float) -> Load:
    """`wrk`, with one thread. It takes whole seconds."""
    before = _children_cpu()
    argv = ["wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--latency"]
    argv += ["-H", f"Host: {AUTHORITY}", f"http://{HOST}:{port}/"]
    return read_wrk(_printed(argv, seconds), _children_cpu() - before)


def read_wrk(printed: str, cpu: float) -> Load:
    """What wrk printed."""
    total = re.search(r"(\d+) requests in ([\d.]+)(us|ms|s)", printed)
    percentiles = dict(re.findall(r"(50|99)%\s+([\d.]+(?:us|ms|s))", printed))
    if total is None or len(percentiles) != 2:
        raise RuntimeError(f"wrk printed:\n{printed}")
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", printed)
    broken = re.search(r"Socket errors: (.*)", printed)
    return Load(
        requests=int(total[1]),
        failed=int(refused[1] if refused else 0)
        + sum(map(int, re.findall(r"\d+", broken[1] if broken else ""))),
        seconds=float(total[2]) * _UNITS[total[3]],
        p50=_seconds(percentiles["50"]),
        p99=_seconds(percentiles["99"]),
        cpu=cpu,
    )


def _seconds(text: str) -> float:
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s)", text).groups()  # type: ignore[union-attr]
    return float(number) * _UNITS[unit]


def _printed(argv: list[str], seconds: float) -> str:
    done = subprocess.run(argv, stdout=subprocess.PIPE, text=True, check=True, timeout=seconds + 60)
    return done.stdout


def _children_cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
