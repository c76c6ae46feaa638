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
