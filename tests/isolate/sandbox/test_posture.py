from __future__ import annotations

from dataclasses import replace

import pytest

from sluice.isolate.sandbox.posture import Kind, Machine, Posture, choose
from sluice.mesh.env import SettingError

ALL = Machine(seccomp="", bubblewrap="", landlock=7, uids="", uids_in_bubblewrap="")
USER = replace(ALL, uids="no capability", uids_in_bubblewrap="no capability")
CONTAINER = replace(USER, bubblewrap="No permissions to create new namespace")


@pytest.mark.parametrize(
    ("wanted", "machine", "posture"),
    [
        ("auto", ALL, Posture(Kind.BUBBLEWRAP, uids=True, landlock=7)),
        ("auto", USER, Posture(Kind.BUBBLEWRAP, landlock=7)),
        (
            "auto",
            replace(USER, uids=""),
            Posture(Kind.BUBBLEWRAP, landlock=7),
        ),  # Python is in /root
        ("auto", replace(ALL, bubblewrap="no"), Posture(Kind.LANDLOCK, uids=True, landlock=7)),
        ("auto", CONTAINER, Posture(Kind.LANDLOCK, landlock=7)),
        ("auto", replace(CONTAINER, landlock=1), Posture(Kind.LANDLOCK, landlock=1)),
        ("auto", replace(USER, landlock=0), Posture(Kind.BUBBLEWRAP)),  # needs no Landlock
        ("landlock", ALL, Posture(Kind.LANDLOCK, uids=True, landlock=7)),
        ("bubblewrap", USER, Posture(Kind.BUBBLEWRAP, landlock=7)),
    ],
)
def test_choice(wanted: str, machine: Machine, posture: Posture) -> None:
    """The best that the machine offers, or what is wanted."""
    assert choose(wanted, unsafe=False, machine=machine) == posture


@pytest.mark.parametrize(
    ("wanted", "machine", "says"),
    [
        ("auto", replace(CONTAINER, landlock=0), "No permissions.*this kernel has none"),
        ("auto", replace(ALL, seccomp="no filter for riscv64"), "no filter for riscv64"),
        ("bubblewrap", CONTAINER, "No permissions"),  # wanted is not exchanged for another
        ("landlock", replace(ALL, landlock=0), "this kernel has none"),
        ("none", ALL, "'none' is not one of auto, bubblewrap, landlock"),  # has a switch of its own
    ],
)
def test_no_choice(wanted: str, machine: Machine, says: str) -> None:
    """Where nothing confines, the start ends with what is missing."""
    with pytest.raises(SettingError, match=f"^SLUICE_SANDBOX: .*{says}"):
        choose(wanted, unsafe=False, machine=machine)


@pytest.mark.parametrize("machine", [ALL, replace(CONTAINER, landlock=0)])
def test_unsafe(machine: Machine) -> None:
    """The switch takes the sandbox away, whatever the machine offers."""
    assert choose("auto", unsafe=True, machine=machine) == Posture(Kind.NONE)


@pytest.mark.parametrize(
    ("posture", "gaps"),
    [
        (Posture(Kind.BUBBLEWRAP), set()),
        (Posture(Kind.LANDLOCK, landlock=1, namespaces=True), set()),
        (Posture(Kind.LANDLOCK, uids=True, landlock=7), set()),
        (Posture(Kind.LANDLOCK, landlock=7), {"connect to a neighbour's socket by its path"}),
        (Posture(Kind.LANDLOCK, uids=True, landlock=5), {"connect to an abstract socket"}),
        (
            Posture(Kind.LANDLOCK, landlock=2),
            {"connect to a neighbour's socket by its path", "connect to an abstract socket"},
        ),
    ],
)
def test_gaps(posture: Posture, gaps: set[str]) -> None:
    """What a posture does not stop depends on uids and on the kernel, and on nothing else."""
    assert posture.gaps == gaps


@pytest.mark.parametrize(
    ("posture", "text", "health"),
    [
        (
            Posture(Kind.BUBBLEWRAP, uids=True),
            "bubblewrap and seccomp, a uid for each Worker",
            ["bubblewrap", "uids"],
        ),
        (Posture(Kind.LANDLOCK, landlock=7), "landlock (ABI 7) and seccomp", ["landlock"]),
        (Posture(Kind.NONE), "none", ["none"]),
    ],
)
def test_names(posture: Posture, text: str, health: list[str]) -> None:
    """The log names the posture, and the ABI where it counts; health lists its parts."""
    assert str(posture) == text
    assert posture.health_names == tuple(f"sluice.sandbox.{name}" for name in health)


@pytest.mark.parametrize(
    ("posture", "of_forks"),
    [
        (
            Posture(Kind.BUBBLEWRAP, uids=True, landlock=4),
            Posture(Kind.LANDLOCK, uids=True, landlock=4, namespaces=True),
        ),
        (Posture(Kind.BUBBLEWRAP), Posture(Kind.BUBBLEWRAP)),  # no Landlock, no fork: an exec
        (Posture(Kind.LANDLOCK, landlock=4), Posture(Kind.LANDLOCK, landlock=4)),
        (Posture(Kind.NONE), Posture(Kind.NONE)),
    ],
)
def test_of_forks(posture: Posture, of_forks: Posture) -> None:
    """Bubblewrap cannot take a fork in: Landlock and namespaces stand in for it."""
    assert posture.of_forks == of_forks
