"""Real meshes, shared by the tests that leave them whole, and a real origin for each test.

A test that has a `chain` runs in every combination of languages, all tests of one after another,
so that isolates stay warm.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from click.testing import CliRunner

from sluice.cli.main import main
from sluice.mesh.collector import Collector
from sluice.mesh.env import Address
from tests.e2e.chain import Chain
from tests.e2e.languages import COMBINATIONS, JAVASCRIPT, Languages
from tests.e2e.mesh import Mesh, running
from tests.e2e.origin import Origin

WALL_TIME = 2.0
"""Seconds that an invocation in the strict mesh may take."""


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
strict_folder = pytest.fixture(_short_folder, scope="session")
local_folder = pytest.fixture(_short_folder, scope="session")


@pytest.fixture
def certificates(short_folder: Path) -> Path:
    """Certificates for every role."""
    folder = short_folder / "certs"
    result = CliRunner().invoke(main, ["certs", "--out", str(folder)])
    assert result.exit_code == 0, result.output
    return folder


@pytest.fixture(scope="session", params=COMBINATIONS, ids=str)
def languages(request: pytest.FixtureRequest) -> Languages:
    """The languages of dispatch Worker, user Worker and Outbound Worker."""
    chosen: Languages = request.param
    return chosen


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
    _assert_empty(shared_folder)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def collecting() -> AsyncIterator[tuple[Collector, Address]]:
    """What the strict mesh sends its spans to, and where that listens."""
    collector = Collector()
    yield collector, await collector.start()
    await collector.stop()


@pytest.fixture(scope="session")
def collector(collecting: tuple[Collector, Address]) -> Collector:
    """What keeps the spans of the strict mesh."""
    return collecting[0]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def strict_mesh(
    strict_folder: Path, collecting: tuple[Collector, Address]
) -> AsyncIterator[Mesh]:
    """One with low limits and with traces, for tests that kill what runs in it."""
    variables = {
        "SLUICE_ALLOW_ADDRESS": "127.0.0.1/32",
        "SLUICE_ISOLATE_IDLE": "3s",
        "SLUICE_WALL_TIME": f"{WALL_TIME:g}s",
        "SLUICE_WORKER_MEMORY": "64MiB",
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{collecting[1]}",
        "OTEL_BSP_SCHEDULE_DELAY": "100",
    }
    async with running(strict_folder, **variables) as mesh:
        yield mesh
    _assert_empty(strict_folder)


def _assert_empty(folder: Path) -> None:
    assert [path.name for path in folder.iterdir() if path.is_dir()] == []


async def _usual(mesh: Mesh, languages: Languages) -> Chain:
    """The usual Workers of a mesh, and an empty log."""
    chain = Chain(mesh, languages)
    await chain.usual()
    for service in mesh.services.values():
        service.lines.clear()
    return chain


@pytest_asyncio.fixture(loop_scope="session")
async def mesh(shared_mesh: Mesh) -> Mesh:
    """The shared mesh, with its usual dispatch Worker and Outbound Worker in JavaScript."""
    return (await _usual(shared_mesh, JAVASCRIPT)).mesh


@pytest_asyncio.fixture(loop_scope="session")
async def chain(shared_mesh: Mesh, languages: Languages) -> Chain:
    """The shared mesh, with its usual Workers in each combination of languages."""
    return await _usual(shared_mesh, languages)


@pytest_asyncio.fixture(loop_scope="session")
async def strict(strict_mesh: Mesh, languages: Languages) -> Chain:
    """The strict mesh, likewise."""
    return await _usual(strict_mesh, languages)
