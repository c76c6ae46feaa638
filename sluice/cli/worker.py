"""`sluice worker`: Workers that are deployed."""

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
    yes_option,
)
from sluice.cli.listing import moment, print_json, print_table, short
from sluice.cli.remote_registry import RemoteRegistry
from sluice.cli.secret import secret
from sluice.pb import worker_pb2


@click.group(epilog=example("sluice worker list --namespace production"))
def worker() -> None:
    """Show, delete and configure Workers."""


worker.add_command(secret)


@worker.command("list", epilog=example("sluice worker list --namespace production"))
@namespace_option
@json_option
@dispatcher_options
def list_(dispatcher: Dispatcher, namespace: str, as_json: bool) -> None:
    """List Workers."""
    found = dispatcher.ask(lambda registry: registry.workers(namespace))
    if as_json:
        print_json(found)
        return
    rows = (
        [info.worker.name, short(info.worker.digest), info.main_module, moment(info.modified)]
        for info in found
    )
    print_table(["NAME", "DIGEST", "MAIN", "MODIFIED (UTC)"], rows)


@worker.command(epilog=example("sluice worker get acme --namespace production"))
@click.argument("name")
@namespace_option
@json_option
@dispatcher_options
def get(dispatcher: Dispatcher, namespace: str, name: str, as_json: bool) -> None:
    """Show the Worker NAME."""
    info = dispatcher.ask(lambda registry: registry.worker(worker_of(namespace, name)))
    if as_json:
        print_json(info)
        return
    click.echo(f"name       {info.worker.name}")
    click.echo(f"namespace  {info.worker.dispatch_namespace or '(account level)'}")
    click.echo(f"digest     {info.worker.digest}")
    click.echo(f"main       {info.main_module}")
    click.echo(f"versions   {info.version_count}")
    click.echo(f"created    {moment(info.created)} UTC")
    click.echo(f"modified   {moment(info.modified)} UTC")


@worker.command(epilog=example("sluice worker delete acme --namespace production --yes"))
@click.argument("name")
@namespace_option
@yes_option
@dispatcher_options
def delete(dispatcher: Dispatcher, namespace: str, name: str, yes: bool) -> None:
    """Delete the Worker NAME. Requests in flight finish."""
    target = worker_of(namespace, name)
    if not yes:
        click.confirm(f"Delete Worker {described(target)}?", abort=True)
    dispatcher.ask(lambda registry: registry.delete_worker(target))
    click.echo(f"deleted {described(target)}")


@worker.command(epilog=example("sluice worker logs acme --namespace production"))
@click.argument("name")
@namespace_option
@click.option("--no-follow", is_flag=True, help="Stop after the lines at hand.")
@dispatcher_options
def logs(dispatcher: Dispatcher, namespace: str, name: str, no_follow: bool) -> None:
    """Print what the user Worker NAME prints, until Ctrl-C."""
    target = worker_of(namespace, name)
    dispatcher.ask(lambda registry: _print_logs(registry, target, follow=not no_follow))


async def _print_logs(registry: RemoteRegistry, worker: worker_pb2.Worker, *, follow: bool) -> None:
    async for entry in registry.logs(worker, follow=follow):
        time = entry.time.ToDatetime().strftime("%H:%M:%S")
        click.echo(f"{time} {short(entry.digest)} {entry.line}")
        sys.stdout.flush()
