"""`sluice deploy`: a Worker from files to the registry."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import click

from sluice.bundle import document, pack
from sluice.bundle import secrets as bundle_secrets
from sluice.bundle.document import ConfigError
from sluice.cli.connection import (
    Dispatcher,
    dispatcher_options,
    example,
    namespace_option,
    worker_of,
)
from sluice.cli.listing import short, size


@click.command(
    epilog=example(
        "sluice deploy -c customers/acme/wrangler.toml --namespace production",
        "sluice deploy -c outbound/wrangler.toml --secrets-file outbound.secrets",
    )
)
@click.option(
    "-c",
    "--config",
    "path",
    type=click.Path(path_type=Path),
    default=Path(),
    help="Config file, folder or single file of the Worker. Default: this folder.",
)
@namespace_option
@click.option("--env", "environment", metavar="NAME", help="Use [env.NAME] of the config.")
@click.option("--name", help="Deploy under this name instead of the config's.")
@click.option(
    "--secrets-file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Upload the secrets in this dotenv or JSON file.",
)
@click.option("--drop-secrets", is_flag=True, help="Drop secrets that were set before.")
@dispatcher_options
def deploy(
    dispatcher: Dispatcher,
    path: Path,
    namespace: str,
    environment: str | None,
    name: str | None,
    secrets_file: Path | None,
    drop_secrets: bool,
) -> None:
    """Upload a Worker.

    With --namespace it is a user Worker, else a dispatch Worker or an Outbound Worker. It serves
    from the moment this returns. Secrets that it has stay; those in .dev.vars are for `sluice dev`
    and are not uploaded.
    """
    settings = pack.settings(path, environment)
    for warning in settings.warnings:
        click.echo(f"warning: {warning}", err=True)
    secrets = {} if secrets_file is None else read_secrets(secrets_file)
    bundle = pack.pack(replace(settings, secrets=secrets))
    target = worker_of(namespace, name or settings.name)
    info = dispatcher.ask(
        lambda registry: registry.put_worker(target, bundle, drop_secrets=drop_secrets)
    )
    click.echo(f"deployed {info.worker.name}")
    click.echo(f"namespace  {namespace or '(account level)'}")
    click.echo(f"digest     {short(info.worker.digest)}")
    for module in bundle.modules:
        click.echo(f"module     {module.name}  {size(len(module.content))}")


def read_secrets(path: Path) -> dict[str, str]:
    """The secrets in a JSON object of strings, or in a dotenv file. Raises `ConfigError`."""
    text = document.read_text(path)
    if not text.lstrip().startswith("{"):
        return bundle_secrets.read(path)
    try:
        values: dict[str, str] = json.loads(text)
    except ValueError as error:
        raise ConfigError(f"{document.shown(path)}: not JSON: {error}") from error
    for key, value in values.items():
        if not isinstance(value, str):
            raise ConfigError(f"{document.shown(path)}: {key}: expected a string")
    return values
