"""What `sluice dev` runs: which Workers, from which files, and what a change to them means.

`Plan.read` does the reading. All that is decided from what it read is pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from sluice.bundle import pack
from sluice.bundle.digest import digest
from sluice.bundle.document import ConfigError
from sluice.pb import worker_pb2


class Key(NamedTuple):
    """Names a Worker. An empty `namespace`: an account-level one."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


class Source(NamedTuple):
    """Where one Worker comes from. An empty `namespace`: an account-level one."""

    namespace: str
    path: Path


@dataclass(frozen=True)
class DevWorker:
    """A Worker as it was read."""

    key: Key
    source: Source
    bundle: worker_pb2.Bundle
    digest: str
    warnings: tuple[str, ...] = ()


@dataclass
class Plan:
    """The Workers that were read, and why others could not be."""

    workers: dict[Key, DevWorker] = field(default_factory=dict)
    errors: dict[Source, str] = field(default_factory=dict)

    @classmethod
    def read(cls, sources: Iterable[Source]) -> Plan:
        """Read every source. What is wrong with one is in `errors`."""
        plan = cls()
        for source in sources:
            try:
                plan.add(_read(source))
            except (ConfigError, OSError) as error:
                plan.errors[source] = str(error)
        plan.refuse_missing_outbound()
        return plan

    def add(self, worker: DevWorker) -> None:
        """Take a Worker in. Raises `ConfigError` where another has its name."""
        other = self.workers.setdefault(worker.key, worker)
        if other is not worker:
            raise ConfigError(
                f"{worker.source.path}: Worker {worker.key} is also in {other.source.path}"
            )

    def bindings(self) -> list[tuple[Key, worker_pb2.DispatchNamespaceBinding]]:
        """Every binding to a dispatch namespace, with the Worker that has it."""
        return [
            (key, binding)
            for key, worker in self.workers.items()
            if not key.namespace
            for binding in worker.bundle.dispatch_namespaces
        ]

    def namespaces(self) -> list[str]:
        """The dispatch namespaces that bindings name, each once."""
        return list(dict.fromkeys(binding.dispatch_namespace for _, binding in self.bindings()))

    def dispatch_worker(self, chosen: str | None) -> str:
        """Name of the dispatch Worker, the only one or `chosen`. Raises `ConfigError`."""
        candidates = list(dict.fromkeys(key.name for key, _ in self.bindings()))
        if chosen is not None:
            if Key("", chosen) not in self.workers:
                raise ConfigError(f"--dispatch-worker {chosen}: no --config gives that Worker")
            return chosen
        if not candidates:
            raise ConfigError(
                "no --config has [[dispatch_namespaces]]: which is the dispatch Worker?"
            )
        if len(candidates) > 1:
            raise ConfigError(
                f"{' and '.join(candidates)} have [[dispatch_namespaces]]: "
                "choose with --dispatch-worker NAME"
            )
        return candidates[0]

    def refuse_missing_outbound(self) -> None:
        """Refuse a Worker with a binding whose Outbound Worker is nowhere."""
        if self.account_errors():
            return  # it may be the one that could not be read
        for key, binding in self.bindings():
            service = binding.outbound_service
            if service and Key("", service) not in self.workers and key in self.workers:
                refused = self.workers.pop(key)
                self.errors[refused.source] = (
                    f"{key}: binding {binding.binding}: outbound.service is '{service}', "
                    "and no --config gives a Worker of that name"
                )

    def account_errors(self) -> list[str]:
        """What is wrong with account-level Workers."""
        return [message for source, message in self.errors.items() if not source.namespace]


class Changes(NamedTuple):
    """What brings the registry to a plan."""

    put: list[DevWorker]
    delete: list[Key]


def changes(deployed: Mapping[Key, DevWorker], plan: Plan) -> Changes:
    """What to put and to delete, given what is deployed.

    A Worker whose files, or whose whole folder, cannot be read keeps its version. Account-level
    Workers are never deleted: what dispatches to them is still running.
    """
    put = [
        worker
        for key, worker in plan.workers.items()
        if key not in deployed or deployed[key].digest != worker.digest
    ]
    delete = [
        key
        for key, worker in deployed.items()
        if key.namespace
        and key not in plan.workers
        and worker.source not in plan.errors
        and Source(key.namespace, worker.source.path.parent) not in plan.errors
    ]
    return Changes(put, delete)


def sources(configs: Iterable[Path], folders: Mapping[str, Path]) -> list[Source]:
    """Every source: account-level Workers, then the Workers of each dispatch namespace's folder.

    A folder that cannot be listed is itself a source, so that reading it says why.
    """
    found = [Source("", path) for path in configs]
    for namespace, folder in folders.items():
        try:
            found += [Source(namespace, path) for path in pack.entries(folder)]
        except OSError:
            found.append(Source(namespace, folder))
    return found


def places(source: Source) -> set[Path]:
    """The folders that have the files of a Worker."""
    path = source.path
    own = path if path.is_dir() else path.parent
    try:
        settings = pack.settings(path)
    except (ConfigError, OSError):
        return {own}
    return {own, settings.main.parent, settings.base_dir or own}


def _read(source: Source) -> DevWorker:
    if not source.path.exists():
        raise ConfigError(f"{source.path}: no such file or folder")
    packed = pack.pack_path(source.path)
    key = Key(source.namespace, packed.name)
    return DevWorker(key, source, packed.bundle, digest(packed.bundle), packed.warnings)
