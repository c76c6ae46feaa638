"""The mesh of docker-compose.yml, as a project of its own: built, started, and taken down."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
TOKEN = secrets.token_hex(16)
SERVICES = ("dispatcher", "userworker", "outbound")
HEALTHY = 120
"""How long services have to become healthy, in seconds."""


class Mesh:
    """A running project, and what can be done with it from outside."""

    def __init__(self, compose: list[str]) -> None:
        self.project = f"sluice-test-{os.getpid()}"
        http, grpc = free_ports(2)
        self.http, self.grpc = f"127.0.0.1:{http}", f"127.0.0.1:{grpc}"
        files = [ROOT / "docker-compose.yml", HERE / "override.yml"]
        self._compose = [
            *compose,
            f"--project-directory={ROOT}",
            f"--project-name={self.project}",
            f"--env-file={HERE / 'settings.env'}",
            *(f"--file={file}" for file in files),
        ]
        own = {name: value for name, value in os.environ.items() if not name.startswith("SLUICE_")}
        self._environment = {
            **own,
            "SLUICE_API_TOKEN": TOKEN,
            "SLUICE_BUILD_NETWORK": os.environ.get("SLUICE_BUILD_NETWORK", "default"),
            "SLUICE_GRPC_PORT": str(grpc),
            "SLUICE_HTTP_PORT": str(http),
        }

    def compose(self, *arguments: str, **environment: str) -> str:
        """Run compose. Returns what it printed; where it failed, the test fails with it."""
        return output([*self._compose, *arguments], {**self._environment, **environment})

    def container(self, service: str) -> str:
        """Id of the service's container, running or not."""
        return self.compose("ps", "--quiet", "--all", service).strip()

    def inspect(self, service: str) -> Any:
        """What Docker says of the service's container."""
        (description,) = json.loads(output(["docker", "inspect", self.container(service)]))
        return description

    def address(self, service: str, network: str) -> str:
        """Address of the service's container on a network of the project."""
        networks = self.inspect(service)["NetworkSettings"]["Networks"]
        return str(networks[f"{self.project}_{network}"]["IPAddress"])

    def run(self, service: str, script: str, *arguments: str) -> Any:
        """Run a Python script in the service's container. Returns the JSON that it printed."""
        command = ["docker", "exec", "-i", self.container(service), "python", "-", *arguments]
        return json.loads(output(command, text=script))

    def wait_until_healthy(self, services: set[str], since: float) -> None:
        """Wait for Docker to find each of `services` healthy after the time `since`."""
        waiting = set(services)
        label = "com.docker.compose.service"
        command = [
            *("docker", "events", "--format", f'{{{{index .Actor.Attributes "{label}"}}}}'),
            *("--since", f"{since:.3f}", "--until", f"{since + HEALTHY:.0f}"),
            *("--filter", f"label=com.docker.compose.project={self.project}"),
            *("--filter", "event=health_status: healthy"),
        ]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as events:
            assert events.stdout is not None
            for line in events.stdout:
                waiting.discard(line.strip())
                if not waiting:
                    break
            events.terminate()
        assert not waiting, f"not healthy within {HEALTHY} s: {waiting}"

    def start(self) -> None:
        """Start what does not run, in no order, and wait until it is healthy."""
        since = time.time()
        self.compose("up", "--detach", "--no-build")
        self.wait_until_healthy(set(SERVICES), since)

    def sluice(self, *arguments: str) -> str:
        """Run the `sluice` command against the dispatcher, with the client's certificate."""
        command = [str(Path(sys.executable).parent / "sluice"), *arguments]
        files = {"CERT": "cert.pem", "KEY": "key.pem", "CA": "ca.pem"}
        with tempfile.TemporaryDirectory() as folder:
            output(["docker", "cp", f"{self.container('certs')}:/certs/client", folder])
            tls = {f"SLUICE_TLS_{name}": f"{folder}/client/{file}" for name, file in files.items()}
            own = {"SLUICE_DISPATCHER": self.grpc, "SLUICE_API_TOKEN": TOKEN}
            return output(command, {**os.environ, **own, **tls})

    def get(self, path: str) -> tuple[int, str]:
        """Send a request to the public listener. Returns the status and the body."""
        try:
            with urllib.request.urlopen(f"http://{self.http}{path}", timeout=30) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as refusal:
            return refusal.code, refusal.read().decode()


def output(command: list[str], environment: dict[str, str] | None = None, text: str = "") -> str:
    """What `command` printed. Fails the test, with all it said, where it does not succeed."""
    done = subprocess.run(
        command, env=environment, input=text, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def free_ports(count: int) -> list[int]:
    """Ports that are free now."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [listener.getsockname()[1] for listener in sockets]
    for listener in sockets:
        listener.close()
    return ports


def engine() -> list[str]:
    """The compose command of this machine. Ends the run with exit code 2 where there is none."""
    for command in (["docker", "compose"], ["docker-compose"]):
        if succeeds([*command, "version"]):
            break
    else:
        pytest.exit("compose-test needs `docker compose`, or docker-compose 1.29", returncode=2)
    if not succeeds(["docker", "info"]):
        pytest.exit("compose-test needs a Docker engine: `docker info` fails", returncode=2)
    return command


def succeeds(command: list[str]) -> bool:
    """Whether `command` exists and exits with 0."""
    if shutil.which(command[0]) is None:
        return False
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


@pytest.fixture(scope="session")
def mesh(request: pytest.FixtureRequest) -> Iterator[Mesh]:
    """The mesh, with a Worker of each role deployed by the `sluice` command."""
    mesh = Mesh(engine())
    try:
        mesh.compose("build")
        mesh.start()
        mesh.sluice("namespace", "create", "production")
        mesh.sluice("deploy", "-c", str(HERE / "workers/dispatch"))
        mesh.sluice("deploy", "-c", str(HERE / "workers/outbound"))
        mesh.sluice("deploy", "-c", str(HERE / "workers/acme.js"), "--namespace", "production")
        yield mesh
    finally:
        if request.session.testsfailed:
            sys.stdout.write(mesh.compose("logs", "--no-color", "--tail=100"))
        mesh.compose("down", "--volumes", "--remove-orphans", "--timeout=10")
