"""docker-compose.yml runs the mesh, keeps customers' code in, and survives the loss of a service."""

from __future__ import annotations

import ipaddress
import json
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

REACH = (Path(__file__).parent / "reach.py").read_text()
WORKERS = Path(__file__).parent / "workers"
SERVICES = ("dispatcher", "userworker", "outbound")

pytestmark = [pytest.mark.compose, pytest.mark.timeout(900)]  # the first one builds the image

POSTURE = """
import json, os, pathlib, subprocess, tempfile
status = dict(line.split(":\\t", 1) for line in open("/proc/self/status"))
def attempt(action):
    try:
        action()
    except OSError as error:
        return error.strerror
    return "allowed"
program = pathlib.Path("/run/sluice/program")
program.write_text("#!/bin/true\\n")
program.chmod(0o700)
print(json.dumps({
    "ids": sorted({*os.getresuid(), *os.getresgid()}),
    "capabilities": int(status["CapEff"], 16) | int(status["CapBnd"], 16),
    "no new privileges": int(status["NoNewPrivs"]),
    "seccomp": int(status["Seccomp"]),
    "write to the image": attempt(lambda: pathlib.Path("/app/file").touch()),
    "run what was written": attempt(lambda: subprocess.run([program])),
}))
program.unlink()
"""

SECRETS = """
import json, pathlib
print(json.dumps(sorted(str(path) for path in pathlib.Path("/certs").rglob("*") if path.is_file())))
"""

CRASH = """
import os
(service,) = open("/proc/1/task/1/children").read().split()  # of tini, the container's first
os.kill(int(service), 9)
"""


def serves(mesh: Any) -> Any:
    """Check that one request goes through all three services. Returns what the origin has seen."""
    status, body = mesh.get("/acme/hello")
    assert status == 200, body
    seen = json.loads(body)
    assert (seen["path"], seen["headers"]["x-customer"]) == ("/from-acme", "acme")
    return seen


def test_a_request_goes_through_all_three_services(mesh: Any) -> None:
    """The origin sees the header that the Outbound Worker made from the dispatch Worker's param."""
    serves(mesh)


def test_python_workers_in_every_role(mesh: Any) -> None:
    """The containers run Python Workers as well, which get at nothing of their service."""
    mesh.sluice("deploy", "-c", str(WORKERS / "python/shop.py"), "--namespace", "production")
    for role in ("dispatch", "outbound"):
        mesh.sluice("deploy", "-c", str(WORKERS / "python" / role))
    try:
        status, body = mesh.get("/shop/hello")
        assert status == 200, body
        seen = json.loads(body)
        assert (seen["path"], seen["headers"]["x-customer"]) == ("/from-shop", "shop")
        status, body = mesh.get("/shop/attempts")
        assert status == 200, body
        assert set(json.loads(body).values()) == {False}
        serves(mesh)  # acme, in JavaScript, through the same two
    finally:
        for role in ("dispatch", "outbound"):
            mesh.sluice("deploy", "-c", str(WORKERS / role))


def test_the_userworker_reaches_two_ports_and_nothing_else(mesh: Any) -> None:
    """The registry's port and the outbound service's, of all there are; the host is not there."""
    peers = {service: mesh.address(service, "mesh") for service in ("dispatcher", "outbound")}
    origin = [mesh.address("origin", "egress"), 8000]
    beyond = [
        origin,
        [mesh.address("dispatcher", "front"), 8787],
        [mesh.address("dispatcher", "front"), 50051],
        [mesh.address("outbound", "egress"), 50053],
        ["1.1.1.1", 80],
        ["1.1.1.1", 53],
        ["169.254.169.254", 80],  # cloud metadata
        *([host, port] for host in bridges(mesh) for port in (9, 22, 53)),
    ]
    names = ["example.com", "origin", "dispatcher.front"]
    asked = {"scan": list(peers.values()), "knock": beyond, "resolve": names}
    found = mesh.run("userworker", REACH, json.dumps(asked))
    assert found == {
        "open": {peers["dispatcher"]: [50051], peers["outbound"]: [50053]},
        "answered": {"tcp": [], "udp": []},
        "resolved": [],
        "interfaces": [],
    }
    assert serves(mesh)["datagrams"] == []  # none arrived, as none came back
    control = mesh.run("outbound", REACH, json.dumps({**asked, "scan": []}))
    assert origin in control["answered"]["tcp"]
    assert origin in control["answered"]["udp"]
    assert "origin" in control["resolved"]


