"""`sluice worker secret`: the secrets of a Worker."""

from __future__ import annotations

import sys

import click

from sluice.cli.connection import (
    Dispatcher,
    described,
    dispatcher_options,
    example,
    json_option,
    namespace_option,
    worker_of,
)
from sluice.cli.listing import print_json


@click.group(
    epilog=example("sluice worker secret put acme API_KEY --namespace production < key.txt")
)
def secret() -> None:
    """Set, list and delete the secrets of a Worker. Their values are never shown."""


@secret.command(
    epilog=example('echo "$API_KEY" | sluice worker secret put acme API_KEY --namespace production')
)
@click.argument("name")
@click.argument("key")
@namespace_option
@dispatcher_options
def put(dispatcher: Dispatcher, namespace: str, name: str, key: str) -> None:
    """Set the secret KEY of the Worker NAME. The value comes from standard input, or is asked for.

    One newline at the end of standard input is not part of the value.
    """
    target = worker_of(namespace, name)
    value = _value(key)
    dispatcher.ask(lambda registry: registry.patch_secrets(target, {key: value}, []))
    click.echo(f"set secret {key} of {described(target)}")


@secret.command("list", epilog=example("sluice worker secret list acme --namespace production"))
@click.argument("name")
@namespace_option
@json_option
@dispatcher_options
def list_(dispatcher: Dispatcher, namespace: str, name: str, as_json: bool) -> None:
    """List the names of the Worker NAME's secrets."""
    names = dispatcher.ask(lambda registry: registry.secrets(worker_of(namespace, name)))
    if as_json:
        print_json(names)
        return
    for key in names:
        click.echo(key)


@secret.command(epilog=example("sluice worker secret delete acme API_KEY --namespace production"))
@click.argument("name")
@click.argument("key")
@namespace_option
@dispatcher_options
def delete(dispatcher: Dispatcher, namespace: str, name: str, key: str) -> None:
    """Delete the secret KEY of the Worker NAME."""
    target = worker_of(namespace, name)
    dispatcher.ask(lambda registry: registry.patch_secrets(target, {}, [key]))
    click.echo(f"deleted secret {key} of {described(target)}")


def _value(key: str) -> str:
    if sys.stdin.isatty():
        value: str = click.prompt(f"Value of {key}", hide_input=True)
        return value
    value = sys.stdin.read()
    if not value:
        raise click.UsageError(f"no value for {key} on standard input")
    return value.removesuffix("\n")
