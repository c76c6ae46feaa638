"""One run of `sluice dev`, from the first look at the files to the end of the last process."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from sluice.bundle.document import ConfigError
from sluice.cli import dev_mesh, dev_workers, trace_tree, watch
from sluice.cli.dev_deploy import Deployment
from sluice.cli.dev_mesh import HOST, SERVICES, Settings
from sluice.cli.dev_output import DevOutput
from sluice.cli.dev_workers import Plan
from sluice.cli.mesh_process import MeshProcess, ServiceFailedError
from sluice.cli.remote_registry import RemoteRegistry
from sluice.isolate.sandbox.machine import best
from sluice.isolate.workerd import find_workerd
from sluice.mesh.collector import Collector
from sluice.mesh.env import SettingError

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True)
class Options:
    """What the user asked for."""

    configs: tuple[Path, ...]
    folders: Mapping[str, Path]
    dispatch_worker: str | None = None
    port: int = 8787
    grpc_port: int = 50051
    connect_to: tuple[str, ...] = ()
    allow_address: tuple[str, ...] = ()
    traces: bool = False
    persist: Path | None = None
    verbose: bool = False


class DevSession:
    """Runs the mesh, deploys, follows the files, until it is told to stop.

    Raises `ConfigError` for what cannot be run, before anything is started.
    """

    def __init__(self, options: Options) -> None:
        self._options = options
        self._out = DevOutput(verbose=options.verbose)
        self._plan = self._read()
        if wrong := self._plan.account_errors():
            raise ConfigError(wrong[0])
        self._dispatch_worker = self._plan.dispatch_worker(options.dispatch_worker)
        self._ports = dev_mesh.choose_ports(options.port, options.grpc_port)
        self._processes: list[MeshProcess] = []
        self._stop = asyncio.Event()

    async def run(self) -> None:
        """Run until SIGINT, SIGTERM or SIGHUP; a second one kills what is slow to stop.

        Raises `ServiceFailedError`, `SluiceError` or `ConfigError` where it cannot go on.
        """
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.add_signal_handler(number, self._signalled)
        try:
            async with AsyncExitStack() as running:
                await self._run(running)
        except ExceptionGroup as group:
            raise _first(group) from group
        finally:
            for number in _SIGNALS:
                loop.remove_signal_handler(number)

    async def _run(self, running: AsyncExitStack) -> None:
        folder = running.enter_context(
            TemporaryDirectory(prefix="sluice-dev-", ignore_cleanup_errors=True)
        )
        environment = dict(os.environ)
        collector = Collector() if self._options.traces else None
        if collector is not None:
            running.push_async_callback(collector.stop)
            environment |= trace_tree.exported_to(str(await collector.start()))
        self._processes = self._services(environment, self._settings(Path(folder)))
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(process.run()) for process in self._processes]
            tasks.append(group.create_task(self._serve()))
            if collector is not None:
                showing = trace_tree.show_finished(collector, self._out.print)
                tasks.append(group.create_task(showing))
            await self._stop.wait()
            self._out.say("stopping")
            for task in tasks:
                task.cancel()

    def _settings(self, folder: Path) -> Settings:
        kept = self._options.persist or folder
        kept.mkdir(parents=True, exist_ok=True)
        run_folder = folder / "run"
        folder.chmod(0o711)  # as each Worker may have a uid of its own
        run_folder.mkdir(mode=0o711)
        return Settings(
            ports=self._ports,
            dispatch_worker=self._dispatch_worker,
            database=kept / "registry.db",
            run_folder=run_folder,
            connect_to=self._options.connect_to,
            allow_address=self._options.allow_address,
            sandboxed=self._can_confine(run_folder),
        )

    def _can_confine(self, run_folder: Path) -> bool:
        """Say so where it is not. Somebody's own Workers may run all the same."""
        try:
            best(find_workerd(os.environ), run_folder)
        except SettingError as error:
            self._out.say(f"warning: Workers run without a sandbox. {error}")
            return False
        except FileNotFoundError:
            pass  # the services say so
        return True

    def _services(self, user: Mapping[str, str], settings: Settings) -> list[MeshProcess]:
        return [
            MeshProcess(
                service,
                # -P: a folder named services in the working directory is not ours.
                [sys.executable, "-P", "-m", f"services.{service}"],
                dev_mesh.environment(service, user, settings),
                on_line=self._out.service_line,
                on_restart=lambda message: self._out.say(f"warning: {message}"),
            )
            for service in SERVICES
        ]

    async def _serve(self) -> None:
        """Wait for the services, deploy, follow the files."""
        try:
            await dev_mesh.serving(self._ports)
        except ConfigError:
            self._out.release()
            raise
        for process in self._processes:
            process.settled = True
        self._out.release()
        token = os.environ.get("SLUICE_API_TOKEN")
        address = self._ports.address("dispatcher")
        async with RemoteRegistry(address, token, patient=True) as registry:
            deployment = Deployment(registry, self._out.say)
            await deployment.create_namespaces(self._options.folders)
            await deployment.follow(self._plan)
            self._say_ready(deployment)
            async for _ in watch.changes(self._watched, self._ignored()):
                self._plan = await asyncio.to_thread(self._read)
                await deployment.follow(self._plan, self._renamed())

    def _renamed(self) -> list[str]:
        """What is wrong with the dispatch Worker: the dispatcher knows it by its first name."""
        if self._plan.account_errors():
            return []
        try:
            name = self._plan.dispatch_worker(self._options.dispatch_worker)
        except ConfigError as error:
            return [str(error)]
        if name == self._dispatch_worker:
            return []
        return [f"the dispatch Worker is called {name} now: start sluice dev again to run it"]

    def _read(self) -> Plan:
        return Plan.read(dev_workers.sources(self._options.configs, self._options.folders))

    def _watched(self) -> set[Path]:
        sources = dev_workers.sources(self._options.configs, self._options.folders)
        return watch.roots(sources, self._options.folders.values())

    def _ignored(self) -> list[Path]:
        return [self._options.persist.resolve()] if self._options.persist else []

    def _say_ready(self, deployment: Deployment) -> None:
        url = f"http://{HOST}:{self._ports.http}"
        self._out.say(f"Ready on {url}")
        for service, address in self._ports.grpc().items():
            self._out.say(f"  {service:10} {address} (gRPC)")
        user_worker = next((key.name for key in deployment.deployed if key.namespace), None)
        host = f" -H 'Host: {user_worker}.example.com'" if user_worker else ""
        self._out.say(f"Try: curl{host} {url}/")

    def _signalled(self) -> None:
        if self._stop.is_set():
            for process in self._processes:
                process.kill()
        self._stop.set()


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The one error to tell of: a service that failed explains the others."""
    leaves = [
        _first(error) if isinstance(error, BaseExceptionGroup) else error
        for error in group.exceptions
    ]
    return next((leaf for leaf in leaves if isinstance(leaf, ServiceFailedError)), leaves[0])
