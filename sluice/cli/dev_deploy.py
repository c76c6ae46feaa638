"""Keeping the registry of `sluice dev` at what the files say."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from sluice.cli.connection import worker_of
from sluice.cli.dev_workers import Changes, DevWorker, Key, Plan, changes
from sluice.cli.listing import short, size
from sluice.cli.remote_registry import RemoteRegistry
from sluice.wire.errors import Reason, SluiceError

Say = Callable[[str], None]


class Deployment:
    """What is deployed, and how it follows a plan. What is wrong is said, once."""

    def __init__(self, registry: RemoteRegistry, say: Say) -> None:
        self.deployed: dict[Key, DevWorker] = {}
        self._registry = registry
        self._say = say
        self._said: set[str] = set()
        self._namespaces: set[str] = set()

    async def create_namespaces(self, names: Iterable[str]) -> None:
        """Create the dispatch namespaces that are not there yet."""
        for name in names:
            if name in self._namespaces:
                continue
            try:
                await self._registry.create_namespace(name)
            except SluiceError as error:
                if error.reason is not Reason.ALREADY_EXISTS:
                    raise
            self._namespaces.add(name)

    async def follow(self, plan: Plan, wrong: Iterable[str] = ()) -> None:
        """Put and delete what the plan says. `wrong` is what else there is to complain about."""
        complaints = [*wrong, *plan.errors.values()]
        complaints += await self._create_empty(plan)
        complaints += await self._apply(changes(self.deployed, plan))
        for complaint in complaints:
            if complaint not in self._said:
                self._say(f"error: {complaint}")
        self._said = set(complaints)

    async def _create_empty(self, plan: Plan) -> list[str]:
        """Create what a binding names and nothing is put into. Returns what went wrong."""
        for name in plan.namespaces():
            if name in self._namespaces:
                continue
            try:
                await self.create_namespaces([name])
            except SluiceError as error:
                return [f"{name}: {error.reason.name}: {error.message}"]
            self._say(f"warning: no --namespace {name}=DIR: dispatch namespace {name} is empty")
        return []

    async def _apply(self, todo: Changes) -> list[str]:
        """Bring the registry there. Returns what went wrong; that stays as it was."""
        results = await asyncio.gather(
            *(self._put(worker) for worker in todo.put),
            *(self._delete(key) for key in todo.delete),
            return_exceptions=True,
        )
        wrong = []
        for key, result in zip([*(w.key for w in todo.put), *todo.delete], results, strict=True):
            if isinstance(result, SluiceError):
                wrong.append(f"{key}: {result.reason.name}: {result.message}")
            elif isinstance(result, BaseException):
                raise result
        return wrong

    async def _put(self, worker: DevWorker) -> None:
        info = await self._registry.put_worker(
            worker_of(*worker.key), worker.bundle, drop_secrets=True
        )
        verb = "redeployed" if worker.key in self.deployed else "deployed"
        self.deployed[worker.key] = worker
        modules = worker.bundle.modules
        total = size(sum(len(module.content) for module in modules))
        count = "1 module" if len(modules) == 1 else f"{len(modules)} modules"
        for warning in worker.warnings:
            self._say(f"warning: {warning}")
        self._say(f"{verb} {worker.key} ({short(info.worker.digest)}, {count}, {total})")

    async def _delete(self, key: Key) -> None:
        try:
            await self._registry.delete_worker(worker_of(*key))
        except SluiceError as error:
            if error.reason is not Reason.WORKER_NOT_FOUND:
                raise
        del self.deployed[key]
        self._say(f"deleted {key}")
