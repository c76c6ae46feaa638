"""The settings of being a service of the mesh, which all three have."""

from __future__ import annotations

from dataclasses import dataclass

from sluice.mesh import tls
from sluice.mesh.channel import MAX_MESSAGE
from sluice.mesh.env import PREFIX, Address, Environment, SettingError
from sluice.mesh.roles import Role
from sluice.mesh.server import GrpcServer
from sluice.mesh.tls import Credentials


@dataclass(frozen=True, slots=True)
class MeshConfig:
    """How a service serves gRPC, and what it writes to its log."""

    listen: Address
    credentials: Credentials | None
    """Its own, to be served and to dial with. None: plaintext."""

    allow_plaintext: bool
    """Whether other machines may reach it in plaintext."""

    drain_grace: float
    """Seconds that what is in flight has when the service is stopped."""

    log_level: str

    def peer(self, env: Environment, name: str, default: str) -> Address:
        """Read where a peer is, which is called as these settings say.

        Raises `SettingError` where that would be in plaintext beyond this machine: what is sent
        there could be read by others, and whoever answers would be believed.
        """
        address = env.address(name, default)
        if not (self.credentials or self.allow_plaintext or address.is_loopback):
            raise SettingError(
                f"{PREFIX}{name}: {address} is on another machine, and would be called in "
                "plaintext; set SLUICE_TLS_CERT, or SLUICE_UNSAFE_PLAINTEXT to 1"
            )
        return address

    def server(self, max_message: int = MAX_MESSAGE) -> GrpcServer:
        """The server of these settings. Raises `SettingError` where they would be unsafe."""
        return GrpcServer(
            self.listen,
            allow_plaintext=self.allow_plaintext,
            credentials=self.credentials,
            max_message=max_message,
        )


def read(env: Environment, role: Role, listen: str) -> MeshConfig:
    """Read the settings of the service with that role, which listens on `listen` by default."""
    return MeshConfig(
        listen=env.address("GRPC_LISTEN", listen),
        credentials=tls.read(env, role),
        allow_plaintext=env.flag("UNSAFE_PLAINTEXT"),
        drain_grace=env.duration("DRAIN_GRACE", "30s"),
        log_level=env.text("LOG_LEVEL", "info"),
    )
