"""A mesh and the languages of its Workers: what the tests of every combination are written for."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from sluice.pb import worker_pb2
from tests.e2e.languages import Languages
from tests.e2e.mesh import Mesh
from tests.e2e.twin import dispatching, twin

HOST = "acme.example.com"
"""The host that leads to the user Worker `acme`."""


@dataclass(frozen=True)
class Chain:
    """The dispatch Worker, the user Worker `acme` and the Outbound Worker of a test."""

    mesh: Mesh
    languages: Languages

    async def usual(self) -> None:
        """Deploy what most tests need: a dispatch Worker by host, an Outbound Worker that tags."""
        await self.dispatch("by_host")
        await self.outbound("tags")

    async def dispatch(self, name: str, **binding: Any) -> None:
        """Deploy a twin as the dispatch Worker, with a binding `dispatcher`."""
        bundle = twin(name, self.languages.dispatch)
        await self.mesh.deploy("dispatch", dispatching(bundle, **binding))

    async def user(
        self, name: str, *, worker: str = "acme", namespace: str = "production", **variables: Any
    ) -> None:
        """Deploy a twin as the user Worker `worker`."""
        await self.mesh.deploy(worker, twin(name, self.languages.user, **variables), namespace)

    async def outbound(self, name: str, secrets: dict[str, str] | None = None, **of: Any) -> None:
        """Deploy a twin as the Outbound Worker."""
        bundle: worker_pb2.Bundle = twin(name, self.languages.outbound, **of)
        bundle.secrets.update(secrets or {})
        await self.mesh.deploy("outbound", bundle)

    async def get(self, host: str = HOST, **headers: str) -> tuple[int, str]:
        """Status and text of what a client gets. `x_ask` is the header `x-ask`."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.mesh.get(host, headers=sent, allow_redirects=False)

    async def ask(self, url: str, **options: Any) -> tuple[int, str]:
        """What the twin `asks` gets for a `fetch()` with these options."""
        return await self.get(x_ask=json.dumps({"url": url, **options}))

    async def ask_each(self, *urls: str) -> list[str]:
        """What each fetch of the twin `asks_each` came to: status and text, or name and message."""
        status, text = await self.get(x_ask=json.dumps(urls))
        assert status == 200, text
        said: list[str] = json.loads(text)
        return said

    async def line(self, **fields: Any) -> dict[str, Any]:
        """The first line of the outbound service's log with these fields."""
        return await self.mesh.services["outbound"].line(**fields)