def test_the_dispatcher_has_no_way_out(mesh: Any) -> None:
    """Its published ports are a way in alone."""
    origin = [mesh.address("origin", "egress"), 8000]
    asked = {"scan": [], "knock": [origin, ["1.1.1.1", 80]], "resolve": []}
    assert mesh.run("dispatcher", REACH, json.dumps(asked))["answered"] == {"tcp": [], "udp": []}


def bridges(mesh: Any) -> list[str]:
    """Where the host is on the project's networks: the first address of each, by Docker's rule."""
    names = [f"{mesh.project}_{name}" for name in ("mesh", "front", "egress")]
    listed = subprocess.run(
        ["docker", "network", "inspect", *names], capture_output=True, check=True
    )
    subnets = [network["IPAM"]["Config"][0]["Subnet"] for network in json.loads(listed.stdout)]
    return [str(next(ipaddress.ip_network(subnet).hosts())) for subnet in subnets]


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_has_nothing_that_it_does_not_need(mesh: Any, service: str) -> None:
    """No root, no capabilities, no way to more, nothing to write but a folder that runs nothing."""
    assert mesh.run(service, POSTURE) == {
        "ids": [10001],
        "capabilities": 0,
        "no new privileges": 1,
        "seccomp": 2,  # a filter: Docker's
        "write to the image": "Read-only file system",
        "run what was written": "Permission denied",
    }


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_has_its_own_key_and_no_other(mesh: Any, service: str) -> None:
    """Neither another service's nor the CA's, with which it could be any of them."""
    names = ("ca.pem", "cert.pem", "key.pem")
    assert mesh.run(service, SECRETS) == [f"/certs/{service}/{name}" for name in names]


def test_certificates_are_renewed_while_the_mesh_serves(mesh: Any) -> None:
    """A service with a new certificate and one with the one before still believe each other."""
    since = time.time()
    subprocess.run(["docker", "start", "-a", mesh.container("certs")], check=True)
    subprocess.run(["docker", "restart", mesh.container("outbound")], check=True)
    mesh.wait_until_healthy({"outbound"}, since)
    serves(mesh)


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_that_was_killed_and_started_serves_again(mesh: Any, service: str) -> None:
    """While it is gone requests fail, and soon; the first one after it is back succeeds."""
    container = mesh.container(service)
    since = time.time()
    subprocess.run(["docker", "kill", container], check=True, capture_output=True)
    if service != "dispatcher":  # else there is nobody to ask
        status, body = mesh.get("/acme/hello")
        assert status >= 500, body
    subprocess.run(["docker", "start", container], check=True, capture_output=True)
    mesh.wait_until_healthy({service}, since)
    serves(mesh)


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_that_crashed_is_started_again(mesh: Any, service: str) -> None:
    """Docker starts what died by itself, and the next request is served."""
    since = time.time()
    crash = ["docker", "exec", mesh.container(service), "python", "-c", CRASH]
    subprocess.run(crash, check=False, capture_output=True)  # dies with the container
    mesh.wait_until_healthy({service}, since)
    serves(mesh)


def test_the_registry_outlives_the_containers(mesh: Any) -> None:
    """What was deployed is in the volume: containers come and go, in any order."""
    mesh.compose("down", "--timeout=10")
    mesh.start()
    serves(mesh)


def test_no_token_no_mesh(mesh: Any) -> None:
    """Compose refuses to start without a token, and says what to do."""
    with pytest.raises(AssertionError, match=r"set it in \.env, to any long random text"):
        mesh.compose("config", "--quiet", SLUICE_API_TOKEN="")
