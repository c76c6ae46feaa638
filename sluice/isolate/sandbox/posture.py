"""Postures: the ways to confine a process, and which one this machine gets. Decisions only."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from sluice.mesh.env import SettingError

SCOPES_SINCE = 6
"""The Landlock ABI that keeps a process from abstract sockets outside its sandbox (Linux 6.12)."""


class Kind(StrEnum):
    """What keeps a process from files and other processes. seccomp comes with both."""

    BUBBLEWRAP = "bubblewrap"
    LANDLOCK = "landlock"
    NONE = "none"


CHOICES = ("auto", Kind.BUBBLEWRAP.value, Kind.LANDLOCK.value)
"""What `SLUICE_SANDBOX` may say."""


@dataclass(frozen=True, slots=True)
class Machine:
    """What a machine offers. Each text says why not; empty, it does."""

    seccomp: str
    bubblewrap: str
    landlock: int
    """The ABI; 0 for none."""

    uids: str
    uids_in_bubblewrap: str


@dataclass(frozen=True, slots=True)
class Posture:
    """How the processes of a service are confined."""

    kind: Kind
    uids: bool = False
    """Whether each Worker's process has a uid of its own."""

    landlock: int = 0
    """The kernel's Landlock ABI."""

    namespaces: bool = False
    """With Landlock: whether a process has namespaces of its own, and so a root of its own."""

    @property
    def of_forks(self) -> Posture:
        """The same for processes that are forked and not executed, which bubblewrap cannot confine.

        Where the kernel has no Landlock it is unchanged: they have to be executed.
        """
        if self.kind is not Kind.BUBBLEWRAP or not self.landlock:
            return self
        return replace(self, kind=Kind.LANDLOCK, namespaces=True)

    @property
    def gaps(self) -> frozenset[str]:
        """What it is known not to stop, by the names of the escape probe."""
        if self.kind is not Kind.LANDLOCK or self.namespaces:
            return frozenset()
        gaps = set()
        if not self.uids:
            # Landlock has no say in connect() to a path. Ours are 128 random bits, each.
            gaps.add("connect to a neighbour's socket by its path")
        if self.landlock < SCOPES_SINCE:
            gaps.add("connect to an abstract socket")
        return frozenset(gaps)

    @property
    def health_names(self) -> tuple[str, ...]:
        """What health says of it: its kind, and whether Workers have uids of their own."""
        kind = f"sluice.sandbox.{self.kind}"
        return (kind, "sluice.sandbox.uids") if self.uids else (kind,)

    def __str__(self) -> str:
        if self.kind is Kind.NONE:
            return "none"
        own = ", a uid for each Worker" if self.uids else ""
        abi = f" (ABI {self.landlock})" if self.kind is Kind.LANDLOCK else ""
        namespaces = ", namespaces" if self.namespaces else ""
        return f"{self.kind}{abi}{namespaces} and seccomp{own}"


def choose(wanted: str, *, unsafe: bool, machine: Machine) -> Posture:
    """The best posture that the machine offers, or the one that is wanted.

    `unsafe` is `SLUICE_UNSAFE_NO_SANDBOX`: none at all. Raises `SettingError` that says what is
    missing.
    """
    if wanted not in CHOICES:
        raise SettingError(f"SLUICE_SANDBOX: {wanted!r} is not one of {', '.join(CHOICES)}")
    if unsafe:
        return Posture(Kind.NONE)
    missing = {
        Kind.BUBBLEWRAP: machine.seccomp or machine.bubblewrap,
        Kind.LANDLOCK: machine.seccomp or ("" if machine.landlock else "this kernel has none"),
    }
    for kind, why in missing.items():
        if not why and wanted in ("auto", kind):
            no_uids = machine.uids_in_bubblewrap if kind is Kind.BUBBLEWRAP else machine.uids
            return Posture(kind, uids=not no_uids, landlock=machine.landlock)
    reasons = "; ".join(
        f"{kind}: {why}" for kind, why in missing.items() if wanted in ("auto", kind)
    )
    raise SettingError(
        f"SLUICE_SANDBOX: nothing here can confine Workers ({reasons}). "
        "SLUICE_UNSAFE_NO_SANDBOX=1 runs them all the same"
    )
