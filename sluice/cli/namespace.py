"""`sluice namespace`: dispatch namespaces."""

from __future__ import annotations

import click

from sluice.cli.connection import Dispatcher, dispatcher_options, example, json_option, yes_option
from sluice.cli.egress import described, egress_options, mode_of
from sluice.cli.listing import moment, print_json, print_table
from sluice.pb import registry_pb2, worker_pb2


@click.group(epilog=example("sluice namespace create production"))
def namespace() -> None:
    """Show, create, change and delete dispatch namespaces."""


@namespace.command("list", epilog=example("sluice namespace list --json"))
@json_option
@dispatcher_options
def list_(dispatcher: Dispatcher, as_json: bool) -> None:
    """List the dispatch namespaces."""
    found = dispatcher.ask(lambda registry: registry.namespaces())
    if as_json:
        print_json(found)
        return
    rows = (
        [item.name, str(item.worker_count), _egress(item), moment(item.created)] for item in found
    )
    print_table(["NAME", "WORKERS", "EGRESS", "CREATED (UTC)"], rows)


@namespace.command(epilog=example("sluice namespace get production"))
@click.argument("name")
@json_option
@dispatcher_options
def get(dispatcher: Dispatcher, name: str, as_json: bool) -> None:
    """Show the dispatch namespace NAME."""
    found = dispatcher.ask(lambda registry: registry.namespace(name))
    if as_json:
        print_json(found)
    else:
        _show(found)


@namespace.command(epilog=example("sluice namespace create production --denied-host '*.evil.test'"))
@click.argument("name")
@egress_options
@dispatcher_options
def create(dispatcher: Dispatcher, name: str, policy: worker_pb2.EgressPolicy | None) -> None:
    """Create the dispatch namespace NAME, with the egress policy that is given, if any."""
    dispatcher.ask(lambda registry: registry.create_namespace(name, policy))
    click.echo(f"created dispatch namespace {name}")


@namespace.command(epilog=example("sluice namespace update production --allowed-host '*.a.test'"))
@click.argument("name")
@egress_options
@click.option("--no-egress-policy", "drop", is_flag=True, help="Allow every public host.")
@dispatcher_options
def update(
    dispatcher: Dispatcher, name: str, policy: worker_pb2.EgressPolicy | None, drop: bool
) -> None:
    """Give the dispatch namespace NAME the egress policy that is given, in place of its own.

    It holds from the next request on.
    """
    if drop is (policy is not None):
        raise click.UsageError("give --allowed-host or --denied-host, or else --no-egress-policy")
    _show(dispatcher.ask(lambda registry: registry.update_namespace(name, policy)))


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


def _egress(found: registry_pb2.Namespace) -> str:
    return mode_of(found.egress) if found.HasField("egress") else "-"


def _show(found: registry_pb2.Namespace) -> None:
    lines = [
        ("name", found.name),
        ("workers", str(found.worker_count)),
        ("created", f"{moment(found.created)} UTC"),
    ]
    if found.HasField("egress"):
        lines += described(found.egress)
    else:
        lines.append(("egress", "every public host"))
    for label, text in lines:
        click.echo(f"{label:8} {text}")
