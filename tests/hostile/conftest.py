"""Hostile Workers on the real workerd, a hostile client and origin at a real mesh.

One event loop, and so one runner and one mesh, for all the attacks that leave it whole.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiohttp.abc import AbstractResolver

from services.outbound.origin.client import ClientConfig, GuardedClient
from services.outbound.origin.destination import Guard
from sluice.isolate.capacity import Capacity
from sluice.isolate.runtime import Runtime
from sluice.isolate.sandbox.machine import best, survey
from sluice.isolate.sandbox.posture import Kind, Posture, choose
from sluice.isolate.workerd import find_workerd
from sluice.mesh.address_range import AddressRange
from sluice.mesh.env import SettingError
from tests.e2e.mesh import Mesh, dispatch_bundle, running
from tests.e2e.origin import Origin
from tests.hostile.egress import FEW_PLACES, MakeClient
from tests.hostile.puppet import Puppet
from tests.isolate.workers import MakeWorkers, Workers, begin
from tests.outbound.origins import Origins, Serve

OUTBOUND = """export default { async fetch(request, env) {
  const headers = new Headers(request.headers);
  headers.set('x-customer', env.customer_name ?? 'none');
  return fetch(new Request(request, { headers })); } }"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run every test here in one event loop."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest.fixture(scope="session")
def run_folder() -> Iterator[Path]:
    """A short path: a unix socket's may have 107 bytes."""
    folder = Path(tempfile.mkdtemp(prefix="sl-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


async def run_workers(
    folder: Path, *, trusted: bool, posture: Posture | None = None, wall_time: float = 15
) -> AsyncIterator[Workers]:
    """A runner of user Workers, or of the operator's own."""
    executable = find_workerd({})
    runtime = Runtime(executable, folder, posture or best(executable, folder))
    workers = begin(runtime, trusted=trusted, wall_time=wall_time, max_isolates=32)
    yield workers
    await workers.runner.aclose()


@pytest_asyncio.fixture(loop_scope="session")
async def make_workers(run_folder: Path) -> AsyncIterator[MakeWorkers]:
    """Makes runners of user Workers with a capacity of their own."""
    executable = find_workerd({})
    runtime = Runtime(executable, run_folder, best(executable, run_folder))
    made: list[Workers] = []

    def make(capacity: Capacity | None = None, **more: Any) -> Workers:
        made.append(begin(runtime, capacity=capacity, **{"wall_time": 20, **more}))
        return made[-1]

    yield make
    for workers in made:
        await workers.runner.aclose()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def user_runner(run_folder: Path) -> AsyncIterator[Workers]:
    """A runner of user Workers. Few isolates: those of attacks that are over make room."""
    async for workers in run_workers(run_folder, trusted=False):
        yield workers


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def trusted_runner(run_folder: Path) -> AsyncIterator[Workers]:
    """A runner of the operator's own Workers."""
    async for workers in run_workers(run_folder, trusted=True):
        yield workers


@pytest_asyncio.fixture(scope="session", loop_scope="session", params=["auto", "landlock"])
async def shared_puppet(request: pytest.FixtureRequest, run_folder: Path) -> AsyncIterator[Puppet]:
    """The attacker in each posture of Python: with namespaces of its own, and without."""
    try:
        machine = survey(find_workerd({}), run_folder)
        posture = choose(request.param, unsafe=False, machine=machine)
    except SettingError as error:
        pytest.skip(str(error))
    has_own_root = posture.kind is Kind.BUBBLEWRAP
    if request.param == "auto" and not has_own_root:
        pytest.skip("this machine has no namespaces")
    folder = run_folder / request.param
    folder.mkdir()
    async for workers in run_workers(folder, trusted=False, posture=posture):
        yield Puppet(workers, folder, has_own_root)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shared_solo(run_folder: Path) -> AsyncIterator[Puppet]:
    """The attacker in the best posture."""
    folder = run_folder / "solo"
    folder.mkdir()
    async for workers in run_workers(folder, trusted=False):
        yield Puppet(workers, folder, has_own_root=True)


@pytest.fixture
def solo(shared_solo: Puppet) -> Puppet:
    """The attacker where the posture makes no difference."""
    shared_solo.workers.answer = None
    shared_solo.workers.subrequests.clear()
    return shared_solo


@pytest.fixture
def puppet(shared_puppet: Puppet) -> Puppet:
    """The attacker. What it asks for is answered with whose it is."""
    shared_puppet.workers.answer = None
    shared_puppet.workers.subrequests.clear()
    return shared_puppet


@pytest.fixture
def workers(user_runner: Workers) -> Workers:
    """User Workers behind the gate. What they ask for is answered with whose it is."""
    user_runner.answer = None
    user_runner.subrequests.clear()
    return user_runner


@pytest.fixture
def trusted(trusted_runner: Workers) -> Workers:
    """Dispatch Workers, whose calls of `get()` the test answers in the user Worker's place."""
    trusted_runner.answer = None
    trusted_runner.subrequests.clear()
    return trusted_runner


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shared_mesh(run_folder: Path) -> AsyncIterator[Mesh]:
    """One mesh for all attacks on it."""
    async with running(run_folder, SLUICE_ALLOW_ADDRESS="127.0.0.1/32") as mesh:
        await mesh.deploy("outbound", OUTBOUND)
        yield mesh


@pytest_asyncio.fixture(loop_scope="session")
async def mesh(shared_mesh: Mesh) -> Mesh:
    """The mesh with its usual dispatch Worker."""
    await shared_mesh.deploy("dispatch", dispatch_bundle())
    for service in shared_mesh.services.values():
        service.lines.clear()
    return shared_mesh


@pytest_asyncio.fixture(loop_scope="session")
async def origin() -> AsyncIterator[Origin]:
    """An origin of the test's own."""
    origin = Origin()
    stop = await origin.start()
    yield origin
    await stop()


@pytest_asyncio.fixture(loop_scope="session")
async def serve() -> AsyncIterator[Serve]:
    """Start an origin from its connection handler; gives its port."""
    origins = Origins()
    yield origins.serve
    await origins.aclose()


@pytest_asyncio.fixture(loop_scope="session")
async def make_client() -> AsyncIterator[MakeClient]:
    """Make a client of origins with few places."""
    async with AsyncExitStack() as clients:

        def make(resolver: AbstractResolver | None = None, **config: object) -> GuardedClient:
            allowed = (AddressRange.parse("127.0.0.1"),)
            settings = ClientConfig(**{**FEW_PLACES, **config})  # type: ignore[arg-type]
            client = GuardedClient(settings, Guard(allowed), resolver=resolver)
            clients.push_async_callback(client.aclose)
            return client

        yield make
