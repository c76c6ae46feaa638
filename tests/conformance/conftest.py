"""One mesh, one plain workerd and one origin, for all cases."""

from __future__ import annotations

import inspect
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.conformance.chain import Chain, deploy, plain
from tests.conformance.origin import Origin
from tests.e2e.mesh import Mesh


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run every test here in one event loop: the chains'."""
    for item in items:
        is_async = inspect.iscoroutinefunction(getattr(item, "function", None))
        if is_async and Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest.fixture(scope="session")
def conformance_folder() -> Iterator[Path]:
    """A short path: a unix socket's may have 107 bytes."""
    folder = Path(tempfile.mkdtemp(prefix="sl-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shared_origin() -> AsyncIterator[Origin]:
    """The origin, on ports that the Workers know."""
    origin = Origin()
    await origin.start()
    yield origin
    await origin.stop()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def chains(
    conformance_folder: Path, shared_origin: Origin
) -> AsyncIterator[tuple[Chain, Chain]]:
    """The plain chain, and the mesh's."""
    variables = shared_origin.variables
    (conformance_folder / "plain").mkdir()
    async with (
        plain(conformance_folder / "plain", variables) as reference,
        Mesh(conformance_folder, SLUICE_ALLOW_ADDRESS="127.0.0.1/32") as mesh,
    ):
        await mesh.namespace("production")
        yield reference, await deploy(mesh, variables)


@pytest.fixture
def origin(shared_origin: Origin) -> Origin:
    """The origin, as if new."""
    shared_origin.reset()
    return shared_origin
