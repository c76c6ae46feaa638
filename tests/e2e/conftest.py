"""A real mesh, shared by the tests that leave it whole, and a real origin for each."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.e2e.mesh import Mesh, dispatch_bundle, running
from tests.e2e.origin import Origin

OUTBOUND = """export default { async fetch(request, env) {
  const headers = new Headers(request.headers);
  headers.set('x-customer', env.customer_name ?? 'none');
  return fetch(new Request(request, { headers })); } }"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run every test here in one event loop: the shared mesh's."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


def _short_folder() -> Iterator[Path]:
    """A short path: a unix socket's may have 107 bytes."""
    folder = Path(tempfile.mkdtemp(prefix="sl-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


short_folder = pytest.fixture(_short_folder)
shared_folder = pytest.fixture(_short_folder, scope="session")


@pytest_asyncio.fixture(loop_scope="session")
async def origin() -> AsyncIterator[Origin]:
    """An origin of the test's own."""
    origin = Origin()
    stop = await origin.start()
    yield origin
    await stop()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shared_mesh(shared_folder: Path) -> AsyncIterator[Mesh]:
    """One mesh for all tests that do not kill it."""
    variables = {
        "SLUICE_ALLOW_ADDRESS": "127.0.0.1/32",
        "SLUICE_ISOLATE_IDLE": "3s",
        "SLUICE_REQUEST_BODY_LIMIT": "0B",  # test_memory sends long ones
    }
    async with running(shared_folder, **variables) as mesh:
        yield mesh
    assert [path.name for path in shared_folder.iterdir() if path.is_dir()] == []


@pytest_asyncio.fixture(loop_scope="session")
async def mesh(shared_mesh: Mesh) -> Mesh:
    """The shared mesh, with its usual dispatch Worker and Outbound Worker and an empty log."""
    await shared_mesh.deploy("dispatch", dispatch_bundle())
    await shared_mesh.deploy("outbound", OUTBOUND)
    for service in shared_mesh.services.values():
        service.lines.clear()
    return shared_mesh
