from __future__ import annotations

import resource
import subprocess
import sys

import pytest

LOWERED = """import resource
from sluice.mesh import process
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (min({soft}, hard), hard))
process._raise_descriptor_limit()
print(resource.getrlimit(resource.RLIMIT_NOFILE)[0])"""


@pytest.mark.parametrize("soft", [256, 1024])
def test_descriptors(soft: int) -> None:
    """A service may open as many files as the system lets it, up to 65,536."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    most = 65_536 if hard == resource.RLIM_INFINITY else min(hard, 65_536)
    code = LOWERED.format(soft=soft)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.stdout.strip(), done.stderr) == (str(most), "")


FREED = """from pathlib import Path
from sluice.mesh import process
def resident():
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0])
kept = [(bytes(32_000), bytes(200)) for _ in range(3000)]
small = [pair[1] for pair in kept]
del kept
before = resident()
process.give_back()
print(before - resident() > 32 * 1024)"""


@pytest.mark.skipif(sys.platform != "linux", reason="malloc_trim is glibc's")
def test_free_memory_is_given_back() -> None:
    """What lies between objects that live on goes back to the system, too."""
    done = subprocess.run([sys.executable, "-c", FREED], capture_output=True, text=True)
    assert (done.stdout.strip(), done.stderr) == ("True", "")
