"""Long bodies through the whole chain: nothing is kept of them but what is on its way.

`SLUICE_TEST_BODY=1GiB` in the environment makes them as long as that; 256 MiB else.
"""

from __future__ import annotations

import os

import pytest

from sluice.mesh.env import Environment
from tests.e2e.accounting import Watch
from tests.e2e.bodies import digest, download, serve, stream, upload
from tests.e2e.languages import JAVASCRIPT
from tests.e2e.mesh import Mesh
from tests.e2e.origin import Origin
from tests.e2e.twin import twin

SIZE = Environment({"SLUICE_TEST_BODY": os.environ.get("SLUICE_TEST_BODY", "256MiB")}).size(
    "TEST_BODY", "256MiB"
)
GROWTH = 64 * 2**20


async def _ready(mesh: Mesh, origin: Origin) -> None:
    """Start the isolates, and let every process hold what it holds for any body."""
    await mesh.deploy("acme", twin("sends_on", JAVASCRIPT.user), "production")
    origin.answer = serve
    await download(mesh, origin.url, 16 * 2**20)
    await upload(mesh, origin.url, 16 * 2**20)


@pytest.mark.timeout(900)
async def test_long_response(mesh: Mesh, origin: Origin) -> None:
    """A long response arrives whole, and no process grows by 64 MiB for it."""
    await _ready(mesh, origin)
    async with Watch(mesh) as watch:
        assert await download(mesh, origin.url, SIZE) == await digest(stream(SIZE))
    assert max(watch.growth().values()) < GROWTH, watch.growth()


@pytest.mark.timeout(900)
async def test_long_upload(mesh: Mesh, origin: Origin) -> None:
    """So does a long upload."""
    await _ready(mesh, origin)
    async with Watch(mesh) as watch:
        assert await upload(mesh, origin.url, SIZE) == await digest(stream(SIZE))
    assert max(watch.growth().values()) < GROWTH, watch.growth()
