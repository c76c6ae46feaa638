"""The options that say which dispatcher to talk to, and what else commands share."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import click

from sluice.cli.failure import Failure
from sluice.cli.remote_registry import RemoteRegistry, ask
from sluice.mesh import tls
from sluice.mesh.env import PREFIX, Address, Environment, SettingError
from sluice.mesh.tls import Credentials
from sluice.pb import worker_pb2

T = TypeVar("T")
Command = TypeVar("Command", bound=Callable[..., Any])


class AddressType(click.ParamType[Address]):
    """`HOST:PORT`."""

    name = "HOST:PORT"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Address:
        """Read the address, or fail with what it should look like."""
        if isinstance(value, Address):
            return value
        try:
            return Environment({"SLUICE_ADDRESS": value}).address("ADDRESS", None)
        except SettingError:
            self.fail(f"{value!r} is not an address (like 127.0.0.1:50051)", param, ctx)


@dataclass(frozen=True)
class Dispatcher:
    """Where the dispatcher is, and what it wants of who manages it."""

    address: Address
    token: str | None
    credentials: Credentials | None

    def ask(self, call: Callable[[RemoteRegistry], Awaitable[T]]) -> T:
        """Make calls to its registry."""
        return ask(self.address, self.token, self.credentials, call)


def tls_options(command: Command) -> Command:
    """Add `--tls-cert`, `--tls-key` and `--tls-ca`, which the command gets as `credentials`."""

    @_file_option("cert", "Certificate for mTLS, of a role that may call (PEM).")
    @_file_option("key", "Its key (PEM).")
    @_file_option("ca", "CA that services' certificates are verified by (PEM).")
    @functools.wraps(command)
    def with_credentials(tls_cert: str, tls_key: str, tls_ca: str, **arguments: Any) -> Any:
        paths = zip(tls.VARIABLES, (tls_cert, tls_key, tls_ca), strict=True)
        try:
            credentials = tls.read(Environment({PREFIX + name: path for name, path in paths}))
        except SettingError as error:
            raise Failure(str(error)) from error
        return command(credentials=credentials, **arguments)

    return with_credentials  # type: ignore[return-value]  # click reads the options off the wrapper


def _file_option(name: str, text: str) -> Callable[[Command], Command]:
    return click.option(
        f"--tls-{name}",
        metavar="FILE",
        default="",
        envvar=f"SLUICE_TLS_{name.upper()}",
        show_envvar=True,
        help=text,
    )


def dispatcher_options(command: Command) -> Command:
    """Add options that say which dispatcher. The command gets them as its `dispatcher`."""

    @click.option(
        "--dispatcher",
        type=AddressType(),
        envvar="SLUICE_DISPATCHER",
        default="127.0.0.1:50051",
        show_default=True,
        show_envvar=True,
        help="gRPC address of the dispatcher.",
    )
    @click.option(
        "--token",
        envvar="SLUICE_API_TOKEN",
        show_envvar=True,
        help="Management token, where the dispatcher wants one.",
    )
    @tls_options
    @functools.wraps(command)
    def with_dispatcher(
        dispatcher: Address, token: str | None, credentials: Credentials | None, **arguments: Any
    ) -> Any:
        return command(dispatcher=Dispatcher(dispatcher, token, credentials), **arguments)

    return with_dispatcher  # type: ignore[return-value]  # click reads the options off the wrapper


def example(*lines: str) -> str:
    """The end of a command's help."""
    return "\b\n" + "\n".join(["Example:", *(f"  {line}" for line in lines)])


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")

yes_option = click.option("--yes", "-y", is_flag=True, help="Do not ask.")

namespace_option = click.option(
    "--namespace",
    "-n",
    metavar="NS",
    default="",
    help="Dispatch namespace. Without it: account-level Workers.",
)


def worker_of(namespace: str, name: str) -> worker_pb2.Worker:
    """The Worker of that name, whatever its version."""
    return worker_pb2.Worker(dispatch_namespace=namespace, name=name)


def described(worker: worker_pb2.Worker) -> str:
    """A Worker in words: `production/acme`, or `outbound` for an account-level one."""
    return "/".join(part for part in (worker.dispatch_namespace, worker.name) if part)
