"""`sluice namespace`: dispatch namespaces."""

from __future__ import annotations

import click

from sluice.cli.connection import Dispatcher, dispatcher_options, example, json_option, yes_option
from sluice.cli.listing import moment, print_json, print_table


@click.group(epilog=example("sluice namespace create production"))
def namespace() -> None:
    """List, create and delete dispatch namespaces."""


@namespace.command("list", epilog=example("sluice namespace list --json"))
@json_option
@dispatcher_options
def list_(dispatcher: Dispatcher, as_json: bool) -> None:
    """List the dispatch namespaces."""
    found = dispatcher.ask(lambda registry: registry.namespaces())
    if as_json:
        print_json(found)
        return
    rows = ([item.name, str(item.worker_count), moment(item.created)] for item in found)
    print_table(["NAME", "WORKERS", "CREATED (UTC)"], rows)


@namespace.command(epilog=example("sluice namespace create production"))
@click.argument("name")
@dispatcher_options
def create(dispatcher: Dispatcher, name: str) -> None:
    """Create the dispatch namespace NAME."""
    dispatcher.ask(lambda registry: registry.create_namespace(name))
    click.echo(f"created dispatch namespace {name}")


@namespace.command(epilog=example("sluice namespace delete staging --yes"))
@click.argument("name")
@yes_option
@dispatcher_options
def delete(dispatcher: Dispatcher, name: str, yes: bool) -> None:
    """Delete the dispatch namespace NAME and all Workers in it."""
    if not yes:
        click.confirm(f"Delete dispatch namespace {name} and all Workers in it?", abort=True)
    count = dispatcher.ask(lambda registry: registry.delete_namespace(name))
    workers = "1 Worker" if count == 1 else f"{count} Workers"
    click.echo(f"deleted dispatch namespace {name} and the {workers} in it")
