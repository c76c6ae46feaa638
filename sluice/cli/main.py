"""The `sluice` command: its subcommands, and how it says that something went wrong."""

from __future__ import annotations

from typing import Any

import click

from sluice.bundle.config import ConfigError
from sluice.cli.certs import certs
from sluice.cli.connection import example
from sluice.cli.deploy import deploy
from sluice.cli.dev import dev
from sluice.cli.failure import Failure
from sluice.cli.invoke import invoke
from sluice.cli.namespace import namespace
from sluice.cli.worker import worker
from sluice.wire.errors import SluiceError


class Sluice(click.Group):
    """Turns the errors of the layers below into `Failure`, so that nobody meets a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the subcommand."""
        try:
            return super().invoke(ctx)
        except SluiceError as error:
            raise Failure(f"{error.reason.name}: {error.message}") from error
        except (ConfigError, OSError) as error:
            raise Failure(str(error)) from error
        except KeyboardInterrupt:
            ctx.exit(130)


@click.group(
    cls=Sluice,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=example(
        "sluice dev -c dispatch -c outbound --namespace production=customers",
        "sluice deploy -c customers/acme --namespace production",
    ),
)
@click.version_option(package_name="sluice")
def main() -> None:
    """Sluice: Workers for Platforms with Outbound Workers, on your own machines."""


main.add_command(certs)
main.add_command(dev)
main.add_command(deploy)
main.add_command(invoke)
main.add_command(namespace)
main.add_command(worker)
