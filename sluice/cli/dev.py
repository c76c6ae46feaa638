"""`sluice dev`: the whole mesh on this machine."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from sluice.cli.connection import example
from sluice.cli.dev_session import DevSession, Options
from sluice.cli.failure import Failure
from sluice.cli.mesh_process import ServiceFailedError
from sluice.mesh.address_range import AddressRange
from sluice.mesh.connect_to import ConnectTo

_PORT = click.IntRange(0, 65535)


class NamespaceFolder(click.ParamType[tuple[str, Path]]):
    """`NAME=DIR`."""

    name = "NAME=DIR"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, Path]:
        """Read name and folder, or fail with what is missing."""
        if isinstance(value, tuple):
            return value
        name, equals, folder = value.partition("=")
        if not (name and equals and folder):
            self.fail(f"{value!r} is not NAME=DIR (like production=customers)", param, ctx)
        if not Path(folder).is_dir():
            self.fail(f"{folder}: no such folder", param, ctx)
        return name, Path(folder)


class Checked(click.ParamType[str]):
    """A text that `parse` reads, as the outbound service will."""

    def __init__(self, name: str, parse: Callable[[str], object]) -> None:
        self.name = name
        self._parse = parse

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The text as it is, or fail with what is wrong with it."""
        try:
            self._parse(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)
        return str(value)


@click.command(
    epilog=example(
        "sluice dev -c dispatch/wrangler.toml -c outbound/wrangler.toml \\",
        "    --namespace production=customers",
    )
)
@click.option(
    "-c",
    "--config",
    "configs",
    type=click.Path(path_type=Path, exists=True),
    multiple=True,
    required=True,
    help="Config or folder of the dispatch Worker or an Outbound Worker. May be repeated.",
)
@click.option(
    "--namespace",
    "-n",
    "folders",
    type=NamespaceFolder(),
    multiple=True,
    help="A dispatch namespace, and the folder with its user Workers. May be repeated.",
)
@click.option(
    "--dispatch-worker",
    metavar="NAME",
    help="The dispatch Worker, where several configs have [[dispatch_namespaces]].",
)
@click.option("--port", type=_PORT, default=8787, show_default=True, help="HTTP; 0: a free port.")
@click.option(
    "--grpc-port",
    type=_PORT,
    default=50051,
    show_default=True,
    help="gRPC of the dispatcher; the next two are of userworker and outbound. 0: free ports.",
)
@click.option(
    "--connect-to",
    type=Checked("HOST:PORT:TARGET:PORT", ConnectTo.parse),
    multiple=True,
    metavar="HOST:PORT:TARGET:PORT",
    help="Connect to TARGET for requests to HOST, as curl does. May be repeated.",
)
@click.option(
    "--allow-address",
    type=Checked("CIDR[:PORT]", AddressRange.parse),
    multiple=True,
    metavar="CIDR[:PORT]",
    help="Let Workers reach these private addresses. May be repeated.",
)
@click.option("--traces", is_flag=True, help="Print each finished trace as a tree.")
@click.option(
    "--persist",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Keep the registry in this folder. Default: a temporary one.",
)
@click.option("--verbose", "-v", is_flag=True, help="Print all that the services log.")
def dev(**options: Any) -> None:
    """Run everything on this machine.

    Starts the three services, deploys the Workers of each --config and each --namespace folder with
    their .dev.vars, prints one line for each subrequest, and deploys again what changes. Ctrl-C
    stops it all.
    """
    folders: tuple[tuple[str, Path], ...] = options["folders"]
    options["folders"] = dict(folders)
    if len(options["folders"]) < len(folders):
        raise click.UsageError("--namespace: one dispatch namespace has one folder")
    try:
        asyncio.run(DevSession(Options(**options)).run())
    except ServiceFailedError as error:
        for line in error.last_lines:
            click.echo(f"  {line}", err=True)
        raise Failure(str(error)) from error
