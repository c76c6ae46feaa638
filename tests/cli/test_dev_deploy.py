from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sluice.cli.dev_deploy import Deployment
from sluice.cli.dev_workers import Plan, sources
from sluice.cli.remote_registry import RemoteRegistry
from sluice.wire.errors import SluiceError
from tests.cli.conftest import TOKEN, Registry

DISPATCH = """
name = "dispatch"
main = "index.js"
compatibility_date = "2026-11-01"
dispatch_namespaces = [{binding = "d", namespace = "production"}]
"""


class Following:
    """A deployment of a folder, and what it said since it was last asked."""

    def __init__(self, folder: Path, registry: RemoteRegistry) -> None:
        self.folder = folder
        self._said: list[str] = []
        self.deployment = Deployment(registry, self._said.append)

    def write(self, name: str, text: str) -> None:
        """Write a file."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    async def follow(self, *wrong: str) -> list[str]:
        """Deploy what the files say now. Returns what was said."""
        self._said.clear()
        configs = [self.folder / "dispatch"]
        plan = Plan.read(sources(configs, {"production": self.folder / "customers"}))
        await self.deployment.follow(plan, wrong)
        return sorted(self._said)


@pytest.fixture
async def following(tmp_path: Path, registry: Registry) -> AsyncIterator[Following]:
    """A dispatch Worker and one customer, deployed."""
    async with RemoteRegistry(registry.address, TOKEN) as remote:
        found = Following(tmp_path, remote)
        found.write("dispatch/wrangler.toml", DISPATCH)
        found.write("dispatch/index.js", "export default {};")
        found.write("customers/acme.js", "export default {};")
        await found.deployment.create_namespaces(["production"])
        yield found


async def names(registry: Registry) -> list[str]:
    """The Workers in production."""
    return [info.worker.name for info in await registry.store.list_workers("production")]


async def test_everything_is_deployed_then_nothing(
    following: Following, registry: Registry
) -> None:
    """The first time all is put, with one line each; while nothing changes nothing is done."""
    first, second = await following.follow()
    assert first.startswith("deployed dispatch (")
    assert second.startswith("deployed production/acme (")
    assert second.endswith(", 1 module, 18 B)")
    assert await names(registry) == ["acme"]
    assert await following.follow() == []


async def test_files_that_come_change_and_go(following: Following, registry: Registry) -> None:
    """The registry follows the folder."""
    await following.follow()
    following.write("customers/new.js", "export default {};")
    following.write("customers/acme.js", "export default {a: 1};")
    deployed, redeployed = await following.follow()
    assert deployed.startswith("deployed production/new (")
    assert redeployed.startswith("redeployed production/acme (")
    (following.folder / "customers/new.js").unlink()
    assert await following.follow() == ["deleted production/new"]
    assert await names(registry) == ["acme"]


async def test_broken_worker_keeps_serving_and_is_said_once(
    following: Following, registry: Registry
) -> None:
    """An error is said when it appears, not at every change of something else."""
    await following.follow()
    following.write("customers/acme/wrangler.toml", "name =")
    (following.folder / "customers/acme.js").unlink()
    following.write("customers/acme.js", "import './nowhere.js';")
    said = await following.follow()
    assert [line.partition(" ")[0] for line in said] == ["error:", "error:"]
    assert await following.follow() == []
    assert await names(registry) == ["acme"]
    (following.folder / "customers/acme/wrangler.toml").unlink()
    (following.folder / "customers/acme").rmdir()
    assert await following.follow() == []
    following.write("customers/acme.js", "export default {b: 2};")
    (line,) = await following.follow()
    assert line.startswith("redeployed production/acme")
    assert await following.follow("something else") == ["error: something else"]


async def test_refusal_of_the_registry_is_said(following: Following, registry: Registry) -> None:
    """What the registry refuses is an error that names the Worker; the others are deployed."""
    await following.follow()
    await registry.store.delete_namespace("production")
    following.write("customers/acme.js", "export default {c: 3};")
    following.write("dispatch/index.js", "export default {c: 3};")
    error, redeployed = await following.follow()
    assert error.startswith("error: production/acme: NAMESPACE_NOT_FOUND: ")
    assert redeployed.startswith("redeployed dispatch")


async def test_namespace_without_a_folder_is_created_empty(
    following: Following, registry: Registry
) -> None:
    """A binding's namespace is there, though nobody gave a folder for it, and that is said once."""
    config = DISPATCH.replace("production", "staging")
    following.write("dispatch/wrangler.toml", config)
    said = await following.follow()
    warning = "warning: no --namespace staging=DIR: dispatch namespace staging is empty"
    assert warning in said
    found = [namespace.name for namespace in await registry.store.list_namespaces()]
    assert found == ["production", "staging"]
    assert await following.follow() == []


async def test_what_is_there_already_is_no_error(following: Following, registry: Registry) -> None:
    """A registry that was kept has the namespaces already; a Worker may be gone already."""
    async with RemoteRegistry(registry.address, TOKEN) as remote:
        again = Deployment(remote, lambda _: None)
        await again.create_namespaces(["production"])
    await following.follow()
    await registry.store.delete_worker("production", "acme")
    (following.folder / "customers/acme.js").unlink()
    assert await following.follow() == ["deleted production/acme"]


async def test_namespace_with_a_bad_name_fails(following: Following) -> None:
    """What cannot be created is an error, and not taken for created."""
    with pytest.raises(SluiceError, match="Bad Name"):
        await following.deployment.create_namespaces(["Bad Name"])
